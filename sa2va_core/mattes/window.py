"""Where on the plate an object's matte is worked out, and the picture there.

All work on edges is done on *cells*, squares of a few plate pixels whose lattice is fixed to the plate, and inside a
window around the object that ends on cell borders. The window is padded by as much as the edge step can see, so its
place cannot show in the result: edges do not swim when the window moves with the object, and there is nothing to smooth
over time. What is done costs as much as the window is large, whatever the plate's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sa2va_core.media.frames import Picture

Size = tuple[int, int]
Map = NDArray[np.float32]

#: Coverage below which a pixel counts as empty: under half a step of an 8-bit display.
EMPTY = 1.0 / 512.0
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


def at_plate(picture: Picture, size: Size) -> Picture:
    """An anamorphic plate's picture at the plate's pixels. As a whole: a window's start must not show."""
    height, width = picture.rgb.shape[:2]
    if (width, height) == size:
        return picture
    rgb = sampled(picture.rgb, size, (width / size[0], height / size[1]), (0.0, 0.0))
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


def sampled(image: NDArray, size: Size, step: tuple[float, float], start: tuple[float, float]) -> NDArray:
    """Bilinear samples of ``image``, one in the middle of each ``step``, from ``start`` on, in its pixels."""
    matrix = np.array(
        [[step[0], 0, start[0] + step[0] / 2 - 0.5], [0, step[1], start[1] + step[1] / 2 - 0.5]], np.float64
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
