"""Which source frame shows when, and how files are named: without Blender."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sa2va_plugin.errors import JobSpecError, MediaError
from sa2va_roto.frames import Plan, Source, StripFacts, files_of, nearest, numbers, wanted


def test_a_plain_strip():
    facts = StripFacts(start=10, length=5, left=10, right=15)
    assert [facts.index(t) for t in range(8, 17)] == [0, 0, 0, 1, 2, 3, 4, 4, 4]


def test_backwards_in_steps_and_cut():
    assert [StripFacts(1, 6, 1, 7, reverse=True).index(t) for t in range(1, 7)] == [5, 4, 3, 2, 1, 0]
    assert [StripFacts(1, 6, 1, 7, strobe=2.0).index(t) for t in range(1, 7)] == [0, 0, 2, 2, 4, 4]
    # Steps are counted on the reversed frames, as Blender does.
    assert [StripFacts(1, 6, 1, 7, reverse=True, strobe=2.0).index(t) for t in range(1, 7)] == [4, 4, 2, 2, 0, 0]
    assert StripFacts(1, 6, 3, 7, trim=20).index(3) == 22


@given(
    start=st.integers(-100, 100),
    length=st.integers(1, 60),
    left=st.integers(-20, 20),
    reverse=st.booleans(),
    strobe=st.sampled_from([0.0, 1.0, 2.0, 3.0]),
)
def test_every_timeline_frame_has_a_number_that_is_made_once(start, length, left, reverse, strobe):
    facts = StripFacts(start, length, start + left, start + length + 5, 3, reverse, strobe)
    if facts.left >= facts.right:
        return
    source, frames = Source("a.mp4", movie=True), range(facts.left, facts.right)
    made = numbers(frames, facts, source)
    assert list(made) == sorted(set(made))
    assert {Plan(numbers=made).number(t, facts, source) for t in frames} == set(made)
    assert min(made) >= 4
    assert max(made) <= length + 3


def test_a_rendered_run_moves_with_its_strip():
    plan = Plan(rendered=True, origin=2)
    assert plan.number(12, StripFacts(10, 20, 12, 20), None) == 1
    assert plan.number(112, StripFacts(110, 20, 112, 120), None) == 1


def test_ranges_meet_the_strip_or_say_so():
    facts = StripFacts(10, 20, 12, 20)
    assert wanted(1, 14, facts) == range(12, 15)
    with pytest.raises(JobSpecError, match="holds no frame"):
        wanted(20, 30, facts)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.0001.exr", "a.0002.exr"], ("a.####.exr", (1, 2))),
        (["a.0009.exr", "a.0003.exr", "a.0003.exr"], ("a.####.exr", (9, 3, 3))),
        (["a9.png", "a10.png"], ("a#.png", (9, 10))),
        (["logo.png", "logo.png"], ("logo.png", (1, 1))),
        (["a.png", "b.png"], None),
        (["a.0001.exr", "b.0002.exr"], None),
        (["a.01.exr", "a.001.exr"], None),
    ],
)
def test_names_of_sequences(names, found):
    assert files_of(names) == found


def test_what_was_not_made_shows_what_came_before():
    assert [nearest(n, (3, 5, 9)) for n in (1, 3, 4, 8, 99)] == [3, 3, 3, 5, 9]
    with pytest.raises(MediaError):
        nearest(1, ())
