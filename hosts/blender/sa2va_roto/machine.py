"""What the user set for this computer: where the worker is, what it runs on, and where our own files go."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import bpy

from .store import Store

PACKAGE: str = __package__ or "sa2va_roto"


def preferences() -> Any:
    """The extension's preferences; None while it is not switched on."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon else None


def store() -> Store:
    """What is kept in the extension's user folder."""
    return Store(bpy.utils.extension_path_user(PACKAGE, create=True))


def device() -> str:
    own = preferences()
    return own.device if own else "auto"


def worker_command() -> Optional[list[str]]:
    """The worker's command that the user set; None for what the installer recorded."""
    own = preferences()
    if own and own.python:
        return [bpy.path.abspath(own.python), "-I", "-m", "sa2va_core.worker"]
    return None


def scratch_folder() -> Path:
    own = preferences()
    if own and own.scratch:
        return Path(bpy.path.abspath(own.scratch))
    return Path(bpy.utils.extension_path_user(PACKAGE, path="scratch", create=True))
