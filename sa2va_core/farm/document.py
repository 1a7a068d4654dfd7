"""Prompt sheets as YAML or JSON::

settings: {engine: starter, colour_space: ACEScg}     # any column; for all shots
timeline: cut.otio                                    # shots from an edit (optional)
handles: 8
shots:
  - shot: sh010
    plate: plates/sh010.####.exr
    range: 1001-1100
    objects: [{name: hero, phrase: the man in the red shirt}]
objects:                                              # for all shots, or for those that match
  - {name: bag, phrase: her bag, shots: "sh02*"}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import fields, timeline
from .entries import Cell, Entry, Problem, SheetError
from .tree import Node, leaves, parse

_TOP = ("settings", "timeline", "handles", "shots", "objects")
_OBJECT = ("name", "phrase", "negative", "negative_phrases", "points", "boxes", "masks", "shots")


def read(path: Path, text: str) -> tuple[list[Entry], list[Problem]]:
    """Entries and their faults. Raises SheetError where it is no mapping."""
    root = parse(path, text)
    reader = _Reader()
    if not isinstance(root.value, dict):
        raise SheetError(path, [Problem(root.place, f"it must be a mapping with {', '.join(_TOP)}.")])
    for key, node in root.value.items():
        if key not in _TOP:
            reader.problem(node.place, f"there is no {key!r} here; known are {', '.join(_TOP)}.")
    top: Mapping[str, Node] = root.value
    entries: list[Entry] = []
    if "settings" in top and reader.is_mapping(top["settings"]):
        values, faulty = reader.fields(top["settings"])
        entries.append(Entry(top["settings"].place, ("*",), values, faulty=faulty))
    entries += reader.timeline(path, top)
    for node in reader.items(top.get("shots")):
        entries += reader.shot(node)
    for node in reader.items(top.get("objects")):
        entries += reader.object(node, ("*",))
    return entries, reader.problems


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def problem(self, place: str, text: str) -> None:
        self.problems.append(Problem(place, text))

    def is_mapping(self, node: Node) -> bool:
        if not isinstance(node.value, dict):
            self.problem(node.place, "it must be a mapping.")
        return isinstance(node.value, dict)

    def items(self, node: Node | None) -> list[Node]:
        """The mappings of a list."""
        if node is None:
            return []
        if not isinstance(node.value, list):
            self.problem(node.place, "it must be a list.")
            return []
        return [item for item in node.value if self.is_mapping(item)]

    def fields(self, node: Node) -> tuple[dict[str, Cell], bool]:
        """Settings as the job's fields, and whether any was faulty; nested ones are dotted names."""
        before = len(self.problems)
        found: dict[str, Cell] = {}
        for name, leaf in leaves(node):
            place = f"{leaf.place}, {name}"
            try:
                path = fields.column(name)
                if path in fields.OWN:
                    raise ValueError("it belongs to a shot or an object.")
                # As typed where it was typed, so that YAML's own ideas of numbers do not matter.
                value = leaf.plain() if leaf.text is None or leaf.value is None else fields.read_text(path, leaf.text)
                if path == "shot.range" and type(value) is int:
                    value = [value, value]
                found[path] = Cell(value, place)
            except ValueError as error:
                self.problem(place, str(error))
        return found, len(self.problems) > before

    def timeline(self, sheet: Path, top: Mapping[str, Node]) -> list[Entry]:
        handles = top.get("handles")
        count = 0
        if handles is not None:
            if type(handles.value) is int and handles.value >= 0:
                count = handles.value
            else:
                self.problem(handles.place, "handles must be a number of frames from 0.")
        node = top.get("timeline")
        if node is None:
            return []
        if not isinstance(node.value, str):
            self.problem(node.place, "timeline must be the path of an .otio or .edl file.")
            return []
        try:
            return timeline.read(sheet.parent / node.value, count, node.place)
        except timeline.TimelineError as error:
            self.problem(node.place, str(error))
            return []

    def shot(self, node: Node) -> list[Entry]:
        own: dict[str, Node] = dict(node.value)
        name, objects = own.pop("shot", None), own.pop("objects", None)
        if name is None or not str(name.value or "").strip():
            self.problem(node.place, "the shot has no name (shot: ...).")
            return []
        label = (name.text or str(name.value)).strip()
        before = len(self.problems)
        values, _ = self.fields(Node(node.place, own))
        of_objects = [entry for item in self.items(objects) for entry in self.object(item, (label,))]
        faulty = len(self.problems) > before
        return [Entry(node.place, (label,), values, whole=True, faulty=faulty), *of_objects]

    def object(self, node: Node, shots: tuple[str, ...]) -> list[Entry]:
        own: Mapping[str, Node] = node.value
        unknown = [key for key in own if key not in _OBJECT]
        for key in unknown:
            self.problem(own[key].place, f"an object has no {key!r}; known are {', '.join(_OBJECT)}.")
        if unknown:
            return []
        if "shots" in own:
            given = own["shots"].plain()
            shots = tuple(str(item).strip() for item in (given if isinstance(given, list) else [given]))
        made: dict[str, Any] = {key: item.plain() for key, item in own.items() if key != "shots"}
        negative = made.pop("negative", [])
        made["negative_phrases"] = [
            *([negative] if isinstance(negative, str) else negative or []),
            *(made.get("negative_phrases") or []),
        ]
        for key in ("name", "phrase"):
            leaf = own.get(key)
            made[key] = "" if leaf is None or leaf.value is None else (leaf.text or str(leaf.value)).strip()
        return [Entry(node.place, shots, {}, made)]
