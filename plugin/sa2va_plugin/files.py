"""Files that take the place of others."""

from __future__ import annotations

import time
from pathlib import Path

_TRIES = 20
_PAUSE = 0.05


def replace(temporary: Path, target: Path) -> None:
    """Rename a file, which takes the place of what has that name. Raises OSError.

    Windows forbids it while a program has the old file open, or a virus scanner the new one: it is tried for a second.
    """
    for _ in range(_TRIES):
        try:
            temporary.replace(target)
            return
        except PermissionError:
            time.sleep(_PAUSE)
    temporary.replace(target)
