"""What a prompt sheet says, in whatever form it is written: entries, or what is wrong and where.

An :class:`Entry` is one statement: a shot with its plate, an object for one shot or many, or settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import JobSpecError

#: Letters of the longest cell.
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


def fail(path: Path, problems: Iterable[Problem]) -> None:
    """Raise SheetError if there are problems."""
    found = list(problems)
    if found:
        raise SheetError(path, found)
