"""Work in steps that are each short enough for the window's thread."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from typing import TypeVar

#: Seconds that a step may take; one in another may take as long again.
LENGTH = 0.007
_Result = TypeVar("_Result")


def paced(work: Generator[None, None, _Result]) -> Generator[None, None, _Result]:
    """Go on with ``work`` from one of its yields to the next, and let go of the thread when a step's time is over."""
    until = time.perf_counter() + LENGTH
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
        if time.perf_counter() > until:
            yield
            until = time.perf_counter() + LENGTH


def some(work: Iterator[None]) -> bool:
    """Go on with ``work`` until a step's time is over. Whether there is more of it."""
    until = time.perf_counter() + LENGTH
    return any(time.perf_counter() > until for _ in work)
