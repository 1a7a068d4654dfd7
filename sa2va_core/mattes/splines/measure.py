"""How far curves are from outlines: distances, and areas when both are drawn."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .outline import Vertices

#: Points that a curve is drawn with, for each Bézier segment.
STEPS = 32
#: Edges in a group, and points looked at together: points in a row are near the same groups.
_GROUP, _BLOCK = 12, 96


def drawn(pose: NDArray[np.float64], steps: int = STEPS) -> Vertices:
    """A closed Bézier as a polygon (N * steps, 2). ``pose``: (N, 6), x, y, left x, left y, right x, right y."""
    t = np.arange(steps)[:, None] / steps
    a, b = pose[:, None, 0:2], pose[:, None, 4:6]
    following = np.roll(pose, -1, axis=0)
    c, d = following[:, None, 2:4], following[:, None, 0:2]
    s = 1 - t
    points = s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d
    return points.reshape(-1, 2)


def distances(points: Vertices, ring: Vertices) -> NDArray[np.float64]:
    """Distance in pixels from each of ``points`` to the closed polygon ``ring``.

    Edges are looked at in groups: only those count whose bounding circle may be nearest.
    """
    edges = np.stack([ring, np.roll(ring, -1, axis=0)], 1)
    spare = -len(edges) % _GROUP
    edges = np.concatenate([edges, np.repeat(edges[-1:], spare, 0)]).reshape(-1, _GROUP, 2, 2)
    centre = edges.mean((1, 2))
    radius = np.sqrt(((edges - centre[:, None, None]) ** 2).sum(-1).max((1, 2)))
    found = np.zeros(len(points))
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        way = np.sqrt(((block[:, None] - centre) ** 2).sum(-1))
        low, high = way - radius, (way + radius).min(1, keepdims=True)
        most = int((low <= high).sum(1).max())
        near = np.argpartition(low, most - 1, axis=1)[:, :most] if most < len(centre) else np.arange(len(centre))[None]
        a, b = edges[near, :, 0], edges[near, :, 1]
        along, out = b - a, block[:, None, None] - a
        t = np.clip((out * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12), 0, 1)
        found[start : start + _BLOCK] = np.sqrt(((out - t[..., None] * along) ** 2).sum(-1).min((1, 2)))
    return found


def within(points: Vertices, size: tuple[int, int]) -> Vertices:
    """Those of ``points`` that lie on the plate of ``size`` (width, height)."""
    return points[((points > 0) & (points < size)).all(axis=1)]


def deviation(curve: Vertices, ring: Vertices, size: tuple[int, int]) -> float:
    """The greatest distance between a drawn curve and an outline, either way, on the plate."""
    there = distances(within(curve, size), ring)
    back = distances(within(ring, size), curve)
    return float(max(there.max(initial=0), back.max(initial=0)))


def raster(rings: Iterable[Vertices], size: tuple[int, int], scale: int = 1) -> NDArray[np.bool_]:
    """Which pixel centres of a plate of ``size`` (width, height), ``scale`` times finer, lie inside the closed polygons
    by the non-zero rule, which fills as both hosts do. Bool (height * scale, width * scale)."""
    width, height = size[0] * scale, size[1] * scale
    turns = np.zeros((height, width + 1), np.int32)
    for ring in rings:
        a = ring * scale
        b = np.roll(a, -1, axis=0)
        # Rows whose centre line an edge crosses: first at or below its upper end, last above its lower end.
        upper, lower = np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 1], b[:, 1])
        first = np.maximum(np.ceil(upper - 0.5), 0).astype(np.int64)
        last = np.minimum(np.ceil(lower - 0.5), height).astype(np.int64)
        count = np.maximum(last - first, 0)
        edge = np.repeat(np.arange(len(a)), count)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        slope = (b[edge, 0] - a[edge, 0]) / (b[edge, 1] - a[edge, 1])
        x = a[edge, 0] + (row + 0.5 - a[edge, 1]) * slope
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.add.at(turns, (row, column), np.where(b[edge, 1] > a[edge, 1], 1, -1))
    return np.cumsum(turns[:, :-1], axis=1) != 0
