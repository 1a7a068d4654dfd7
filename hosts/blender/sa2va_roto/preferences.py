"""Where the worker is, what it runs on, and where results of unsaved files go."""

# No "from __future__ import annotations" here: Blender reads properties from evaluated annotations.
# pyright: reportInvalidTypeForm=false

from pathlib import Path
from typing import Any, Optional

import bpy
from bpy.props import EnumProperty, StringProperty
from sa2va_plugin import __version__, connection, launcher
from sa2va_plugin.errors import Sa2vaError

from .properties import capital
from .store import Store

PACKAGE: str = __package__ or "sa2va_roto"
#: For the levels of host.Host.notice.
NOTICE_ICONS = {"INFO": "INFO", "WARNING": "ERROR", "ERROR": "CANCEL"}


class SA2VA_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = PACKAGE

    python: StringProperty(
        name="Worker's Python",
        description="The Python that Sa2VA Roto is installed in; empty: what its installer recorded",
        subtype="FILE_PATH",
    )
    device: EnumProperty(
        name="Device",
        description="What the engine computes on",
        items=(
            ("auto", "Automatic", "A GPU where the engine can use one, else the CPU"),
            ("cpu", "CPU", "The processor alone"),
            ("cuda", "CUDA", "An NVIDIA GPU"),
            ("mps", "Metal", "Apple's GPU"),
        ),
    )
    scratch: StringProperty(
        name="Scratch Folder",
        description="Results of .blend files that were never saved; empty: the extension's own folder",
        subtype="DIR_PATH",
    )

    def draw(self, context: Any) -> None:
        layout = self.layout
        layout.use_property_split = True
        box = layout.box()
        for icon, line in doctor(self):
            row = box.row()
            row.label(text=line, icon=icon)
        for icon, line in _said():
            box.label(text=line, icon=icon)
        row = box.row(align=True)
        row.operator("sa2va.start_worker", icon="PLAY")
        row.operator("sa2va.stop_worker", icon="SNAP_FACE")
        row.operator("sa2va.show_log", icon="TEXT")
        layout.prop(self, "python")
        layout.prop(self, "device")
        layout.prop(self, "scratch")


def store() -> Store:
    """What is kept in the extension's user folder."""
    return Store(bpy.utils.extension_path_user(PACKAGE, create=True))


def current() -> Any:
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon else None


def device() -> str:
    own = current()
    return own.device if own else "auto"


def worker_command() -> Optional[list[str]]:
    """The worker's command that the user set; None for what the installer recorded."""
    own = current()
    if own and own.python:
        return [bpy.path.abspath(own.python), "-I", "-m", "sa2va_core.worker"]
    return None


def scratch_folder() -> Path:
    own = current()
    if own and own.scratch:
        return Path(bpy.path.abspath(own.scratch))
    return Path(bpy.utils.extension_path_user(PACKAGE, path="scratch", create=True))


def worker_folder() -> str:
    from .host import HOST

    return HOST.worker.folder or connection.worker_folder()


def doctor(own: Any) -> list[tuple[str, str]]:
    """What is here, what is missing and the next step, a line each, with an icon. Looks at files alone."""
    lines = [("INFO", f"Sa2VA Roto {__version__}, Blender {bpy.app.version_string}")]
    command = worker_command()
    try:
        python = (command or launcher.worker_command())[0]
        if not Path(python).is_file():
            lines.append(("ERROR", f"There is no such Python: {python}"))
        else:
            lines.append(("CHECKMARK", f"Worker's Python: {python}"))
    except Sa2vaError as error:
        lines += [("ERROR", error.message), ("BLANK1", error.hint)]
    try:
        found = connection.read_connection(worker_folder())
    except Sa2vaError as error:
        lines += [("ERROR", error.message), ("BLANK1", error.hint)]
        found = None
    if found is None or not launcher.is_running(found.pid):
        lines.append(("RADIOBUT_OFF", "No worker is running; Generate starts one."))
    else:
        lines.append(("RADIOBUT_ON", f"Worker {found.version} is running, process {found.pid}"))
    lines += _engines()
    where = "allowed" if bpy.app.online_access else "off: models are not fetched, everything else works"
    lines.append(("INTERNET", f"Online access: {where}"))
    return lines


def _engines() -> list[tuple[str, str]]:
    from .host import HOST

    known = HOST.worker.engines
    if known is None:
        return [("QUESTION", "Start Worker, to see which engines can run here.")]
    lines = [
        ("X" if engine.unavailable else "CHECKMARK", f"{capital(engine.label)}: {engine.unavailable or 'ready'}")
        for engine in known.engines
    ]
    missing = [model.name for model in known.models if model.state == "missing"]
    if missing:
        lines.append(("IMPORT", "Models that are fetched when they are needed: " + ", ".join(missing)))
    return lines


def _said() -> list[tuple[str, str]]:
    """What is going on, or was said last, as in the panels."""
    from .host import HOST

    if HOST.text:
        return [("SORTTIME", HOST.text)]
    level, *texts = HOST.notice
    return [(NOTICE_ICONS[level] if n == 0 else "BLANK1", text) for n, text in enumerate(texts) if text]


def log_tail(lines: int = 12) -> str:
    folder = worker_folder()
    return launcher.tail(connection.log_file(folder), lines) or launcher.tail(launcher.startup_log(folder), lines)


def register() -> None:
    bpy.utils.register_class(SA2VA_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(SA2VA_AP_preferences)
