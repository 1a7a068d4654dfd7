"""Sa2VA Roto in Blender: select a clip, type a sentence, get mattes.

An adapter: what is not about Blender is in ``sa2va_plugin``, which the built extension carries along.
"""

from types import ModuleType


def _parts() -> "tuple[ModuleType, ...]":
    # Imported here, so that the modules that need no Blender can be imported without one.
    from . import batch, handlers, operators, panels, preferences, properties

    return properties, preferences, operators, panels, handlers, batch


def register() -> None:
    for part in _parts():
        part.register()


def unregister() -> None:
    for part in reversed(_parts()):
        part.unregister()
