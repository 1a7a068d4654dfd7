"""How far curves are from outlines: distances, and areas when both are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .outline import LEVEL, Vertices, outlines, signed_area

#: Points that a curve is drawn with, for each Bézier segment.
STEPS = 32
#: Edges in a group, and points looked at together: points in a row are near the same groups.
_GROUP, _BLOCK = 12, 96
#: Sub-samples a side when curves are drawn, and pixels around what is drawn.
_FINE, _MARGIN = 4, 4
#: A part of the matte is followed where half of its outline lies within so many tolerances of a curve.
_FOLLOWED = 4.0
#: Parts of a smaller area than this, in squares of the tolerance, are specks, whatever lies near.
_SPECK = 9 * np.pi


def drawn(pose: NDArray[np.float64], steps: int = STEPS) -> Vertices:
    """A closed Bézier as a polygon (N * steps, 2). ``pose``: (N, 6), x, y, left x, left y, right x, right y."""
    t = np.arange(steps)[:, None] / steps
    a, b = pose[:, None, 0:2], pose[:, None, 4:6]
    following = np.roll(pose, -1, axis=0)
    c, d = following[:, None, 2:4], following[:, None, 0:2]
    s = 1 - t
    points = s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d
    return points.reshape(-1, 2)


def distances(points: Vertices, rings: Sequence[Vertices]) -> NDArray[np.float64]:
    """Distance in pixels from each of ``points`` to the nearest of the closed polygons ``rings``.

    Edges are looked at in groups: only those count whose bounding circle may be nearest.
    """
    edges = np.concatenate([np.stack([ring, np.roll(ring, -1, axis=0)], 1) for ring in rings])
    spare = -len(edges) % _GROUP
    edges = np.concatenate([edges, np.repeat(edges[-1:], spare, 0)]).reshape(-1, _GROUP, 2, 2)
    centre = edges.mean((1, 2))
    radius = np.sqrt(((edges - centre[:, None, None]) ** 2).sum(-1).max((1, 2)))
    found = np.zeros(len(points))
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        # Groups that are near none of these points, told from the middle of them all, are left out first.
        middle = block.mean(0)
        out, size = np.sqrt(((centre - middle) ** 2).sum(-1)), np.sqrt(((block - middle) ** 2).sum(-1).max())
        close = np.flatnonzero(out - radius <= (out + radius).min() + 2 * size)
        way = np.sqrt(((block[:, None] - centre[close]) ** 2).sum(-1))
        low, high = way - radius[close], (way + radius[close]).min(1, keepdims=True)
        most = int((low <= high).sum(1).max())
        near = np.argpartition(low, most - 1, axis=1)[:, :most] if most < len(close) else np.arange(len(close))[None]
        a, b = edges[close[near], :, 0], edges[close[near], :, 1]
        along, out = b - a, block[:, None, None] - a
        t = np.clip((out * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12), 0, 1)
        found[start : start + _BLOCK] = np.sqrt(((out - t[..., None] * along) ** 2).sum(-1).min((1, 2)))
    return found


def within(points: Vertices, size: tuple[int, int]) -> Vertices:
    """Those of ``points`` that lie on the plate of ``size`` (width, height)."""
    return points[((points > 0) & (points < size)).all(axis=1)]


#: Polygons in drawing order, and whether each clears what it covers.
Layers = Sequence[tuple[Vertices, bool]]


@dataclass(frozen=True)
class Compared:
    """``worst``: the greatest distance in pixels between the half-way outline of a soft drawing of curves and the
    matte's, either way; parts of the matte that no curve follows do not count. ``dropped``: the greatest area of such a
    part, in square pixels. ``iou``: intersection over union of the pixels of both whose coverage is over one half, of
    all of the matte."""

    worst: float
    iou: float
    dropped: float


def compared(curves: Layers, matte: Layers, size: tuple[int, int], tolerance: float) -> Compared:
    """How far ``curves``, drawn on a plate of ``size`` (width, height), are from the outlines ``matte``."""
    window, _, *shifted = framed(curves, matte, size)
    if min(window) < 2:
        return Compared(0.0, 1.0, 0.0)
    fine = filled(shifted[0], window, _FINE)
    alpha = cv2.resize(fine.view(np.uint8).astype(np.float32), window, interpolation=cv2.INTER_AREA)
    alpha = np.asarray(alpha, np.float32)
    a, b = alpha > LEVEL, filled(shifted[1], window)
    union = int(np.count_nonzero(a | b))
    iou = float(np.count_nonzero(a & b) / union) if union else 1.0
    there = [item.points for item in outlines(alpha)]
    worst, dropped, followed = 0.0, 0.0, []
    for ring, _ in shifted[1]:
        area = abs(signed_area(ring))
        gaps = _nearest(ring, there, window) if area >= _SPECK * tolerance**2 else np.zeros(0)
        if not len(gaps) or np.median(gaps) > _FOLLOWED * tolerance:
            dropped = max(dropped, area)
            continue
        followed.append(ring)
        worst = max(worst, float(gaps.max()))
    if followed:
        worst = max(worst, *(float(_nearest(line, followed, window).max(initial=0)) for line in there))
    return Compared(worst, iou, dropped)


def framed(
    curves: Layers, matte: Layers, size: tuple[int, int]
) -> tuple[tuple[int, int], NDArray[np.int64], Layers, Layers]:
    """The part of a plate of ``size`` that holds both: its (width, height), its corner, and both as they lie in it."""
    points = np.concatenate([np.zeros((0, 2)), *(ring for ring, _ in (*curves, *matte))])
    if not len(points):
        return (0, 0), np.zeros(2, np.int64), [], []
    low = np.clip(np.floor(points.min(0)) - _MARGIN, 0, size).astype(np.int64)
    high = np.clip(np.ceil(points.max(0)) + _MARGIN, low, size).astype(np.int64)
    one, two = ([(ring - low, hole) for ring, hole in layers] for layers in (curves, matte))
    return (int(high[0] - low[0]), int(high[1] - low[1])), low, one, two


def _nearest(points: Vertices, rings: Sequence[Vertices], size: tuple[int, int]) -> NDArray[np.float64]:
    """The distance from each of ``points`` on the plate to the nearest of ``rings``."""
    inside = within(points, size)
    return distances(inside, rings) if len(inside) and rings else np.zeros(0)


def filled(layers: Layers, size: tuple[int, int], scale: int = 1) -> NDArray[np.bool_]:
    """``layers`` drawn in order on a plate of ``size`` (width, height), ``scale`` times finer."""
    mask = np.zeros((size[1] * scale, size[0] * scale), bool)
    for ring, hole in layers:
        low = np.clip(np.floor(ring.min(0)), 0, size).astype(int)
        high = np.clip(np.ceil(ring.max(0)), low, size).astype(int)
        inside = raster(ring - low, (int(high[0] - low[0]), int(high[1] - low[1])), scale)
        near = mask[low[1] * scale : high[1] * scale, low[0] * scale : high[0] * scale]
        near[inside] = not hole
    return mask


def raster(ring: Vertices, size: tuple[int, int], scale: int = 1) -> NDArray[np.bool_]:
    """Which pixel centres of a plate of ``size`` (width, height), ``scale`` times finer, lie inside a closed polygon by
    the non-zero rule, which fills as both hosts do. Bool (height * scale, width * scale)."""
    width, height = size[0] * scale, size[1] * scale
    a = ring * scale
    b = np.roll(a, -1, axis=0)
    # Rows whose centre line an edge crosses: first at or below its upper end, last above its lower end.
    upper, lower = np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 1], b[:, 1])
    first = np.clip(np.ceil(upper - 0.5), 0, height).astype(np.int64)
    count = np.clip(np.ceil(lower - 0.5), first, height).astype(np.int64) - first
    edge = np.repeat(np.arange(len(a)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    slope = (b[edge, 0] - a[edge, 0]) / (b[edge, 1] - a[edge, 1])
    x = a[edge, 0] + (row + 0.5 - a[edge, 1]) * slope
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    turns = np.zeros((height, width + 1), np.int8)
    np.add.at(turns, (row, column), np.where(b[edge, 1] > a[edge, 1], 1, -1).astype(np.int8))
    return np.cumsum(turns[:, :-1], axis=1, dtype=np.int8) != 0
