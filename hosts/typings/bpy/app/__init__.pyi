from typing import Any

from . import handlers as handlers

background: bool
binary_path: str
online_access: bool
timers: Any
version: tuple[int, int, int]
version_string: str
