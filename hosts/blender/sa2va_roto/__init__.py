"""Sa2VA Roto in Blender: select a clip, type a sentence, get mattes.

An adapter: what is not about Blender is in ``sa2va_plugin``, which the built extension carries along.
"""

from . import batch, handlers, operators, panels, preferences, properties

_PARTS = (properties, preferences, operators, panels, handlers, batch)


def register() -> None:
    for part in _PARTS:
        part.register()


def unregister() -> None:
    for part in reversed(_PARTS):
        part.unregister()
