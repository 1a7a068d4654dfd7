"""What is here, what is missing and what goes on, in lines for the preferences and the panels."""

from __future__ import annotations

from pathlib import Path

import bpy
from sa2va_plugin import __version__, connection, launcher
from sa2va_plugin.errors import Sa2vaError

from . import machine
from .host import HOST
from .properties import capital

#: For the levels of host.Host.notice.
NOTICE_ICONS = {"INFO": "INFO", "WARNING": "ERROR", "ERROR": "CANCEL"}


def examine() -> list[tuple[str, str]]:
    """What is here, what is missing and the next step: an icon and a line each. Looks at files alone."""
    lines = [("INFO", f"Sa2VA Roto {__version__}, Blender {bpy.app.version_string}")]
    try:
        python = (machine.worker_command() or launcher.worker_command())[0]
        if not Path(python).is_file():
            lines.append(("ERROR", f"There is no such Python: {python}"))
        else:
            lines.append(("CHECKMARK", f"Worker's Python: {python}"))
    except Sa2vaError as error:
        lines += [("ERROR", error.message), ("BLANK1", error.hint)]
    try:
        found = connection.read_connection(_worker_folder())
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
    known = HOST.worker.engines
    if known is None:
        return [("QUESTION", "Start Worker, to see which engines can run here.")]
    return [
        (
            "X" if engine.unavailable else "IMPORT" if engine.missing else "CHECKMARK",
            f"{capital(engine.label)}: {engine.state}",
        )
        for engine in known.engines
    ]


def said() -> list[tuple[str, str]]:
    """What is going on, or was said last, as in the panels."""
    if HOST.text:
        return [("SORTTIME", HOST.text)]
    level, *texts = HOST.notice
    return [(NOTICE_ICONS[level] if n == 0 else "BLANK1", text) for n, text in enumerate(texts) if text]


def log_tail(lines: int = 12) -> str:
    folder = _worker_folder()
    return launcher.tail(connection.log_file(folder), lines) or launcher.tail(launcher.startup_log(folder), lines)


def _worker_folder() -> str:
    return HOST.worker.folder or connection.worker_folder()
