"""One frame as the starter engine works on it, with crops in and maps back."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

#: Long side of the working picture in pixels: masks, boxes and colours live at this scale.
WORK = 960
#: Long side of the picture that optical flow sees.
FLOW = 320
#: Number of colour cells in a histogram: 8 of lightness, 8 of each opponent colour.
CELLS = 512

Box = NDArray[np.float64]  # (4,): x0, y0, x1, y1 in working pixels
Map = NDArray[np.float32]  # (h, w) at working scale


class Sheet:
    """``rgb``: uint8 (H, W, 3) sRGB at plate size; ``work``: the same at working scale, never larger than the plate."""

    def __init__(self, rgb: NDArray[np.uint8]) -> None:
        self.rgb = rgb
        self.scale = min(1.0, WORK / max(rgb.shape[:2]))
        self.height, self.width = (max(1, round(side * self.scale)) for side in rgb.shape[:2])
        self.work = _resize(rgb, self.width, self.height)

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def frame_box(self) -> Box:
        return np.array([0.0, 0.0, self.width, self.height])

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """uint8 (h, w), for optical flow."""
        k = min(1.0, FLOW / max(self.shape))
        small = _resize(self.work, max(16, round(self.width * k)), max(16, round(self.height * k)))
        return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)

    @cached_property
    def cells(self) -> NDArray[np.uint16]:
        """Colour cell of every working pixel, 0..CELLS-1, in CIE Lab."""
        lab = cv2.cvtColor(self.work, cv2.COLOR_RGB2Lab)
        light, a, b = (lab[..., i].astype(np.int16) for i in range(3))
        opponent = [np.clip((c - 96) >> 3, 0, 7) for c in (a, b)]
        return ((light >> 5) * 64 + opponent[0] * 8 + opponent[1]).astype(np.uint16)

    def crop(self, box: Box, width: int, height: int) -> NDArray[np.uint8]:
        """uint8 (height, width, 3): what ``box`` shows, at plate quality; edge pixels repeat outside the frame."""
        x0, y0, x1, y1 = (int(v) for v in np.round(np.asarray(box) / self.scale))
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        full_h, full_w = self.rgb.shape[:2]
        cx0, cx1 = (min(max(v, 0), full_w) for v in (x0, x1))
        cy0, cy1 = (min(max(v, 0), full_h) for v in (y0, y1))
        if cx0 >= cx1 or cy0 >= cy1:
            return np.zeros((height, width, 3), np.uint8)
        part = self.rgb[cy0:cy1, cx0:cx1]
        sides = (cy0 - y0, y1 - cy1, cx0 - x0, x1 - cx1)
        if any(sides):
            part = cv2.copyMakeBorder(part, *sides, cv2.BORDER_REPLICATE)
        return _resize(part, width, height)

    def paste(self, values: Map, box: Box) -> Map:
        """A map over ``box`` put back into a map of the whole working picture, 0 elsewhere."""
        x0, y0, x1, y1 = np.round(np.asarray(box) / self.scale) * self.scale
        kx, ky = values.shape[1] / max(x1 - x0, 1e-6), values.shape[0] / max(y1 - y0, 1e-6)
        # Working pixel centres to map pixel centres.
        matrix = np.array([[kx, 0, (0.5 - x0) * kx - 0.5], [0, ky, (0.5 - y0) * ky - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        if kx > 2 or ky > 2:  # a small thing in a fine map: average, do not skip
            width, height = (
                max(1, round(values.shape[1] * min(1, 1 / kx))),
                max(1, round(values.shape[0] * min(1, 1 / ky))),
            )
            return self.paste(_resize(values, width, height), box)
        inside = cv2.warpAffine(values, matrix, (self.width, self.height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.where(self.covers(np.array([x0, y0, x1, y1])), inside, np.float32(0))

    def covers(self, box: Box) -> NDArray[np.bool_]:
        """Which working pixels have their centres in ``box``: (h, w)."""
        xs, ys = np.arange(self.width) + 0.5, np.arange(self.height) + 0.5
        return ((ys >= box[1]) & (ys <= box[3]))[:, None] & ((xs >= box[0]) & (xs <= box[2]))[None, :]


def _resize(image: NDArray, width: int, height: int) -> NDArray:
    if image.shape[:2] == (height, width):
        return image
    shrinks = width < image.shape[1] and height < image.shape[0]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def padded(box: Box, share: float, square: bool = False) -> Box:
    """``box`` grown on each side by ``share`` of its own size; ``square``: to a square of the longer side."""
    cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    w, h = (box[2] - box[0]) * (1 + 2 * share), (box[3] - box[1]) * (1 + 2 * share)
    if square:
        w = h = max(w, h)
    return np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])


def area(box: Box) -> float:
    """In square pixels; 0 for a box turned inside out."""
    return float(max(box[2] - box[0], 0) * max(box[3] - box[1], 0))


def overlap(a: Box, b: Box) -> float:
    """Area that both boxes share."""
    return area(np.concatenate([np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])]))


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    both = overlap(a, b)
    return both / max(area(a) + area(b) - both, 1e-9)


def bounds(mask: NDArray[np.bool_]) -> Box | None:
    """The box around a mask's pixels, None when it has none."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
