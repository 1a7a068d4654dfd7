"""Prompt sheets as tables: CSV and TSV, as spreadsheets save them.

A row names a shot and an object. Rows of one shot add up; an empty shot cell means the shot of the row above; a
pattern (``sh01*``, ``*``) gives its object and settings to every shot that matches.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import fields
from .entries import MAX_CELL, Cell, Entry, Problem, SheetError, fail

_DELIMITERS = ",;\t|"


def read(path: Path, text: str) -> tuple[list[Entry], list[Problem]]:
    """Entries and faults of rows. Raises SheetError where the headings are wrong or there are no rows."""
    problems: list[Problem] = []
    rows = _rows(path, text)
    if not rows:
        raise SheetError(path, [Problem("", "it is empty; the first row names the columns.")])
    (place, heading), *body = rows
    columns = _columns(place, heading, problems)
    fail(path, problems)
    entries: list[Entry] = []
    above = ""
    for place, cells in body:
        entry, above = _entry(place, columns, cells, above, problems)
        if entry is not None:
            entries.append(entry)
    if not entries and not problems:
        fail(path, [Problem("", "it has no rows under the headings.")])
    return entries, problems


def _rows(path: Path, text: str) -> list[tuple[str, list[str]]]:
    """Rows that say something, with their places. Lines that begin with # are remarks."""
    if "\0" in text:
        raise SheetError(path, [Problem(f"line {text[: text.index(chr(0))].count(chr(10)) + 1}", "it is not text.")])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text), strict=True)
    rows = []
    place = "row 1"
    try:
        for number, cells in enumerate(reader, 1):
            place = f"row {number + 1}"
            if any(cell.strip() for cell in cells) and not cells[0].lstrip().startswith("#"):
                rows.append((f"row {number}", cells))
    except csv.Error as error:
        what = "a cell is longer than 131,072 letters" if "field larger" in str(error) else f"{error}"
        raise SheetError(path, [Problem(place, f"{what}.")]) from error
    return rows


def _delimiter(path: Path, text: str) -> str:
    """What cuts the heading into the most columns that are known."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    heading = next(lines, "")[:MAX_CELL]
    return max(_DELIMITERS, key=lambda delimiter: sum(_known(name) for name in heading.split(delimiter)))


def _known(name: str) -> bool:
    try:
        fields.column(name.strip().strip('"'))
    except ValueError:
        return False
    return True


def _columns(place: str, heading: Sequence[str], problems: list[Problem]) -> list[str]:
    columns = []
    for index, text in enumerate(heading, 1):
        try:
            name = fields.column(text) if text.strip() else ""
        except ValueError as error:
            problems.append(Problem(f"{place}, column {index}", str(error)))
            continue
        if name and name in columns:
            problems.append(Problem(f"{place}, column {index}", f"{text.strip()!r} names a column a second time."))
        columns.append(name)
    if not problems and "shot" not in columns:
        problems.append(Problem(place, "there is no column shot."))
    return columns


def _entry(
    place: str, columns: Sequence[str], cells: Sequence[str], above: str, problems: list[Problem]
) -> tuple[Entry | None, str]:
    """The entry of a row, and the shot that a row below without one means."""
    before = len(problems)
    given: dict[str, str] = {}
    for index, text in enumerate(cells):
        text = text.strip()
        if not text:
            continue
        name = columns[index] if index < len(columns) else ""
        where = f"{place}, column {name or index + 1}"
        if not name:
            problems.append(Problem(where, f"{text[:40]!r} stands under no heading."))
        elif len(text) > MAX_CELL:
            problems.append(Problem(where, f"it has {len(text):,} letters; {MAX_CELL:,} are the most."))
        else:
            given[name] = text
    shot = given.pop("shot", above)
    if not shot:
        problems.append(Problem(f"{place}, column shot", "no shot is named, here or above."))
    own = {name: given.pop(name) for name in ("name", "phrase", "negative") if name in given}
    values: dict[str, Cell] = {}
    for name, text in given.items():
        where = f"{place}, column {name}"
        try:
            values[name] = Cell(fields.read_text(name, text), where)
        except ValueError as error:
            problems.append(Problem(where, str(error)))
    made = _object(place, own, problems)
    if not shot:
        return None, shot
    return Entry(place, (shot,), values, made, faulty=len(problems) > before), shot


def _object(place: str, own: Mapping[str, str], problems: list[Problem]) -> dict[str, Any] | None:
    if not own:
        return None
    if "phrase" not in own:
        problems.append(Problem(f"{place}, column phrase", "the phrase is empty."))
        return None
    negative = [part.strip() for part in own.get("negative", "").split("|") if part.strip()]
    return {"name": own.get("name", ""), "phrase": own["phrase"], "negative_phrases": negative}
