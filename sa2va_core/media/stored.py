"""JSON files that an earlier run wrote, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import ResultError


def read_stored(path: Path, version: int, fields: Mapping[str, type]) -> dict[str, Any] | None:
    """What ``path`` holds, or None where there is no such file. ``version``: the highest that is understood;
    ``fields``: what must be there besides, by type.

    Raises ResultError for a file that cannot be read, that is damaged or none of ours, or of a later version: whoever
    asks is about to write there, and must not take it for nothing.
    """
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ResultError(
            f"Earlier results cannot be read ({error.strerror}): {path}", "Check permissions, or use another folder."
        ) from error
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    data = data if isinstance(data, dict) else {}
    found = data.get("version")
    if type(found) is int and found > version:
        raise ResultError(
            f"Earlier results are of a later version of Sa2VA Roto (form {found}; this one reads {version}): {path}",
            "Update Sa2VA Roto on this machine, or use another folder.",
        )
    if type(found) is not int or not all(type(data.get(name)) is kind for name, kind in fields.items()):
        raise ResultError(
            f"This file is damaged, or none of Sa2VA Roto's: {path}", "Use another folder, or move the file away first."
        )
    return data
