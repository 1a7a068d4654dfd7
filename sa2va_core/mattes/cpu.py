"""The matte stage's steps in numpy and OpenCV, for engines without a GPU.

Edges are worked out for the cells near the band alone, kept as a list; only their sums go over planes. What numpy and
OpenCV do on one core by themselves goes through two threads. The same bytes every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sa2va_core.media.frames import Picture

from . import edges
from .device import Seen
from .matte import Matte, Plane
from .steady import steady
from .window import EMPTY, POINTS, Map, Size, Window, at_plate, guide

T = TypeVar("T")
Planes = NDArray[np.float32]

_IN_LIGHT = ((np.arange(256) / 255.0) ** edges.LIGHT).astype(np.float32)
# Pixels that are worked out at a time: a dozen planes of so many stay in the cache.
_STRIP = 1 << 16


@dataclass(frozen=True)
class _OnHost:
    picture: Picture


class Cpu:
    """A :class:`.device.Device`."""

    step = 1

    def hold(self, picture: Picture, size: Size) -> Seen:
        return _OnHost(at_plate(picture, size))

    def edges(self, seen: Seen, outer: Window, inner: Window, prior: edges.Prior) -> Plane:
        looked_at = _looked_at(outer, inner, prior.band)
        part = looked_at.inside(outer)
        coverage, band = prior.coverage[part], prior.band[part]
        points, pixels = prior.logits.samples(looked_at, POINTS), prior.logits.samples(inner, inner.cell)
        around = _in_light(guide(seen.picture, looked_at))
        at_points = np.stack([_reduced(channel, points.shape) for channel in around])
        cell, (rows, columns) = inner.cell, inner.inside(looked_at)
        with ThreadPoolExecutor(2) as pool:
            found = edges.fit(np, _Near(band, pool), at_points, points, coverage, band, prior.weight)
            # The cells of the inner window and one more on each side, repeated where there is none.
            padded = np.pad(found, ((0, 0), (1, 1), (1, 1)), mode="edge")
            ringed = np.ascontiguousarray(padded[:, rows.start : rows.stop + 2, columns.start : columns.stop + 2])
            own = np.s_[rows.start * cell : rows.stop * cell, columns.start * cell : columns.stop * cell]
            alpha = _applied(pool, ringed, [channel[own] for channel in around], pixels, prior.weight)
        x0, y0, x1, y1 = inner.box
        alpha = np.ascontiguousarray(alpha[: y1 - y0, : x1 - x0])
        alpha[alpha < EMPTY] = 0.0
        return alpha

    def steady(self, now: Matte, seen: Seen, beside: Sequence[tuple[Matte, Seen]]) -> Matte:
        return steady(now, seen.picture, [(other, there.picture) for other, there in beside])

    def fetched(self, matte: Matte) -> Matte:
        return matte


def _looked_at(outer: Window, inner: Window, band: Map) -> Window:
    """``inner`` and all of ``outer`` that may count for what is done in ``band``."""
    x, y, width, height = cv2.boundingRect((band > 0.0).astype(np.uint8))
    if not width:
        return inner
    x, y, far = x + outer.x0, y + outer.y0, edges.LOOKS
    return Window(
        min(inner.x0, max(outer.x0, x - far)),
        min(inner.y0, max(outer.y0, y - far)),
        max(inner.x1, min(outer.x1, x + width + far)),
        max(inner.y1, min(outer.y1, y + height + far)),
        outer.cell,
        outer.size,
    )


def _in_light(guide: NDArray[np.uint8]) -> list[Map]:
    """A picture's channels, 0..1, see :data:`edges.LIGHT`."""
    return [np.asarray(cv2.LUT(channel, _IN_LIGHT), np.float32) for channel in cv2.split(guide)]


class _Near:
    """:class:`edges.Cells` in numpy: those near the band, as a list."""

    def __init__(self, band: Map, pool: Executor) -> None:
        side = 2 * edges.NEAR + 1
        self._near = cv2.dilate((band > 0.0).astype(np.uint8), np.ones((side, side), np.uint8)) > 0
        self._at, self._pool = np.flatnonzero(self._near), pool

    def near(self, planes: Planes) -> Planes:
        return planes.reshape(*planes.shape[:-2], -1).take(self._at, -1)

    def whole(self, values: Planes, elsewhere: Planes | float) -> Planes:
        planes = np.empty((*values.shape[:-1], *self._near.shape), np.float32)
        planes[...] = elsewhere
        for plane in np.ndindex(values.shape[:-1]):
            planes[plane][self._near] = values[plane]
        return planes

    def box(self, values: Planes, reach: int, times: int = 1) -> Planes:
        return np.concatenate([self._means(self.whole(four, 0.0), reach, times) for four in _fours(values)])

    def sums(self, terms: Sequence[Planes], samples: Planes, reach: int, of_points: bool = False) -> Planes:
        def of(pairs: Sequence[tuple[Planes, Planes]]) -> Planes:
            products = [term * sample for term, sample in pairs]
            return self._means([_reduced(p, self._near.shape) for p in products] if of_points else products, reach, 2)

        fours = _fours([(term, sample) for term in terms for sample in samples])
        return np.concatenate(list(self._pool.map(of, fours))).reshape(len(terms), len(samples), -1)

    def means(self, points: Planes) -> Planes:
        return np.stack([_reduced(plane, self._near.shape) for plane in points])

    def points(self, values: Planes) -> Planes:
        size = [POINTS * side for side in self._near.shape[::-1]]
        return np.stack([cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in self.whole(values, 0.0)])

    def _means(self, planes: Sequence[Planes] | Planes, reach: int, times: int) -> Planes:
        """Of four planes at once, which OpenCV takes half as long for as for one by one."""
        mean, side = cv2.merge(list(planes)), 2 * reach + 1
        for _ in range(times):
            mean = cv2.blur(mean, (side, side), borderType=cv2.BORDER_CONSTANT)
        return np.ascontiguousarray(mean.reshape(-1, len(planes)).take(self._at, 0).T, np.float32)


def _reduced(plane: Planes, shape: Sequence[int]) -> Planes:
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _fours(values: Sequence[T] | Planes) -> list:
    return [values[first : first + 4] for first in range(0, len(values), 4)]


def _applied(pool: Executor, found: Planes, guide: Sequence[Map], logits: Map, weight: float) -> Map:
    """:func:`edges.fit`'s functions on the plate's own pixels. ``found``: (6, h + 2, w + 2), the cells of ``guide`` and
    one more on each side; ``guide``: of :func:`_in_light`, and ``logits``, (h * cell, w * cell). Returns alpha, 0..1,
    of the guide's size."""
    alpha, (height, width) = np.empty_like(logits), logits.shape
    cell = width // (found.shape[2] - 2)
    step = max(1, _STRIP // (width * cell))

    def strip(first: int) -> None:
        part = found[:, first : first + step + 2]
        large = (width + 2 * cell, part.shape[1] * cell)
        trim = np.s_[cell:-cell, cell:-cell]
        enlarged = [cv2.resize(plane, large, interpolation=cv2.INTER_LINEAR)[trim] for plane in part]
        rows = slice(first * cell, first * cell + len(enlarged[0]))
        colours = [channel[rows] for channel in guide]
        alpha[rows] = edges.at(np, enlarged, colours, logits[rows], weight)

    list(pool.map(strip, range(0, height // cell, step)))
    return alpha
