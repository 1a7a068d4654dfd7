"""What is known of each frame and of each pair of frames, gathered as they come, in whatever order.

Only numbers are kept of a frame for good. Its record stays in memory until both of its neighbours have met it, and a
bounded number of records at most.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from .compare import Link, Overlaps, Shape, compare, overlaps, shape, twins
from .record import Record
from .score import Track

_HELD = 16
_T = TypeVar("_T")
_R = TypeVar("_R")

#: One link an object; None where there is a cut between the two frames.
Links = Sequence[Link | None] | None


@dataclass(frozen=True)
class Look:
    """One frame by itself, each sequence in the order of the objects. ``scale``: picture pixels per working pixel."""

    scale: float
    shapes: Sequence[Shape]
    overlaps: Overlaps
    area: Sequence[float]
    peak: Sequence[float]
    presence: Sequence[float]
    band: Sequence[float]


class Timeline:
    """The frames ``frames`` of a shot, in time order. ``load`` gives the record of a frame again."""

    def __init__(self, frames: Sequence[int], load: Callable[[int], Record], threads: int) -> None:
        self.frames = tuple(frames)
        self._load, self._threads = load, threads
        self._before = dict(zip(self.frames[1:], self.frames, strict=False))
        self._after = dict(zip(self.frames, self.frames[1:], strict=False))
        self._lock = threading.Lock()
        self._held: dict[int, Record] = {}
        self._met: dict[int, int] = {}
        self._looks: dict[int, Look] = {}
        self._links: dict[tuple[int, int], Links] = {}

    def add(self, record: Record) -> None:
        """A frame has come. May be called by several threads at once, for different frames."""
        frame = record.frame
        with self._lock:
            self._held[frame] = record
            pairs = []
            for a, b in ((self._before.get(frame), frame), (frame, self._after.get(frame))):
                if a in self._held and b in self._held:
                    pairs.append((self._held[a], self._held[b]))
                    for one in (a, b):
                        self._met[one] = self._met.get(one, 0) + 1
                        if self._met[one] == 2:
                            del self._held[one]
            while len(self._held) > _HELD:
                del self._held[next(iter(self._held))]
        look = _look(record)
        found = {(a.frame, b.frame): compare(a, b) for a, b in pairs}
        with self._lock:
            self._looks[frame] = look
            self._links.update(found)

    def complete(self, step: Callable[[int, int], None]) -> None:
        """Make up for what did not come to this timeline: frames of a run that was stopped, neighbours that came far
        apart. ``step`` is told of how many how many are done. Raises OutputError, and what ``step`` raises."""
        self._held.clear()
        alone = [frame for frame in self.frames if frame not in self._looks]
        pairs = [pair for pair in self._before.items() if (pair[1], pair[0]) not in self._links]
        total = len(alone) + len(pairs)
        for done, (frame, look) in enumerate(self._each(lambda frame: _look(self._load(frame)), alone), 1):
            self._looks[frame] = look
            step(done, total)
        self.compare([(a, b) for b, a in pairs], lambda done, _: step(len(alone) + done, total))

    def compare(self, pairs: Sequence[tuple[int, int]], step: Callable[[int, int], None]) -> None:
        """Compare more frames, each with a later one. ``step`` and errors as for :meth:`complete`."""
        # Neighbouring pairs share a record.
        load = lru_cache(maxsize=2 * self._threads + 2)(self._load)
        made = self._each(lambda pair: compare(load(pair[0]), load(pair[1])), pairs)
        for done, (pair, links) in enumerate(made, 1):
            self._links[pair] = links
            step(done, len(pairs))

    @property
    def scale(self) -> float:
        return self._looks[self.frames[0]].scale

    def link(self, a: int, b: int, index: int) -> Link | None:
        """Of an object, between two frames that were compared."""
        links = self._links[a, b]
        return links[index] if links else None

    def track(self, index: int) -> Track:
        """Everything about one object."""
        looks = [self._looks[frame] for frame in self.frames]
        return Track(
            [look.shapes[index] for look in looks],
            [look.area[index] for look in looks],
            [look.peak[index] for look in looks],
            [look.presence[index] for look in looks],
            [look.band[index] for look in looks],
            [None, *(self.link(a, b, index) for b, a in self._before.items())],
            twins(index, [look.overlaps for look in looks]),
        )

    def _each(self, work: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[tuple[_T, _R]]:
        """Each item and what ``work`` makes of it, in order, by threads that are a few items ahead."""
        waiting: deque[tuple[_T, Future[_R]]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="qc") as pool:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > 2 * self._threads:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()


def _look(record: Record) -> Look:
    shapes = [shape(matte) for matte in record.mattes]
    bands = [
        soft / (its.edge * record.scale) if its.present and its.edge * record.scale > 1 else float("nan")
        for soft, its in zip(record.soft, shapes, strict=True)
    ]
    return Look(record.scale, shapes, overlaps(record, shapes), record.area, record.peak, record.presence, bands)
