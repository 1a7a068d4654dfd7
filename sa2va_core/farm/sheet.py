"""A prompt sheet: shots times phrases. CSV, TSV, YAML, JSON and timelines are all read into the same entries.

An :class:`Entry` is one statement: a shot with its plate, an object for one shot or many, or settings. Nothing here
looks at plates; :mod:`sa2va_core.farm.plan` makes jobs of entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import JobSpecError

#: Bytes of the largest sheet that is read, and letters of the longest cell.
MAX_BYTES = 64 * 2**20
MAX_CELL = 10_000
_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """What is wrong, and where: ``row 4, column range`` or ``line 12``."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class SheetError(JobSpecError):
    """A sheet that cannot be run, with all that is wrong in it."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        shown = [f"  {problem}" for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            shown.append(f"  and {len(problems) - _SHOWN} more")
        count = "one fault" if len(problems) == 1 else f"{len(problems)} faults"
        super().__init__(
            "\n".join([f"The sheet has {count}; nothing was run.", *shown, f"  Sheet: {path}"]),
            "Correct the sheet and run it again; docs/batch.md describes its columns.",
        )
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Cell:
    """A value of a job's field, as JSON, and the place that set it."""

    value: Any
    place: str


@dataclass(frozen=True)
class Entry:
    """One statement of a sheet.

    ``shots``: names, or patterns with ``*`` and ``?``; ``fields``: the job's field (``shot.range``) to its cell;
    ``object``: an ObjectSpec as JSON, or None. ``whole``: this entry is all there is of its shot, so a second one
    with the same name is a fault (a list in YAML), where rows of a table add to each other. ``faulty``: something of it
    could not be read and is told already, so nothing follows from what its shots lack.
    """

    place: str
    shots: tuple[str, ...]
    fields: Mapping[str, Cell] = field(default_factory=dict)
    object: Mapping[str, Any] | None = None
    whole: bool = False
    faulty: bool = False


def read_sheet(path: Path) -> tuple[list[Entry], list[Problem]]:
    """The entries of a sheet in their order, and what is wrong with single ones.

    Raises SheetError where nothing can be made of it.
    """
    from . import document, table, timeline  # each needs a library of its own

    kind = path.suffix.lower()
    if kind in timeline.EXTENSIONS:
        raise SheetError(path, [Problem("", "a timeline names no phrases: name it in a sheet, as `timeline: FILE`.")])
    data = _bytes(path)
    if kind in (".csv", ".tsv", ".txt"):
        return table.read(path, text_of(path, data))
    if kind in (".yaml", ".yml", ".json"):
        return document.read(path, text_of(path, data))
    raise SheetError(path, [Problem("", "sheets are .csv, .tsv, .yaml or .json files.")])


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SheetError(path, [Problem("", f"it is larger than {MAX_BYTES >> 20} MiB.")])
        return path.read_bytes()
    except OSError as error:
        raise SheetError(path, [Problem("", f"it cannot be read ({error.strerror}).")]) from error


def text_of(path: Path, data: bytes) -> str:
    """UTF-8, with or without a byte order mark. Raises SheetError."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SheetError(path, [Problem("", "it is UTF-16; save it as UTF-8 (in Excel: CSV UTF-8).")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = "it is not UTF-8; save it as UTF-8 (in Excel: CSV UTF-8)."
        raise SheetError(path, [Problem(f"line {line}", text)]) from error


def fail(path: Path, problems: Iterable[Problem]) -> None:
    """Raise SheetError if there are problems."""
    found = list(problems)
    if found:
        raise SheetError(path, found)
