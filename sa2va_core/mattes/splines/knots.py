"""Where a track's Bézier points sit: corners first, then as few as the tolerance allows, on all frames at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .bezier import fit
from .follow import MARKS, Places, Samples, at

#: Points of an outline that a segment is fitted to.
ARC = 48
#: An outline that turns by more than this, looked at over few pixels and over more, has a corner there.
_TURN = np.radians(40)
_CORNER_PX = 4.0
_WIDER = 3
#: A corner is drawn out by no more pixels than this, so that the curve stays near the matte's own outline.
_DRAWN_OUT = 0.6


class View:
    """One frame of a track, as knots see it: even samples, and where the marks lie on them."""

    def __init__(self, samples: Samples, places: Places) -> None:
        self.samples = samples
        self._along = np.append(places, places[0] + len(samples))

    def anchored(self, marks: NDArray[np.float64]) -> View:
        """The same view, corner ``marks`` moved to the sharpest turn within a few pixels, others along with them."""
        if not len(marks):
            return self
        places = self.place(marks)
        turn = turning(self.samples)
        offsets = np.arange(-_reach(self.samples), _reach(self.samples) + 1)
        window = np.round(places)[:, None] + offsets
        found = turn[window.astype(np.int64) % len(turn)] - 1e-3 * np.abs(offsets)
        best = np.argmax(found, 1)
        rows = np.arange(len(places))
        shift = np.where(found[rows, best] > _TURN / 2, window[rows, best] - places, 0.0)
        moved = self._along[:-1] + np.interp(np.arange(MARKS), marks, shift, period=MARKS)
        view = View(_sharpened(self.samples, np.unique(window[rows, best][shift != 0].astype(int))), moved)
        # A corner that would run into its neighbour is no corner here.
        return view if (np.diff(view._along) > 0).all() else self

    def place(self, marks: NDArray[np.float64]) -> Places:
        """Sample places of fractional ``marks``, which may run on beyond one turn."""
        turn = np.floor(marks / MARKS)
        inside = marks - turn * MARKS
        return np.interp(inside, np.arange(MARKS + 1), self._along) + turn * len(self.samples)

    def marks_of(self, places: Places) -> NDArray[np.float64]:
        n = len(self.samples)
        turn = np.floor((places - self._along[0]) / n)
        return np.interp(places - turn * n, self._along, np.arange(MARKS + 1)) + turn * MARKS

    def arcs(self, starts: Places, ends: Places) -> Samples:
        """(k, ARC) points of the outline from each start to each end."""
        t = np.linspace(0, 1, ARC)
        return at(self.samples, starts[:, None] * (1 - t) + ends[:, None] * t)


def turning(samples: Samples) -> NDArray[np.float64]:
    """How much the outline turns at each sample, in radians, over a few pixels; no more than over three times as many,
    so that the steps of a noisy edge count for little."""
    k = min(_reach(samples), len(samples) // (4 * _WIDER))
    turns = []
    for reach in (k, k * _WIDER):
        there, here = np.roll(samples, -reach) - samples, samples - np.roll(samples, reach)
        turns.append(np.abs(np.angle(there * here.conj())))
    return np.minimum(*turns)


def _reach(samples: Samples) -> int:
    """How many samples a corner is looked at over, each way."""
    return max(2, round(_CORNER_PX / max(float(np.abs(samples[1] - samples[0])), 1e-6)))


def _sharpened(samples: Samples, places: NDArray[np.int64]) -> Samples:
    """The corners at ``places`` drawn out towards where the lines on both sides meet: a pixel grid rounds them off."""
    if not len(places):
        return samples
    k, n = _reach(samples), len(samples)
    sharp = samples.copy()
    side = np.arange(k // 2, 3 * k)
    for i in places % n:
        a, u = _line(samples[(i - side) % n])
        b, v = _line(samples[(i + side) % n])
        cross = (u.conjugate() * v).imag
        if abs(cross) < 0.2:
            continue
        tip = a + u * (((b - a).conjugate() * v).imag / cross)
        out = tip - samples[i]
        out *= min(1.0, _DRAWN_OUT / max(abs(out), 1e-9))
        # Neighbours along, less and less, so that the sides stay straight.
        for j in range(-(k // 2), k // 2 + 1):
            sharp[(i + j) % n] += out * (1 - abs(j) / (k // 2 + 1))
    return sharp


def _line(points: Samples) -> tuple[complex, complex]:
    """A point and the unit direction of the line nearest to ``points``."""
    middle = complex(points.mean())
    # The principal axis of points in the plane is half the angle of their mean square.
    return middle, complex(np.exp(0.5j * np.angle(((points - middle) ** 2).sum())))


def corners(view: View) -> NDArray[np.float64]:
    """The marks of an outline's corners, rising."""
    turn = turning(view.samples)
    n = len(turn)
    k = 2 * _reach(view.samples)
    places = []
    for i in np.argsort(-turn, kind="stable"):
        if turn[i] < _TURN:
            break
        if all(min(abs(i - j), n - abs(i - j)) > k for j in places):
            places.append(int(i))
    return np.sort(view.marks_of(np.array(places, np.float64)) % MARKS)


def choose(views: Sequence[View], fixed: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Marks of few knots, the ``fixed`` ones among them, between which one Bézier each comes within ``tolerance``
    pixels of the outline on every view. Rising, at least two, the first below MARKS."""
    fixed = fixed if len(fixed) else np.array([0.0])
    ends = np.append(fixed[1:], fixed[0] + MARKS)
    knots: list[float] = []
    for a, b in zip(fixed, ends, strict=True):
        knots += _between(views, a, b, tolerance)
    if len(knots) < 2:
        knots.append(knots[0] + MARKS / 2)
    return np.array(knots)


def _between(views: Sequence[View], a: float, b: float, tolerance: float) -> list[float]:
    """The knots from ``a`` up to, but without, ``b``: as few as will do, then as even as that number can be."""
    best = _walk(views, a, b, tolerance)
    low, high = 0.0, tolerance
    for _ in range(4):
        middle = (low + high) / 2
        tried = _walk(views, a, b, middle)
        if len(tried) <= len(best):
            best, high = tried, middle
        else:
            low = middle
    return best


def _walk(views: Sequence[View], a: float, b: float, tolerance: float) -> list[float]:
    knots = [a]
    while b - knots[-1] > 1e-6:
        here = knots[-1]
        left = b - here
        # A whole turn cannot be one segment, nor nearly one.
        most = min(left, MARKS * 0.6)
        tries = np.unique(np.append(here + np.geomspace(min(1.0, most), most, 14), here + min(left, most)))
        good = tries[_worst(views, here, tries) <= tolerance]
        reached = float(good[-1]) if len(good) else float(tries[0])
        longer = tries[tries > reached]
        if len(good) and len(longer):
            finer = np.linspace(reached, longer[0], 6)[1:-1]
            good = finer[_worst(views, here, finer) <= tolerance]
            reached = float(good[-1]) if len(good) else reached
        knots.append(b if b - reached < 0.5 else reached)
    return knots[:-1]


def _worst(views: Sequence[View], start: float, ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """The greatest distance over all views of a Bézier from ``start`` to each of ``ends``."""
    arcs = np.stack([view.arcs(view.place(np.full(len(ends), start)), view.place(ends)) for view in views])
    return fit(arcs)[2].max(-1).max(0)
