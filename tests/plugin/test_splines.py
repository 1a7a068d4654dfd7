"""SplineSet: what all hosts read, so that JSON in and out, the checks and the reading at a frame must hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sa2va_plugin.errors import ResultError
from sa2va_plugin.splines import SplineFit, SplineKey, SplineObject, SplinePoint, SplineSet, SplineShape

number = st.floats(-1e5, 1e5)
point = st.builds(SplinePoint, number, number, number, number, number, number)


def square(frame: int, x: float, y: float, size: float) -> SplineKey:
    corners = [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]
    return SplineKey(frame, tuple(SplinePoint(a, b, a, b, a, b) for a, b in corners))


OUTER = SplineShape("man_1", 1001, 1010, (square(1001, 10, 10, 40), square(1005, 20, 10, 40), square(1010, 20, 10, 50)))
HOLE = SplineShape("man_1_hole", 1001, 1010, (square(1001, 20, 20, 5), square(1010, 30, 20, 5)), cuts="man_1")
FIT = SplineFit(0.8, 1004, 0.99, 0.98, (1007,), 3.0)
MAN = SplineObject("man", "the man", (OUTER, HOLE), FIT)
SET = SplineSet(1920, 1080, 1.0, "24000/1001", 1001, 1010, 1.0, (MAN,))


@st.composite
def shapes(draw: st.DrawFn, name: str) -> SplineShape:
    count = draw(st.integers(2, 6))
    frames = sorted(draw(st.sets(st.integers(-100, 100_000), min_size=1, max_size=4)))
    poses = st.lists(point, min_size=count, max_size=count).map(tuple)
    return SplineShape(name, frames[0], frames[-1], tuple(SplineKey(frame, draw(poses)) for frame in frames))


@given(shapes("a"), shapes("b"))
@settings(max_examples=50)
def test_every_set_survives_json(a: SplineShape, b: SplineShape) -> None:
    spline_set = replace(SET, objects=(SplineObject("Zoë", "the ball", (a, b), FIT), MAN))
    assert SplineSet.from_json(spline_set.to_json()) == spline_set


def test_between_keys_every_number_moves_in_a_straight_line() -> None:
    points = OUTER.points_at(1002)
    assert points is not None
    assert points[0] == SplinePoint(12.5, 10, 12.5, 10, 12.5, 10)
    between = OUTER.points_at(1003.5)
    assert between is not None
    assert between[0].x == pytest.approx(16.25)


def test_keys_come_back_as_they_are_and_outside_the_span_there_is_nothing() -> None:
    assert [OUTER.points_at(key.frame) for key in OUTER.keys] == [key.points for key in OUTER.keys]
    assert OUTER.points_at(1000) is None
    assert OUTER.points_at(1010.5) is None


def test_a_span_of_one_frame() -> None:
    shape = SplineShape("speck", 7, 7, (square(7, 0, 0, 2),))
    assert shape.points_at(7) == shape.keys[0].points
    assert shape.points_at(8) is None


def test_objects_are_found_by_name() -> None:
    assert SET.object("man") is MAN
    with pytest.raises(ResultError, match="no splines of 'dog'") as raised:
        SET.object("dog")
    assert "'man'" in raised.value.hint


def edited(*path: str | int, value: Any = None, drop: bool = False) -> str:
    data = json.loads(SET.to_json())
    place = data
    for step in path[:-1]:
        place = place[step]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(data)


SHAPE = ("objects", 0, "shapes", 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "version"),
        (edited("version", drop=True), "version"),
        (edited("version", value=True), "version"),
        (edited("version", value=99), "version 99"),
        (edited("colour", value=1), "no field colour"),
        (edited("width", drop=True), "lacks the field width"),
        (edited("width", value="1920"), "width must be a whole number"),
        (edited("width", value=0), "0 x 1080"),
        (edited("fps", value="24"), "frame rate"),
        (edited("last", value=1), "end before they start"),
        (edited(*SHAPE, "first", value=1000), "span 1000-1010"),
        (edited(*SHAPE, "keys", value=[]), "span"),
        (edited(*SHAPE, "keys", 1, "frame", value=1001), "rising order"),
        (edited(*SHAPE, "keys", 0, "points", 0, value=[1, 2, 3]), r"points\[0\] must be a list of 6 numbers"),
        (edited(*SHAPE, "keys", 0, "points", 0, 2, value=None), "6 numbers"),
        (edited(*SHAPE, "keys", 0, "points", 0, 2, value=float("nan")), "6 numbers"),
        (edited(*SHAPE, "keys", 0, "points", 0, drop=True), r"\[3, 4\] points"),
        (edited(*SHAPE, "name", value="woman"), "which is no shape around it"),
        (edited("objects", 0, "shapes", 1, "name", value="man_1"), "are called 'man_1'"),
    ],
)
def test_a_damaged_file_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ResultError, match=says) as raised:
        SplineSet.from_json(text)
    assert raised.value.hint
