"""Colours: words to pixels, histograms, how alike two things look."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .sheet import CELLS, Box, Map, Sheet
from .vocabulary import Part

Histogram = NDArray[np.float32]  # (CELLS,), sums to 1

# Hue ranges in degrees for coloured pixels.
_HUES = {
    "red": ((345, 360), (0, 14)),
    "orange": ((14, 42),),
    "yellow": ((42, 68),),
    "green": ((68, 165),),
    "cyan": ((165, 195),),
    "blue": ((195, 262),),
    "purple": ((262, 310),),
    "pink": ((310, 345),),
}


def core(sheet: Sheet, box: Box, part: Part = "all") -> NDArray[np.bool_]:
    """The pixels in the middle of a box that most likely belong to the thing: a mask of the working picture."""
    x0, y0, x1, y1 = box
    top, bottom = {"all": (0.12, 0.88), "upper": (0.18, 0.5), "lower": (0.5, 0.85)}[part]
    mask = np.zeros(sheet.shape, bool)
    w, h = x1 - x0, y1 - y0
    rows = slice(int(y0 + top * h), int(np.ceil(y0 + bottom * h)))
    mask[rows, int(x0 + 0.28 * w) : int(np.ceil(x0 + 0.72 * w))] = True
    return mask


def share(sheet: Sheet, where: NDArray[np.bool_], colour: str) -> float:
    """How much of ``where`` shows ``colour``, 0..1. Thresholds on HSV, set by eye."""
    pixels = sheet.work[where]
    if not len(pixels):
        return 0.0
    hsv = cv2.cvtColor(np.ascontiguousarray(pixels[None]), cv2.COLOR_RGB2HSV_FULL)[0].astype(np.float32)
    hue, saturation, value = hsv[:, 0] * (360 / 255), hsv[:, 1] / 255, hsv[:, 2] / 255
    chroma = saturation * value
    if colour == "black":
        hit = value < 0.25
    elif colour == "dark":
        hit = value < 0.38
    elif colour == "white":
        hit = (value > 0.72) & (saturation < 0.18)
    elif colour == "light":
        hit = (value > 0.7) & (saturation < 0.5)
    elif colour == "grey":
        hit = (chroma < 0.1) & (value >= 0.22) & (value <= 0.78)
    elif colour == "brown":
        hit = (hue >= 8) & (hue < 45) & (value > 0.12) & (value < 0.65) & (saturation > 0.25)
    elif colour == "beige":
        hit = (hue >= 15) & (hue < 55) & (value > 0.5) & (saturation > 0.1) & (saturation < 0.45)
    else:
        ranges = [(hue >= low) & (hue <= high) for low, high in _HUES[colour]]
        hit = np.logical_or.reduce(ranges) & (saturation > 0.25) & (chroma > 0.1)
        if colour == "pink":
            hit |= ((hue > 325) | (hue < 14)) & (saturation > 0.12) & (saturation < 0.55) & (value > 0.65)
    return float(hit.mean())


def histogram(sheet: Sheet, weights: NDArray) -> Histogram:
    """Colours of the working picture, each pixel counted by ``weights`` (h, w) >= 0, smoothed a little."""
    counts = np.bincount(sheet.cells.ravel(), weights.ravel().astype(np.float64), minlength=CELLS)
    cube = counts.reshape(8, 8, 8)
    for axis in range(3):
        padded_cube = np.pad(cube, [(1, 1) if i == axis else (0, 0) for i in range(3)], mode="edge")
        before, after = (np.take(padded_cube, range(o, o + 8), axis) for o in (0, 2))
        cube = 0.6 * cube + 0.2 * (before + after)
    total = cube.sum()
    return (cube.ravel() / total if total > 0 else np.full(CELLS, 1 / CELLS)).astype(np.float32)


def likeness(a: Histogram, b: Histogram) -> float:
    """Bhattacharyya coefficient of two histograms, 0..1."""
    return float(np.sqrt(a * b).sum())


def likelihood(sheet: Sheet, inside: Histogram, outside: Histogram, limit: float) -> Map:
    """Log of how much likelier each pixel's colour is inside than outside, within +-``limit``."""
    ratio = np.log((inside + 2e-4) / (outside + 2e-4)).clip(-limit, limit).astype(np.float32)
    return ratio[sheet.cells]
