"""One track to shapes: its outline on every frame as one Bézier of fixed points, and the fewest keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .bezier import fit, fit_loops
from .follow import MARKS, Places, even, follow, start
from .keys import reduce_keys, settled
from .knots import View, choose, corners
from .measure import deviation, drawn
from .outline import Vertices

#: Shares of the tolerance: for single segments when points are chosen, for the whole curve, and for motion between
#: keys. The first is lower since segments do not meet smoothly yet.
_CHOICE, _POINTS, _KEYS = 0.65, 0.85, 0.7
#: Frames that the first choice of points looks at.
_VIEWS = 7
#: A span that needs this many times the points of its middle frame, and some, is halved, unless it is short.
_MANY, _SOME, _SHORT = 1.5, 4, 16
_ROUNDS = 8
_CHUNK = 32
#: Two handles that turn by less than this are made to lie in line.
_SMOOTH = np.radians(45)


@dataclass(frozen=True)
class Span:
    """A shape over a run of frames. ``poses``: (K, N, 6) at the K frames ``keys``, rounded to a thousandth of a pixel;
    ``gaps``: its greatest distance from the outline, in pixels, by frame."""

    keys: tuple[int, ...]
    poses: NDArray[np.float64]
    gaps: dict[int, float]

    def pose(self, frame: int) -> NDArray[np.float64]:
        after = int(np.searchsorted(self.keys, frame))
        if self.keys[after] == frame:
            return self.poses[after]
        a, b = self.keys[after - 1], self.keys[after]
        t = (frame - a) / (b - a)
        return self.poses[after - 1] * (1 - t) + self.poses[after] * t


class TrackFitter:
    """Fits one track. ``frames``: where it has an outline, rising; ``ring``: the outline of a frame; ``length``: the
    greatest length of its outlines in pixels; ``size`` (width, height) of the plate.

    Outlines are read again as they are needed; of each frame only the map is kept.
    """

    def __init__(
        self,
        frames: Sequence[int],
        ring: Callable[[int], Vertices],
        length: float,
        size: tuple[int, int],
        tolerance: float,
        step: Callable[[], None] = lambda: None,
    ) -> None:
        self._frames, self._ring, self._size, self._tolerance = list(frames), ring, size, tolerance
        self._count = int(np.clip(round(length), 96, 4096))
        self._maps: list[Places] = []
        self._view = lru_cache(4 * _CHUNK)(self._read_view)
        self._step = step

    def spans(self) -> list[Span]:
        before = None
        for frame in self._frames:
            samples = even(self._ring(frame), self._count)
            self._maps.append(start(samples) if before is None else follow(before, self._maps[-1], samples))
            before = samples
            self._step()
        return self._spans(0, len(self._frames))

    def _read_view(self, i: int) -> View:
        return View(even(self._ring(self._frames[i]), self._count), self._maps[i])

    def _spans(self, low: int, high: int) -> list[Span]:
        """The frames at positions ``low`` to ``high`` as one span, or as two where that saves many points."""
        views = [self._view(i) for i in np.unique(np.linspace(low, high - 1, _VIEWS).round().astype(int))]
        middle = views[len(views) // 2]
        fixed = corners(middle)
        views = [view.anchored(fixed) for view in views]
        knots = choose(views, fixed, _CHOICE * self._tolerance)
        if high - low >= _SHORT:
            most = _MANY * len(choose([middle.anchored(fixed)], fixed, _CHOICE * self._tolerance)) + _SOME
        else:
            most = np.inf
        sharp = np.isin(knots, fixed)
        for number in range(_ROUNDS):
            smooth = _smooth(views, knots, sharp)
            poses, more = self._poses(low, high, knots, fixed, smooth)
            if len(knots) > most:
                middle_frame = (low + high) // 2
                return self._spans(low, middle_frame) + self._spans(middle_frame, high)
            if not len(more) or number == _ROUNDS - 1:
                break
            order = np.argsort(np.append(knots, more))
            knots, sharp = np.append(knots, more)[order], np.append(sharp, np.zeros(len(more), bool))[order]
        return [self._keyed(low, high, poses)]  # pyright: ignore[reportPossiblyUnboundVariable]

    def _poses(
        self, low: int, high: int, knots: NDArray[np.float64], fixed: NDArray[np.float64], smooth: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The pose of every frame (F, N, 6), and marks at which more knots are needed."""
        parts = []
        worst, worst_at = np.zeros(len(knots)), np.zeros(len(knots))
        for begin in range(low, high, _CHUNK):
            views = [self._view(i).anchored(fixed) for i in range(begin, min(begin + _CHUNK, high))]
            pose, gaps, places = _pose(views, knots, smooth)
            parts.append(pose)
            for view, gap, place in zip(views, gaps, places, strict=True):
                peak = gap.max(1)
                ends = np.append(place[1:], place[0] + len(view.samples))
                # Not at the very ends of a segment, where a knot would be of no use.
                t = np.clip(gap.argmax(1) / (gap.shape[1] - 1), 0.15, 0.85)
                found = knots[0] + (view.marks_of(place + (ends - place) * t) - knots[0]) % MARKS
                worst_at = np.where(peak > worst, found, worst_at)
                worst = np.maximum(worst, peak)
        # Of neighbours that are off, the worse one first: its knot helps the other.
        peaks = (worst >= np.roll(worst, 1)) & (worst >= np.roll(worst, -1))
        return np.concatenate(parts), worst_at[peaks & (worst > _POINTS * self._tolerance)]

    def _keyed(self, low: int, high: int, poses: NDArray[np.float64]) -> Span:
        frames = self._frames[low:high]
        fixed: set[int] = set()
        own = [deviation(drawn(pose), self._ring(frame), self._size) for frame, pose in zip(frames, poses, strict=True)]
        while True:
            chosen = reduce_keys(frames, poses, _KEYS * self._tolerance, fixed)
            span = Span(tuple(frames[i] for i in chosen), settled(frames, poses, chosen).round(3), {})
            for frame in frames:
                span.gaps[frame] = deviation(drawn(span.pose(frame)), self._ring(frame), self._size)
            gaps = [span.gaps[frame] for frame in frames]
            # A key helps where the pose of the frame itself is nearer.
            off = [i for i, gap in enumerate(gaps) if gap > max(self._tolerance, 1.1 * own[i]) and i not in fixed]
            if not off:
                for _ in frames:
                    self._step()
                return span
            fixed |= set(off)


