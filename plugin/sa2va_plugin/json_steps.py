"""JSON in steps: what ``json.loads`` gives, a small part at a time, for a thread that must not wait for all of it."""

from __future__ import annotations

import json
import re
from typing import Any, Generator, Tuple

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_Read = Generator[None, None, Tuple[Any, int]]


def loads(text: str, depth: int) -> Generator[None, None, Any]:
    """Objects and lists down to ``depth`` are walked through; what lies deeper is read in one step each.

    Raises ValueError, RecursionError.
    """
    value, at = yield from _value(text, _skip(text, 0), depth)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return value


def _value(text: str, at: int, depth: int) -> _Read:
    """The value at ``at``, and where the next thing begins."""
    opens = text[at : at + 1] if depth else ""
    if opens == "{":
        value, at = yield from _object(text, at, depth)
    elif opens == "[":
        value, at = yield from _list(text, at, depth)
    else:
        value, at = _DECODER.raw_decode(text, at)
        yield
    return value, _skip(text, at)


def _object(text: str, at: int, depth: int) -> _Read:
    found: dict[str, Any] = {}
    at = _skip(text, at + 1)
    while not (text[at : at + 1] == "}" and not found):
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        name, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        found[name], at = yield from _value(text, _skip(text, at + 1), depth - 1)
        if text[at : at + 1] != ",":
            break
        at = _skip(text, at + 1)
    return found, _close(text, at, "}")


def _list(text: str, at: int, depth: int) -> _Read:
    found: list[Any] = []
    at = _skip(text, at + 1)
    while not (text[at : at + 1] == "]" and not found):
        value, at = yield from _value(text, at, depth - 1)
        found.append(value)
        if text[at : at + 1] != ",":
            break
        at = _skip(text, at + 1)
    return found, _close(text, at, "]")


def _close(text: str, at: int, bracket: str) -> int:
    if text[at : at + 1] != bracket:
        raise json.JSONDecodeError(f"Expecting ',' delimiter or {bracket!r}", text, at)
    return at + 1


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
