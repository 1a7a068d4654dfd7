"""Files appear whole or not at all.

A file is written under a temporary name in its own folder, forced to the disk, and renamed. A killed process leaves
at most a hidden ``.name.TOKEN.part.ext``, which :func:`remove_strays` of a later run of the same frames clears.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sa2va_plugin.errors import OutputError, UnwritableError
from sa2va_plugin.files import replace

_STRAY = re.compile(r"^\.(?P<stem>.+)\.[0-9a-f]{8}\.part(?P<suffix>\.[^.]*)?$")
_GO_ON = "the same command goes on where it stopped."
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, with the same extension, that becomes ``path`` when the block ends well.

    For libraries that open files themselves. Missing folders are made. When the block raises, ``path`` is as it was
    and nothing temporary is left. Raises OutputError for every OSError on the way.
    """
    temp = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temp
        with open(temp, "rb+") as file:
            os.fsync(file.fileno())
        replace(temp, path)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        with suppress(OSError):
            temp.unlink()


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write ``parts`` one after the other as the file ``path``, atomically. Raises OutputError."""
    with writing(path) as temp, open(temp, "wb") as file:
        for part in parts:
            file.write(part)


def output_error(path: Path, reason: OSError | str) -> OutputError:
    """What to tell the user when ``path`` cannot be written: an OSError, or a library's own words.

    An UnwritableError where trying again cannot help.
    """
    code = reason.errno if isinstance(reason, OSError) else None
    if code in _FULL or (code is None and _disk_is_full(path)):
        return OutputError(f"The disk is full: {path}", f"Free some space, or choose another folder; {_GO_ON}")
    if code in _FORBIDDEN or (code is None and _is_forbidden(path)):
        return UnwritableError(
            f"No permission to write: {path}",
            f"Close the programs that hold this file, get write permission, or choose another folder; {_GO_ON}",
        )
    if code in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return UnwritableError(f"A file or folder of that name is in the way: {path}", "Choose another output folder.")
    if code == errno.ENAMETOOLONG:
        return UnwritableError(f"The name is too long for this disk: {path}", "Choose a shorter folder or plate name.")
    words = (reason.strerror or str(reason)) if isinstance(reason, OSError) else reason
    return OutputError(f"Cannot be written ({' '.join(words.split())}): {path}", f"See to the disk; then {_GO_ON}")


def _is_forbidden(path: Path) -> bool:
    """Whether no file may be made beside ``path``. Libraries tell this, and a full disk, in words of their own."""
    return path.parent.is_dir() and not os.access(path.parent, os.W_OK | os.X_OK)


def _disk_is_full(path: Path) -> bool:
    """Whether less than 64 KiB is free."""
    folder = next((p for p in path.parents if p.is_dir()), None)
    if folder is None or not hasattr(os, "statvfs"):
        return False
    with suppress(OSError):
        facts = os.statvfs(folder)
        return facts.f_bavail * facts.f_frsize < 65536 or (facts.f_files > 0 and facts.f_favail == 0)
    return False


def final_name(temp: str) -> str | None:
    """The file name that a temporary name stands for; None for any other name."""
    match = _STRAY.match(temp)
    return match["stem"] + (match["suffix"] or "") if match else None


def remove_strays(paths: Iterable[Path]) -> int:
    """Remove what killed runs left of ``paths``; returns how many files. Other files' temporaries are let alone.

    Call it before the first of ``paths`` is written, for the frames that are this process's own: on a farm, the
    neighbour's half-written frames lie in the same folder.
    """
    wanted: dict[Path, set[str]] = {}
    for path in paths:
        wanted.setdefault(path.parent, set()).add(path.name)
    removed = 0
    for folder, names in wanted.items():
        with suppress(FileNotFoundError, NotADirectoryError):
            for entry in folder.iterdir():
                if final_name(entry.name) in names:
                    with suppress(OSError):
                        entry.unlink()
                        removed += 1
    return removed
