"""Frames in the order an engine walks, given out with their neighbours in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Step(Generic[T]):
    """One frame, ready to be finished, with those of its neighbours in time that are known: at most two."""

    frame: int
    item: T
    beside: tuple[T, ...]


class Neighbours(Generic[T]):
    """Gives out each frame one step late, when the next frame of the walk is there too.

    Engines walk to one end of the shot and then from where they began to the other end. So the first frame is kept
    for when the walk turns and the frame before it needs its neighbour; the first frame itself, like the last, has
    its one neighbour of the walk. At most three frames are held, and what a frame gets depends on the order of the walk
    alone. ``places``: each frame's place in the shot; frames are neighbours when their places differ by one.
    """

    def __init__(self, places: Mapping[int, int]) -> None:
        self._places = places
        self._first: tuple[int, T] | None = None
        self._before: tuple[int, T] | None = None
        self._last: tuple[int, T] | None = None

    def add(self, frame: int, item: T) -> list[Step[T]]:
        """Take the walk's next frame; returns the one that can be finished now, if any."""
        new = (frame, item)
        steps = [self._step(self._last, new)] if self._last is not None else []
        self._first = self._first or new
        self._before, self._last = self._last, new
        return steps

    def rest(self) -> list[Step[T]]:
        """The walk is over: the frame that is still held back."""
        last, self._last = self._last, None
        return [self._step(last, None)] if last is not None else []

    @property
    def held(self) -> dict[int, T]:
        """What is kept, by frame, in the order of the walk. Adding these to a new object, and dropping what it gives
        out, puts it where this one is."""
        return dict(entry for entry in (self._first, self._before, self._last) if entry is not None)

    def _step(self, entry: tuple[int, T], new: tuple[int, T] | None) -> Step[T]:
        frame, item = entry
        place = self._places[frame]
        known = dict(other for other in (self._first, self._before, new) if other is not None)
        near = sorted((self._places[other], other) for other in known if abs(self._places[other] - place) == 1)
        return Step(frame, item, tuple(known[other] for _, other in near))
