"""Reading JSON in steps gives what reading it at once does, also of what is no JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sa2va_plugin import json_steps

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))


def read(text: str, depth: int) -> tuple[Any, int]:
    """The value, and how many steps it took."""
    steps, count = json_steps.loads(text, depth), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1


@given(VALUES, st.integers(0, 5), st.sampled_from([None, 1]))
def test_the_same_value(value: Any, depth: int, indent: int | None) -> None:
    assert read(json.dumps(value, indent=indent), depth)[0] == value


@given(VALUES, st.integers(0, 5), st.data())
def test_the_same_refusal(value: Any, depth: int, data: st.DataObject) -> None:
    text = json.dumps(value)
    at = data.draw(st.integers(0, len(text)))
    broken = text[:at] + data.draw(st.sampled_from(["", ",", "]", "}", "{", '"', ":", " ", "1", "x"])) + text[at + 1 :]
    try:
        wanted = json.loads(broken)
    except ValueError:
        with pytest.raises(ValueError, match="char"):
            read(broken, depth)
    else:
        assert read(broken, depth)[0] == wanted


def test_a_step_is_a_part_of_the_depth_asked_for() -> None:
    text = json.dumps({"a": [{"b": [1, 2]}, {"b": [3]}], "c": 4})
    assert [read(text, depth)[1] for depth in (0, 1, 2, 3, 4)] == [1, 2, 3, 3, 4]
