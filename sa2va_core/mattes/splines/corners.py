"""An outline at a key as knots see it, and its corners."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .follow import Places, Samples, at

#: Points of an outline that a segment is fitted to.
ARC = 48
#: An outline that turns by more than this, looked at over few pixels and over more, has a corner there.
_TURN = np.radians(40)
_CORNER_PX = 4.0
_WIDER = 3
#: The sharpest corners are kept; with more of them an outline is rags, not corners.
_CORNERS = 32
#: A corner is drawn out by no more pixels than this, so that the curve stays near the matte's own outline.
_DRAWN_OUT = 0.6


class View:
    """One key of a span, as knots see it: marks on the outline, and where they were moved to along it."""

    def __init__(self, samples: Samples, along: Places | None = None) -> None:
        self.samples = samples
        self._along = np.arange(len(samples) + 1.0) if along is None else along

    def anchored(self, marks: Places) -> View:
        """The same view, corner ``marks`` moved to the sharpest turn within a few pixels, others along with them."""
        if not len(marks):
            return self
        count = len(self.samples)
        turn = turning(self.samples)
        offsets = np.arange(-_reach(self.samples), _reach(self.samples) + 1)
        window = np.round(marks)[:, None] + offsets
        found = turn[window.astype(np.int64) % count] - 1e-3 * np.abs(offsets)
        best = np.argmax(found, 1)
        rows = np.arange(len(marks))
        shift = np.where(found[rows, best] > _TURN / 2, window[rows, best] - marks, 0.0)
        moved = np.arange(count) + np.interp(np.arange(count), marks, shift, period=count)
        along = np.append(moved, moved[0] + count)
        sharp = _sharpened(self.samples, np.unique(window[rows, best][shift != 0].astype(int)))
        # A corner that would run into its neighbour is no corner here.
        return View(sharp, along) if (np.diff(along) > 0).all() else self

    def arcs(self, starts: Places, ends: Places) -> Samples:
        """(..., ARC) points of the outline from each start to each end, which may run on beyond one turn."""
        t = np.linspace(0, 1, ARC)
        marks = starts[..., None] * (1 - t) + ends[..., None] * t
        count = len(self.samples)
        turn = np.floor(marks / count)
        places = np.interp(marks - turn * count, np.arange(count + 1), self._along) + turn * count
        return at(self.samples, places)


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
    spacing = float(np.median(np.abs(np.diff(samples))))
    return max(2, round(_CORNER_PX / max(spacing, 1e-6)))


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


def corners(view: View) -> Places:
    """The marks of an outline's corners, rising."""
    turn = turning(view.samples)
    n = len(turn)
    k = 2 * _reach(view.samples)
    places: list[int] = []
    for i in np.argsort(-turn, kind="stable").tolist():
        if turn[i] < _TURN or len(places) == _CORNERS:
            break
        if all(min(abs(i - j), n - abs(i - j)) > k for j in places):
            places.append(i)
    return np.sort(np.array(places, np.float64))
