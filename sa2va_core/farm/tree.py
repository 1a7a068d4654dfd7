"""YAML and JSON as one tree that knows where everything stood, and that no input can blow up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .entries import MAX_CELL, Problem, SheetError

_DEPTH = 20


@dataclass(frozen=True)
class Node:
    """``value``: a dict of nodes, a list of nodes, or a plain value. ``text``: a plain value as it was typed."""

    place: str
    value: Any
    text: str | None = None

    def plain(self) -> Any:
        """As JSON has it."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def parse(path: Path, text: str) -> Node:
    """Raises SheetError."""
    return _json(path, text) if path.suffix.lower() == ".json" else _yaml(path, text)


class _Loader(yaml.SafeLoader):
    pass


def _yaml(path: Path, text: str) -> Node:
    try:
        _refuse_tricks(path, text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise SheetError(path, [Problem("", "it is empty.")])
        return _of_yaml(path, loader, root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}" if mark else ""
        raise SheetError(path, [Problem(place, f"it is not YAML: {error.problem or error.context}.")]) from error
    except (yaml.YAMLError, ValueError) as error:
        raise SheetError(path, [Problem("", f"it is not YAML: {str(error).splitlines()[0]}.")]) from error


def _refuse_tricks(path: Path, text: str) -> None:
    """Aliases (which can multiply without end) and deep nesting: no sheet needs them."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise SheetError(path, [Problem(f"line {line}", "anchors and aliases are not read; write it out.")])
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH:
            raise SheetError(path, [Problem(f"line {line}", f"it is nested more than {_DEPTH} deep.")])
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_CELL:
            raise SheetError(path, [Problem(f"line {line}", f"a text has {len(event.value):,} letters; too many.")])


def _of_yaml(path: Path, loader: _Loader, node: yaml.Node) -> Node:
    place = f"line {node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in found:
                where = f"line {key.start_mark.line + 1}"
                raise SheetError(path, [Problem(where, f"{name!r} stands here a second time.")])
            found[name] = _of_yaml(path, loader, value)
        return Node(place, found)
    if isinstance(node, yaml.SequenceNode):
        return Node(place, [_of_yaml(path, loader, item) for item in node.value])
    return Node(place, loader.construct_object(node), node.value)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object before its keys are known to be different."""


def _json(path: Path, text: str) -> Node:
    try:
        return _of_json(path, json.loads(text, object_pairs_hook=_Pairs), "")
    except RecursionError as error:
        raise SheetError(path, [Problem("", f"it is nested more than {_DEPTH} deep.")]) from error
    except json.JSONDecodeError as error:
        raise SheetError(path, [Problem(f"line {error.lineno}", f"it is not JSON: {error.msg}.")]) from error


def _of_json(path: Path, value: Any, place: str) -> Node:
    if place.count(".") + place.count("[") > _DEPTH:
        raise SheetError(path, [Problem(place, f"it is nested more than {_DEPTH} deep.")])
    if isinstance(value, _Pairs):
        found: dict[str, Node] = {}
        for key, item in value:
            where = f"{place}.{key}" if place else key
            if key in found:
                raise SheetError(path, [Problem(where, "it stands here a second time.")])
            found[key] = _of_json(path, item, where)
        return Node(place, found)
    if isinstance(value, list):
        return Node(place, [_of_json(path, item, f"{place}[{i}]") for i, item in enumerate(value)])
    if isinstance(value, str) and len(value) > MAX_CELL:
        raise SheetError(path, [Problem(place, f"a text has {len(value):,} letters; too many.")])
    return Node(place, value, value if isinstance(value, str) else None)


def leaves(node: Node, prefix: str = "") -> Iterator[tuple[str, Node]]:
    """The plain values and lists below a mapping, under dotted names."""
    for key, item in node.value.items():
        name = f"{prefix}{key}"
        if isinstance(item.value, dict):
            yield from leaves(item, f"{name}.")
        else:
            yield name, item
