"""A lock between processes that cannot go stale.

The kernel holds it and lets go when its owner ends, however it ends: a left-over file, a number that belongs to another
process by now, or a clock that jumped mean nothing. What the file says is for people only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> None:
        # Windows keeps others from reading locked bytes, so the lock lies far behind the text.
        os.lseek(handle, 1 << 30, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class ProcessLock:
    """Held from a successful :meth:`acquire` until :meth:`release` or the end of the process.

    The file is never removed: two processes could then hold locks on two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """False when another process holds it. Raises OSError where the file cannot be made or locked at all."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _try_lock(handle)
        except (BlockingIOError, PermissionError):
            os.close(handle)
            return False
        except OSError:
            os.close(handle)
            raise
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return True

    def owner(self) -> str:
        """The process that holds or last held it, for messages."""
        try:
            return self.path.read_text().strip() or "?"
        except OSError:
            return "?"

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
