"""Frames are given out with their neighbours, whichever way an engine walks."""

from __future__ import annotations

import pytest

from sa2va_core.mattes.neighbours import Neighbours

Given = list[tuple[int, tuple[str, ...]]]


def walk(order: list[int], frames: list[int] | None = None, stop: int | None = None) -> Given:
    """What comes out; ``stop``: give up after so many frames and go on from what was held."""
    places = {frame: place for place, frame in enumerate(sorted(frames or order))}
    neighbours, given = Neighbours[str](places), Given()
    for count, frame in enumerate(order, 1):
        given += [(step.frame, step.beside) for step in neighbours.add(frame, f"m{frame}")]
        assert len(neighbours.held) <= 3, "memory does not grow with the shot"
        if count == stop:
            held, neighbours = neighbours.held, Neighbours[str](places)
            for again, item in held.items():
                neighbours.add(again, item)
    return given + [(step.frame, step.beside) for step in neighbours.rest()]


def test_forwards() -> None:
    assert walk([1, 2, 3, 4]) == [(1, ("m2",)), (2, ("m1", "m3")), (3, ("m2", "m4")), (4, ("m3",))]


def test_where_the_walk_turns_the_first_frame_is_a_neighbour_again() -> None:
    given = dict(walk([12, 13, 14, 11, 10]))
    assert given[12] == ("m13",)
    assert given[14] == ("m13",)
    assert given[11] == ("m10", "m12")
    assert given[10] == ("m11",)


def test_one_frame_has_no_neighbour() -> None:
    assert walk([7]) == [(7, ())]


def test_gaps_in_numbers_do_not_part_frames_that_follow_each_other_in_the_shot() -> None:
    assert dict(walk([1001, 1005, 1009]))[1005] == ("m1001", "m1009")


def test_an_order_of_its_own_loses_no_frame_and_repeats_none() -> None:
    given = walk([5, 1, 3, 2, 4])
    assert [frame for frame, _ in given] == [5, 1, 3, 2, 4]
    assert dict(given)[2] == ("m3",)


@pytest.mark.parametrize("order", [[1, 2, 3, 4, 5], [3, 4, 5, 2, 1], [5, 4, 3, 2, 1], [1], [2, 1]])
def test_stopped_anywhere_it_goes_on_as_if_it_had_not(order: list[int]) -> None:
    for stop in range(1, len(order) + 1):
        assert walk(order, stop=stop) == walk(order)
