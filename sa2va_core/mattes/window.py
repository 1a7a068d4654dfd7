"""Where on the plate an object's matte is worked out, and how logits and picture are sampled there.

All work on edges is done on *cells*, squares of a few plate pixels whose lattice is fixed to the plate, and inside a
window around the object that ends on cell borders. The window is padded by as much as the edge step can see, so its
place cannot show in the result: edges do not swim when the window moves with the object, and there is nothing to smooth
over time. What is done costs as much as the window is large, whatever the plate's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sa2va_core.engines.base import Detail
from sa2va_core.media.frames import Picture

Size = tuple[int, int]
Map = NDArray[np.float32]

#: Coverage below which a pixel counts as empty: under half a step of an 8-bit display; and its logit.
EMPTY = 1.0 / 512.0
# What is 1 in half precision, as most files have it.
_SOLID = 1.0 - 2.0**-12
_EMPTY_LOGIT = float(np.log(EMPTY / (1.0 - EMPTY)))
# exp of this stays far from float32's limits, and a sigmoid of minus this rounds to 0 in half precision.
_SUREST = 20.0
# Cells in the height of a plate.
_CELLS_HIGH = 270
#: Points of a cell, each way: a lattice between that of cells and that of the plate's pixels.
POINTS = 2


@dataclass(frozen=True)
class Window:
    """A box of whole cells: [``x0``, ``x1``) by [``y0``, ``y1``) in cells of ``cell`` plate pixels.

    ``size`` is the plate's (width, height) in pixels; the cells at its right and lower side may reach beyond it.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    cell: int
    size: Size

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) in plate pixels, cut to the plate."""
        width, height = self.size
        return (
            self.x0 * self.cell,
            self.y0 * self.cell,
            min(width, self.x1 * self.cell),
            min(height, self.y1 * self.cell),
        )

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The window as an index into an array of the plate."""
        x0, y0, x1, y1 = self.box
        return slice(y0, y1), slice(x0, x1)

    def padded(self, cells: int) -> Window:
        """Grown by ``cells`` on each side, as far as the plate reaches."""
        across, down = (-(-side // self.cell) for side in self.size)
        return Window(
            max(0, self.x0 - cells),
            max(0, self.y0 - cells),
            min(across, self.x1 + cells),
            min(down, self.y1 + cells),
            self.cell,
            self.size,
        )

    def rounded(self, cells: int) -> Window:
        """Grown until each side is a multiple of ``cells``, as far as the plate reaches: few sizes for many windows."""
        if cells == 1:
            return self
        sides = []
        for low, high, length in ((self.x0, self.x1, self.size[0]), (self.y0, self.y1, self.size[1])):
            most = -(-length // self.cell)
            side = min(most, -(-(high - low) // cells) * cells)
            start = max(0, min(low, most - side))
            sides.append((start, start + side))
        (x0, x1), (y0, y1) = sides
        return Window(x0, y0, x1, y1, self.cell, self.size)

    def inside(self, outer: Window) -> tuple[slice, slice]:
        """This window as an index into an array of ``outer``'s cells."""
        return slice(self.y0 - outer.y0, self.y1 - outer.y0), slice(self.x0 - outer.x0, self.x1 - outer.x0)


def cell_size(size: Size) -> int:
    """Side of a cell in plate pixels: 4 at 1080 lines, 8 at 2160."""
    return max(1, round(size[1] / _CELLS_HIGH))


def pixel_of(logits: Map, size: Size, details: Sequence[Detail] = ()) -> float:
    """Side of a pixel of the logits in plate pixels, of those in ``details`` where there are any."""
    return max(max(_step(part.logits, part.box, size)) for part in details or (_whole(logits),))


def around(logits: Map, size: Size, reach: float, details: Sequence[Detail] = ()) -> Window | None:
    """The window that holds all of the logits that is not empty, and ``reach`` plate pixels more; None where there is
    nothing."""
    boxes = [box for part in (_whole(logits), *details) if (box := _there(part, size)) is not None]
    if not boxes:
        return None
    cell = cell_size(size)
    left, top = (min(box[i] for box in boxes) - reach for i in (0, 1))
    right, bottom = (max(box[i] for box in boxes) + reach for i in (2, 3))
    across, down = (-(-side // cell) for side in size)
    return Window(
        max(0, int(left // cell)),
        max(0, int(top // cell)),
        min(across, int(-(-right // cell))),
        min(down, int(-(-bottom // cell))),
        cell,
        size,
    )


def _whole(logits: Map) -> Detail:
    return Detail(logits, (0.0, 0.0, 1.0, 1.0))


def _step(logits: Map, box: tuple[float, float, float, float], size: Size) -> tuple[float, float]:
    """Width and height of one of the logits that cover ``box``, in plate pixels."""
    x0, y0, x1, y1 = box
    return (x1 - x0) * size[0] / logits.shape[1], (y1 - y0) * size[1] / logits.shape[0]


def _there(part: Detail, size: Size) -> tuple[float, float, float, float] | None:
    """Where on the plate ``part`` is not empty: left, top, right, bottom in pixels."""
    x, y, width, height = cv2.boundingRect((part.logits > _EMPTY_LOGIT).astype(np.uint8))
    if width == 0:
        return None
    sx, sy = _step(part.logits, part.box, size)
    left, top = part.box[0] * size[0], part.box[1] * size[1]
    # Between two logits lie pixels that take part of both.
    return left + (x - 1) * sx, top + (y - 1) * sy, left + (x + width + 1) * sx, top + (y + height + 1) * sy


def coverage(logits: Map, window: Window, details: Sequence[Detail] = ()) -> Map:
    """The sigmoid of bilinear logits, averaged over each cell: float32 (cells down, cells across)."""
    scale = min(min(_step(part.logits, part.box, window.size)) for part in (_whole(logits), *details))
    # Logits finer than cells are looked at several times in each.
    times = max(1, int(np.ceil(window.cell / scale)))
    fine = sigmoid(_bilinear(logits, window, times, details))
    if times == 1:
        return fine
    size = window.x1 - window.x0, window.y1 - window.y0
    return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), np.float32)


def at_points(logits: Map, window: Window, details: Sequence[Detail] = ()) -> Map:
    """Bilinear logits at the points of ``window``'s cells, float32."""
    return np.clip(_bilinear(logits, window, POINTS, details), -_SUREST, _SUREST)


def at_pixels(logits: Map, window: Window, details: Sequence[Detail] = ()) -> Map:
    """Bilinear logits at the plate's pixels, float32, whole cells of ``window``."""
    return np.clip(_bilinear(logits, window, window.cell, details), -_SUREST, _SUREST)


def _bilinear(logits: Map, window: Window, times: int, details: Sequence[Detail]) -> Map:
    """Bilinear logits over the cells of ``window``, ``times`` each way in each cell."""
    step = window.cell / times
    size = (window.x1 - window.x0) * times, (window.y1 - window.y0) * times
    sx, sy = logits.shape[1] / window.size[0], logits.shape[0] / window.size[1]
    left, top = window.x0 * window.cell, window.y0 * window.cell
    fine = np.asarray(_sample(logits, size, (step * sx, step * sy), (left * sx, top * sy)), np.float32)
    for detail in details:
        _lay(detail, fine, window.size, step, (left, top))
    return fine


def at_plate(picture: Picture, size: Size) -> Picture:
    """An anamorphic plate's picture at the plate's pixels. As a whole: OpenCV rounds places to a 32nd of a pixel,
    counted from where it starts, and a window's start must not show."""
    height, width = picture.rgb.shape[:2]
    if (width, height) == size:
        return picture
    rgb = _sample(picture.rgb, size, (width / size[0], height / size[1]), (0.0, 0.0))
    return Picture(picture.frame, np.asarray(rgb, np.uint8))


def guide(picture: Picture, window: Window) -> NDArray[np.uint8]:
    """The picture, of the plate's size, under ``window``, uint8 (H, W, 3), whole cells: beyond the plate its last
    pixels are repeated."""
    x0, y0, x1, y1 = window.box
    crop = picture.rgb[y0:y1, x0:x1]
    right, bottom = window.x1 * window.cell - x1, window.y1 * window.cell - y1
    if right or bottom:
        crop = cv2.copyMakeBorder(crop, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def enlarged(logits: Map, size: Size, details: Sequence[Detail] = ()) -> Map:
    """The sigmoid of bilinear logits over the whole plate, float32 (height, width). It never comes to 1, and is made
    that where it is all but that: a core is as solid in every kind of file."""
    large = np.asarray(cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR), np.float32)
    for detail in details:
        _lay(detail, large, size, 1.0, (0, 0))
    alpha = sigmoid(large)
    alpha[alpha > _SOLID] = 1.0
    return alpha


def _lay(detail: Detail, samples: Map, size: Size, step: float, start: tuple[int, int]) -> None:
    """Put ``detail`` in place of those ``samples`` whose middles it covers; they lie ``step`` plate pixels apart, from
    the plate's pixel ``start`` on. Where it reaches to the right or lower side of the plate it goes on beyond it."""
    spans = []
    for axis, count in enumerate(reversed(samples.shape)):
        ends = [(share * size[axis] - start[axis]) / step - 0.5 for share in (detail.box[axis], detail.box[axis + 2])]
        first, last = (min(count, max(0, math.ceil(end))) for end in ends)
        spans.append((first, count if detail.box[axis + 2] >= 1.0 else last))
    (x0, x1), (y0, y1) = spans
    if x0 < x1 and y0 < y1:
        wide, high = _step(detail.logits, detail.box, size)
        first = start[0] + x0 * step - detail.box[0] * size[0], start[1] + y0 * step - detail.box[1] * size[1]
        samples[y0:y1, x0:x1] = _sample(
            detail.logits, (x1 - x0, y1 - y0), (step / wide, step / high), (first[0] / wide, first[1] / high)
        )


def sigmoid(logits: Map) -> Map:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -_SUREST, _SUREST))), np.float32)


def _sample(image: NDArray, size: Size, step: tuple[float, float], start: tuple[float, float]) -> NDArray:
    """Bilinear samples of ``image``, one in the middle of each ``step``, from ``start`` on, in its pixels."""
    matrix = np.array(
        [[step[0], 0, start[0] + step[0] / 2 - 0.5], [0, step[1], start[1] + step[1] / 2 - 0.5]], np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
