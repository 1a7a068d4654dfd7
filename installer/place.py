"""The one folder that the installer writes to: may it be written, is there room, is nobody else at work in it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .problems import Problem

REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT = REPOSITORY / ".sa2va"
GIB = 1 << 30
WAIT_SECONDS = 900


def prepare(folder: Path) -> None:
    """Make ``folder`` and make sure that files can be written in it. Raises Problem."""
    probe = folder / ".probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise Problem(
            f"This folder cannot be written ({error.strerror}): {folder}", "Choose one of your own with --folder DIR."
        ) from error


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise Problem unless ``needed`` bytes are free where ``folder`` (which exists) lies."""
    free = shutil.disk_usage(str(folder)).free
    if free < needed:
        raise Problem(
            f"Too little disk: {what} needs {size_text(needed)}, and {size_text(free)} are free: {folder}",
            "Free some space, or choose a folder on another disk with --folder DIR.",
        )


def size_text(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / (1 << 20):.0f} MiB"


def size_of(path: Path) -> int:
    """Bytes in a file or folder; links, and what goes away meanwhile, count as nothing."""
    total = 0
    below = (Path(where, name) for where, _, names in os.walk(str(path)) for name in names)
    for file in itertools.chain([path], () if path.is_symlink() else below):
        with contextlib.suppress(OSError):
            found = file.lstat()
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


def remove(path: Path) -> None:
    """Delete a file, or a folder by renaming it first: a kill on the way never leaves half of it under its name."""
    if not path.exists():
        return
    doomed = path.with_name(path.name + ".removed")
    shutil.rmtree(str(doomed), ignore_errors=True)
    try:
        if path.is_file():
            path.unlink()
            return
        path.rename(doomed)
        shutil.rmtree(str(doomed))
    except OSError as error:
        raise Problem(
            f"This cannot be deleted ({error.strerror}): {path}", "Close the programs that use it, then run this again."
        ) from error


@contextlib.contextmanager
def alone(folder: Path, wait: float = WAIT_SECONDS) -> Iterator[IO[bytes]]:
    """Hold the folder's lock; wait for an earlier run to end. The system drops the lock when its holders die.

    Children that inherit the file hold the lock too, so the packages that a killed run's pip is still writing are
    never touched by the next run.
    """
    with (folder / "lock").open("ab") as file:
        deadline = time.monotonic() + wait
        told = False
        while not _try_lock(file):
            if not told:
                print("Another run is at work in this folder; waiting for it ...", flush=True)
                told = True
            if time.monotonic() > deadline:
                raise Problem(f"Another run is still at work: {folder}", "Let it end, or end it, then run this again.")
            time.sleep(0.2)
        yield file


if os.name == "nt":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
