from typing import Any

from . import previews as previews

def __getattr__(name: str) -> Any: ...
