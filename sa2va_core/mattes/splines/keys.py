"""Keys in time: the fewest frames between which straight motion of every mark keeps to the outline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

Marks = NDArray[np.complex128]
#: This share of an outline keeps the tolerance for good, this one on every single frame; elsewhere it may be missed by
#: so many times the tolerance, and by so many on one frame alone.
_MOSTLY, _MAINLY, _HERE, _MOMENT = 0.95, 0.85, 1.4, 1.8
#: What an outline does in fewer waves than this around it is motion, the rest flicker.
_MOTION = 16
#: Frames from which flicker can be told.
_TELLING = 8
#: Frames over which an outline is to keep its room on the mean, and how many times the room one frame may take.
_WHILE, _PEAK = 9, 4 / 3
#: Keys each way that decide whether one between them is needed, and what is off by more than this then is not helped by
#: moving its neighbours.
_NEAR, _HOPELESS = 3, 1.5


@dataclass(frozen=True)
class Moving:
    """An outline in motion: ``points`` (F, M), marks on it at F ``times``; and what keys are held to. They stay within
    ``tolerance`` pixels of the outline, measured across it (sliding along it changes nothing that is seen), where they
    are off for more than a frame: distances are averaged over ``along`` marks, and on one frame alone twice the
    tolerance. On the mean over the outline and a few frames they are off by no more than ``room`` (F), in pixels."""

    times: NDArray[np.float64]
    points: Marks
    tolerance: float
    along: int
    room: NDArray[np.float64]

    def part(self, low: int, high: int) -> Moving:
        near = slice(low, high + 1)
        return replace(self, times=self.times[near], points=self.points[near], room=self.room[near])

    def marks(self, chosen: Sequence[int]) -> Marks:
        """The marks at the positions ``chosen``, by least squares over all frames, so that what jitters averages
        out."""
        return _settled(self.times, self.points, chosen)

    def across(self, chosen: Sequence[int]) -> NDArray[np.float64]:
        """How far each mark is across its outline (F, M) with keys at ``chosen``."""
        return _across(between(self.times, self.times[list(chosen)], self.marks(chosen)) - self.points, self.points)

    def off(self, chosen: Sequence[int]) -> NDArray[np.float64]:
        """By how much each frame's outline is missed, as a share of what it may be."""
        across, along = self.across(chosen), self.along
        sums = np.cumsum(np.concatenate([across[:, -along:], across, across[:, :along]], 1), 1)
        width = 2 * (along // 2) + 1
        start = along - along // 2 - 1
        count = self.points.shape[1]
        mean = (sums[:, start + width : start + width + count] - sums[:, start : start + count]) / width
        before, after = np.concatenate([mean[:1], mean[:-1]]), np.concatenate([mean[1:], mean[-1:]])
        middle = np.maximum(np.minimum(before, after), np.minimum(np.maximum(before, after), mean))
        lasting, now = np.abs(middle), np.abs(mean)
        peaks = np.maximum(lasting.max(1) / _HERE, now.max(1) / _MOMENT)
        mostly = np.maximum(np.quantile(lasting, _MOSTLY, axis=1), np.quantile(now, _MAINLY, axis=1))
        taken = np.abs(across).mean(1) / self.room
        whole = np.maximum(_over_a_while(taken), taken / _PEAK)
        return np.maximum(np.maximum(peaks, mostly) / self.tolerance, whole)


def keyed(moving: Moving) -> list[int]:
    """Positions that become keys, first and last among them: few between which straight motion will do."""
    last = len(moving.times) - 1
    chosen = _added(moving, [0, last]) if last else [0]
    for i in _by_need(moving, chosen):
        chosen = _without(moving, chosen, i)
    return _added(moving, chosen)


def _without(moving: Moving, chosen: list[int], i: int) -> list[int]:
    """``chosen`` without ``i``, the keys beside it moved a little where that helps; with it where it is needed."""
    if i not in chosen:
        return chosen
    at = chosen.index(i)
    low, high = chosen[max(0, at - _NEAR)], chosen[min(len(chosen) - 1, at + _NEAR)]
    near = moving.part(low, high)
    before, after = (
        [j] if j in (0, len(moving.times) - 1) else [j, j + inwards, j - inwards]
        for j, inwards in ((chosen[at - 1], 1), (chosen[at + 1], -1))
    )
    for one, two in product(before, after):
        tried = [*chosen[: at - 1], one, two, *chosen[at + 2 :]]
        if tried != sorted(set(tried)):
            continue
        off = near.off([j - low for j in tried if low <= j <= high]).max()
        if off <= 1:
            return tried
        if off > _HOPELESS:
            break
    return chosen


def flicker(points: Marks) -> float:
    """How far, in pixels, marks (F, M) mostly are across their outline from halfway between the frames before and
    after, without what a limb's length of the outline does together: that is motion. Few frames do not tell."""
    if len(points) < _TELLING:
        return 0.0
    waves = np.fft.fft(_across(points[1:-1] - (points[:-2] + points[2:]) / 2, points[1:-1]), axis=1)
    count = points.shape[1]
    waves[:, np.abs(np.fft.fftfreq(count)) * count < _MOTION] = 0
    return float(np.median(np.abs(np.fft.ifft(waves, axis=1).real)))


def _over_a_while(taken: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean around each frame; at the ends over as many frames as there are."""
    sums = np.cumsum(np.append(0.0, taken))
    frame = np.arange(len(taken))
    low, high = np.maximum(frame - _WHILE // 2, 0), np.minimum(frame + _WHILE // 2 + 1, len(taken))
    return (sums[high] - sums[low]) / (high - low)


def _across(out: Marks, points: Marks) -> NDArray[np.float64]:
    """The part of ``out`` that is square to the outlines ``points``."""
    tangent = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
    return (out * (1j * tangent / np.maximum(np.abs(tangent), 1e-9)).conj()).real


def _added(moving: Moving, chosen: list[int]) -> list[int]:
    """``chosen`` and, stretch by stretch, the frame that is farthest off, until none is off by more than it may."""
    chosen = sorted(chosen)
    while True:
        off = moving.off(chosen)
        more = []
        for a, b in pairwise(chosen):
            inside = off[a : b + 1]
            if b - a > 1 and inside.max() > 1:
                # A key that is off itself needs another one beside it.
                more.append(a + 1 + int(np.argmax(inside[1:-1])))
        if not more:
            return chosen
        chosen = sorted({*chosen, *more})


def _by_need(moving: Moving, chosen: list[int]) -> list[int]:
    """Keys between first and last, those first at which motion changes least."""
    if len(chosen) < 3:
        return []
    marks, t = moving.marks(chosen), moving.times[chosen]
    share = ((t[1:-1] - t[:-2]) / (t[2:] - t[:-2]))[:, None]
    bend = np.abs(marks[:-2] * (1 - share) + marks[2:] * share - marks[1:-1]).max(1)
    return [chosen[i + 1] for i in np.argsort(bend, kind="stable")]


def between(times: NDArray[np.float64], keys: NDArray[np.float64], marks: Marks) -> Marks:
    """``marks`` (K, M) at ``keys`` moved in straight lines to ``times``."""
    if len(keys) == 1:
        return np.repeat(marks, len(times), 0)
    after = np.clip(np.searchsorted(keys, times), 1, len(keys) - 1)
    share = ((times - keys[after - 1]) / (keys[after] - keys[after - 1]))[:, None]
    return marks[after - 1] * (1 - share) + marks[after] * share


def _settled(times: NDArray[np.float64], points: Marks, chosen: Sequence[int]) -> Marks:
    """Marks at the keys ``chosen``, by least squares over all frames between. The system couples neighbours only."""
    keys = times[list(chosen)]
    if len(keys) == 1:
        return points[list(chosen)]
    after = np.clip(np.searchsorted(keys, times), 1, len(keys) - 1)
    share = (times - keys[after - 1]) / (keys[after] - keys[after - 1])
    diagonal, beside = np.zeros(len(keys)), np.zeros(len(keys) - 1)
    np.add.at(diagonal, after - 1, (1 - share) ** 2)
    np.add.at(diagonal, after, share**2)
    np.add.at(beside, after - 1, share * (1 - share))
    right = np.zeros((len(keys), points.shape[1]), np.complex128)
    np.add.at(right, after - 1, points * (1 - share)[:, None])
    np.add.at(right, after, points * share[:, None])
    for k in range(1, len(keys)):
        factor = beside[k - 1] / diagonal[k - 1]
        diagonal[k] -= factor * beside[k - 1]
        right[k] -= factor * right[k - 1]
    right[-1] /= diagonal[-1]
    for k in range(len(keys) - 2, -1, -1):
        right[k] = (right[k] - beside[k] * right[k + 1]) / diagonal[k]
    return right
