"""Where a small object is looked at again: a part of the picture with the whole one's proportions.

Sides and places come from a lattice that is fixed to the picture, so a crop stays where it is while the object moves
within it, and then moves in whole steps of whole pixels. It follows from one frame's logits alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from math import floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sa2va_core.engines.base import Detail

Size = tuple[int, int]
Map = NDArray[np.float32]

#: Logit above which a pixel is part of what must lie inside the crop: a coverage of a twentieth. Below it the edge step
#: takes a pixel for sure.
FAINT = -3.0
#: Shares of the crop's side: what stays free on each side of the object, half of which fades over to the first look; a
#: step of the lattice; and what the object may fill then.
MARGIN, STEP = 1 / 8, 1 / 8
FADE = MARGIN / 2
FILLS = 1 - 2 * MARGIN - STEP


@dataclass(frozen=True)
class Crop:
    """[``x0``, ``x1``) by [``y0``, ``y1``) of a picture of ``size`` (width, height), in its pixels."""

    x0: int
    y0: int
    x1: int
    y1: int
    size: Size

    @property
    def shape(self) -> Size:
        """(width, height) in pixels."""
        return self.x1 - self.x0, self.y1 - self.y0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The same in shares of the picture."""
        width, height = self.size
        return self.x0 / width, self.y0 / height, self.x1 / width, self.y1 / height

    def cut(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(rgb[self.y0 : self.y1, self.x0 : self.x1])


def crop_of(logits: Map, size: Size) -> Crop | None:
    """The crop for an object with ``logits`` (n, n) over a picture of ``size``: a half of it each way, a quarter, an
    eighth and so on, the smallest that holds the object and has a pixel for each logit that is to come.

    None where that is the picture itself: the object is large, or the picture is small, or nothing is there.
    """
    there = logits > FAINT
    if not there.any():
        return None
    across, down = (_span(np.asarray(there.any(axis=axis)), side) for axis, side in enumerate(size))
    sides = size
    for level in count(1):
        width, height = -(-size[0] // 2**level), -(-size[1] // 2**level)
        if min(width, height) < len(logits) or across.length > FILLS * width or down.length > FILLS * height:
            break
        sides = width, height
    if sides == size:
        return None
    x0, y0 = across.place(sides[0], size[0]), down.place(sides[1], size[1])
    return Crop(x0, y0, x0 + sides[0], y0 + sides[1], size)


class _Span(NamedTuple):
    """From where to where the object reaches along one axis, in pixels."""

    first: float
    last: float

    @property
    def length(self) -> float:
        return self.last - self.first

    def place(self, side: int, whole: int) -> int:
        """Where a crop of ``side`` begins: the step of the lattice that has the object nearest to its middle."""
        step = max(1, int(side * STEP))
        place = floor((self.first + self.last - side) / 2 / step + 0.5) * step
        return min(max(0, place), whole - side)


def _span(there: NDArray[np.bool_], side: int) -> _Span:
    places = np.flatnonzero(there)
    return _Span(int(places[0]) * side / len(there), int(places[-1] + 1) * side / len(there))


def sampled(logits: Map, own: Detail, at: Detail) -> Map:
    """``logits`` of the whole picture with ``own`` laid over them, bilinear at the pixels of ``at``."""
    if at is own:
        return own.logits
    x, y = (
        at.box[i] + (at.box[i + 2] - at.box[i]) * (np.arange(n) + 0.5) / n
        for i, n in enumerate(reversed(at.logits.shape))
    )
    found = _bilinear(logits, x, y)
    x0, y0, x1, y1 = own.box
    columns, rows = (x >= x0) & (x < x1), (y >= y0) & (y < y1)
    if columns.any() and rows.any():
        inner = _bilinear(own.logits, (x[columns] - x0) / (x1 - x0), (y[rows] - y0) / (y1 - y0))
        found[np.ix_(rows, columns)] = inner
    return found


def _bilinear(image: Map, x: NDArray[np.float64], y: NDArray[np.float64]) -> Map:
    """``x`` and ``y``: in 0..1 of the image's width and height."""
    (left, right, across), (upper, lower, down) = (
        _between(at, n) for at, n in zip((x, y), reversed(image.shape), strict=True)
    )
    above = image[upper][:, left] * (1 - across) + image[upper][:, right] * across
    below = image[lower][:, left] * (1 - across) + image[lower][:, right] * across
    return np.asarray(above * (1 - down[:, None]) + below * down[:, None], np.float32)


def _between(at: NDArray[np.float64], n: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Samples on both sides of positions, and how far towards the second these lie."""
    at = np.clip(at * n - 0.5, 0, n - 1)
    first = np.minimum(at.astype(np.intp), max(0, n - 2))
    return first, np.minimum(first + 1, n - 1), at - first
