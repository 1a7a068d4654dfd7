"""Keys in time: the fewest frames between which straight motion of every mark keeps to the outline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Marks = NDArray[np.complex128]
#: This share of an outline keeps the tolerance for good, this one on every single frame; elsewhere it may be missed by
#: so many times the tolerance, and by so many on one frame alone.
_MOSTLY, _MAINLY, _HERE, _MOMENT = 0.95, 0.85, 1.4, 1.8
#: What an outline does in fewer waves than this around it is motion, the rest flicker.
_MOTION = 16


def keyed(frames: Sequence[int], points: Marks, tolerance: float, along: int) -> tuple[list[int], Marks]:
    """Positions in ``frames`` that become keys, first and last among them, and the marks there (K, M).

    ``points``: (F, M), marks on the outlines. Marks at keys are fitted to all frames between by least squares, so what
    jitters averages out. They stay within ``tolerance`` pixels of the outlines, measured across these (sliding along an
    outline changes nothing that is seen), where they are off for more than a frame: distances are averaged over
    ``along`` marks, and on one frame alone twice the tolerance.
    """
    times = np.asarray(frames, np.float64)
    chosen = _added(times, points, [0, len(times) - 1], tolerance, along) if len(times) > 1 else [0]
    for i in _by_need(times, points, chosen):
        at = chosen.index(i)
        low, high = chosen[max(0, at - 2)], chosen[min(len(chosen) - 1, at + 2)]
        others = [j - low for j in chosen if low <= j <= high and j != i]
        near = slice(low, high + 1)
        if _off(times[near], points[near], others, along).max() <= tolerance:
            chosen.remove(i)
    chosen = _added(times, points, chosen, tolerance, along)
    return chosen, _settled(times, points, chosen)


def flicker(points: Marks) -> float:
    """How far, in pixels, marks (F, M) mostly are across their outline from halfway between the frames before and
    after, without what a limb's length of the outline does together: that is motion."""
    if len(points) < 3:
        return 0.0
    waves = np.fft.fft(_across(points[1:-1] - (points[:-2] + points[2:]) / 2, points[1:-1]), axis=1)
    count = points.shape[1]
    waves[:, np.abs(np.fft.fftfreq(count)) * count < _MOTION] = 0
    return float(np.median(np.abs(np.fft.ifft(waves, axis=1).real)))


def _across(out: Marks, points: Marks) -> NDArray[np.float64]:
    """The part of ``out`` that is square to the outlines ``points``."""
    tangent = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
    return (out * (1j * tangent / np.maximum(np.abs(tangent), 1e-9)).conj()).real


def _added(times: NDArray[np.float64], points: Marks, chosen: list[int], tolerance: float, along: int) -> list[int]:
    """``chosen`` and, stretch by stretch, the frame that is farthest off, until none is by more than the tolerance."""
    chosen = sorted(chosen)
    while True:
        off = _off(times, points, chosen, along)
        more = []
        for a, b in pairwise(chosen):
            inside = off[a : b + 1]
            if b - a > 1 and inside.max() > tolerance:
                # A key that is off itself needs another one beside it.
                more.append(a + 1 + int(np.argmax(inside[1:-1])))
        if not more:
            return chosen
        chosen = sorted({*chosen, *more})


def _by_need(times: NDArray[np.float64], points: Marks, chosen: list[int]) -> list[int]:
    """Keys between first and last, those first at which motion changes least."""
    if len(chosen) < 3:
        return []
    marks, t = _settled(times, points, chosen), times[chosen]
    share = ((t[1:-1] - t[:-2]) / (t[2:] - t[:-2]))[:, None]
    bend = np.abs(marks[:-2] * (1 - share) + marks[2:] * share - marks[1:-1]).max(1)
    return [chosen[i + 1] for i in np.argsort(bend, kind="stable")]


def _off(times: NDArray[np.float64], points: Marks, chosen: list[int], along: int) -> NDArray[np.float64]:
    """By how much each frame's outline is missed, in pixels, where it is missed for more than a moment."""
    across = _across(between(times, times[chosen], _settled(times, points, chosen)) - points, points)
    sums = np.cumsum(np.concatenate([across[:, -along:], across, across[:, :along]], 1), 1)
    width = 2 * (along // 2) + 1
    start = along - along // 2 - 1
    count = points.shape[1]
    mean = (sums[:, start + width : start + width + count] - sums[:, start : start + count]) / width
    before, after = np.concatenate([mean[:1], mean[:-1]]), np.concatenate([mean[1:], mean[-1:]])
    middle = np.maximum(np.minimum(before, after), np.minimum(np.maximum(before, after), mean))
    lasting, now = np.abs(middle), np.abs(mean)
    peaks = np.maximum(lasting.max(1) / _HERE, now.max(1) / _MOMENT)
    return np.maximum(peaks, np.maximum(np.quantile(lasting, _MOSTLY, axis=1), np.quantile(now, _MAINLY, axis=1)))


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