def _arcs(views: Sequence[View], places: Sequence[Places]) -> NDArray[np.complex128]:
    return np.stack([v.arcs(p, np.append(p[1:], p[0] + len(v.samples))) for v, p in zip(views, places, strict=True)])


def _smooth(views: Sequence[View], knots: NDArray[np.float64], sharp: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which knots the outline passes without a corner, on most of ``views``."""
    arcs = _arcs(views, [view.place(knots) for view in views])
    one, two, _ = fit(arcs)
    return ~sharp & (np.median(_turns(arcs, one, two), axis=0) < _SMOOTH)


def _pose(
    views: Sequence[View], knots: NDArray[np.float64], smooth: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[Places]]:
    """Poses (F, N, 6), distances of each arc's points from the curve (F, N, ARC), and the knots' places."""
    places = [view.place(knots) for view in views]
    arcs = _arcs(views, places)
    one, two, _ = fit(arcs)
    # Where the outline turns sharply on this frame alone, the handles keep their own directions.
    level = smooth & (_turns(arcs, one, two) < 2 * _SMOOTH)
    loops = fit_loops(arcs, level)
    p, left, right = loops.points, loops.left, loops.right
    return np.stack([p.real, p.imag, left.real, left.imag, right.real, right.imag], -1), loops.gaps, places


def _turns(
    arcs: NDArray[np.complex128], one: NDArray[np.complex128], two: NDArray[np.complex128]
) -> NDArray[np.float64]:
    """By how much the handles at each knot (F, N) are out of line, in radians."""
    coming, going = arcs[..., 0] - np.roll(two, 1, axis=1), one - arcs[..., 0]
    return np.abs(np.angle(going * coming.conj()))
