"""A prompt sheet: shots times phrases. CSV, TSV, YAML, JSON and timelines are all read into the same entries.

Nothing here looks at plates; :mod:`sa2va_core.farm.plan` makes jobs of entries.
"""

from __future__ import annotations

from pathlib import Path

from . import document, table, timeline
from .entries import Entry, Problem, SheetError

#: Bytes of the largest sheet that is read.
MAX_BYTES = 64 * 2**20


def read_sheet(path: Path) -> tuple[list[Entry], list[Problem]]:
    """The entries of a sheet in their order, and what is wrong with single ones.

    Raises SheetError where nothing can be made of it.
    """
    kind = path.suffix.lower()
    if kind in timeline.EXTENSIONS:
        raise SheetError(path, [Problem("", "a timeline names no phrases: name it in a sheet, as `timeline: FILE`.")])
    data = _bytes(path)
    if kind in (".csv", ".tsv", ".txt"):
        return table.read(path, _text(path, data))
    if kind in (".yaml", ".yml", ".json"):
        return document.read(path, _text(path, data))
    raise SheetError(path, [Problem("", "sheets are .csv, .tsv, .yaml or .json files.")])


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SheetError(path, [Problem("", f"it is larger than {MAX_BYTES >> 20} MiB.")])
        return path.read_bytes()
    except OSError as error:
        raise SheetError(path, [Problem("", f"it cannot be read ({error.strerror}).")]) from error


def _text(path: Path, data: bytes) -> str:
    """UTF-8, with or without a byte order mark. Raises SheetError."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SheetError(path, [Problem("", "it is UTF-16; save it as UTF-8 (in Excel: CSV UTF-8).")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = "it is not UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)."
        raise SheetError(path, [Problem(f"line {line}", text)]) from error
