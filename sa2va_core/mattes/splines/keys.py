"""Keys in time: the fewest poses between which straight motion of every point keeps the curve where it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Points of each segment at which motion is compared.
_STEPS = 6
#: No more frames than this from key to key, so that the search grows with the length only.
LONGEST = 100
#: So many ends in a row beyond the tolerance end the search for a longer stretch.
_PATIENCE = 6


def reduce_keys(frames: Sequence[int], poses: NDArray[np.float64], tolerance: float, fixed: set[int]) -> list[int]:
    """Positions in ``frames`` whose poses become keys; first and last are always among them, and so are ``fixed``.

    ``poses``: (F, N, 6). Between keys the drawn curve stays within ``tolerance`` pixels of its own pose, measured
    across the curve: sliding along it changes nothing that is seen. The number of keys is the smallest there is (a
    shortest path over all stretches that hold).
    """
    count = len(frames)
    if count == 1:
        return [0]
    points, normals = _across(poses)
    times = np.asarray(frames, np.float64)
    best, back = np.full(count, np.inf), np.zeros(count, np.int64)
    worst = np.full(count, np.inf)
    best[0] = worst[0] = 0
    for a in range(count - 1):
        failed = 0
        for b in range(a + 1, min(count, a + LONGEST + 1)):
            gap = _gap(points, normals, times, a, b)
            failed = 0 if gap <= tolerance else failed + 1
            # Of two ways with as many keys, the one that keeps closer.
            if gap <= tolerance and (best[a] + 1, max(worst[a], gap)) < (best[b], worst[b]):
                best[b], worst[b], back[b] = best[a] + 1, max(worst[a], gap), a
            if failed > _PATIENCE or b in fixed:
                break
    chosen = [count - 1]
    while chosen[-1] > 0:
        chosen.append(int(back[chosen[-1]]))
    return chosen[::-1]


def settled(frames: Sequence[int], poses: NDArray[np.float64], chosen: Sequence[int]) -> NDArray[np.float64]:
    """The poses of the keys ``chosen``, by least squares over all frames between: what jitters from frame to frame
    averages out."""
    times = np.asarray(frames, np.float64)
    hats = np.stack([np.interp(times, times[chosen], row) for row in np.eye(len(chosen))], 1)
    return np.linalg.lstsq(hats, poses.reshape(len(poses), -1), rcond=None)[0].reshape(len(chosen), *poses.shape[1:])


def _across(poses: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (F, S, 2) on each pose's curve, and unit normals there."""
    t = (np.arange(_STEPS) / _STEPS)[:, None]
    s = 1 - t
    following = np.roll(poses, -1, axis=1)
    a, b = poses[:, :, None, 0:2], poses[:, :, None, 4:6]
    c, d = following[:, :, None, 2:4], following[:, :, None, 0:2]
    points = s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d
    points = points.reshape(len(poses), -1, 2)
    along = np.roll(points, -1, axis=1) - np.roll(points, 1, axis=1)
    along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    return points, np.stack([-along[..., 1], along[..., 0]], -1)


def _gap(
    points: NDArray[np.float64], normals: NDArray[np.float64], times: NDArray[np.float64], a: int, b: int
) -> float:
    if b - a < 2:
        return 0.0
    t = ((times[a + 1 : b] - times[a]) / (times[b] - times[a]))[:, None, None]
    out = points[a] * (1 - t) + points[b] * t - points[a + 1 : b]
    return float(np.abs((out * normals[a + 1 : b]).sum(-1)).max())
