"""The object's own colour where its edge is mixed with the background: decontaminated RGB."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .window import EMPTY, Map

# Reach of each round at 1080 lines, and how much more a purer pixel counts. The paper's two rounds (90, 6) of plain
# weights left half as much more of the background in soft edges of the tuning scenes.
_REACH = (90, 30, 10, 6)
_PURITY = 3
# How many times brighter than its side around it a pixel may be for others, and in how many steps it comes to that.
_GLINT, _STEPS = 16.0, 4


def foreground(plate: NDArray[np.floating[Any]], alpha: Map) -> NDArray[np.float32]:
    """The plate with the background taken out of its soft edges, **not** multiplied by alpha; 0 where alpha is 0.

    Blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021) with more rounds and purer samples,
    on the box of the matte. ``plate``: (H, W, 3) in any colour space; light adds up in a linear one, so that is where
    it is right. ``alpha``: (H, W), 0..1. Returns float32 (H, W, 3); solid pixels are the plate's own.
    """
    result = np.zeros(plate.shape, np.float32)
    there = alpha >= EMPTY
    x, y, width, height = cv2.boundingRect(there.astype(np.uint8))
    if width == 0:
        return result
    scale = plate.shape[0] / 1080.0
    reach = [max(1, round(radius * scale)) for radius in _REACH]
    rows = slice(max(0, y - reach[0]), y + height + reach[0])
    columns = slice(max(0, x - reach[0]), x + width + reach[0])
    # One infinite pixel would drown all means of its rows and columns.
    colour = np.nan_to_num(plate[rows, columns].astype(np.float32), posinf=0.0, neginf=0.0)
    share = alpha[rows, columns][..., None]
    inside, outside = (_tamed(colour, side**_PURITY, reach[0]) for side in (share, 1 - share))
    tamed = np.maximum(inside, outside)
    for radius in reach[:-1]:
        inside, outside = _round(tamed, inside, outside, share, radius)
    # In its own place a glint is what it is.
    inside, _ = _round(colour, inside, outside, share, reach[-1])
    result[rows, columns] = np.where(there[rows, columns][..., None], inside, 0.0)
    solid = alpha == 1
    result[solid] = plate[solid]
    return result


def _tamed(colour: NDArray[np.float32], weight: Map, radius: int) -> NDArray[np.float32]:
    """``colour`` without what would outweigh all else of its side in means: one glint in a film plate can be a hundred
    thousand times as bright. The mean that tells what is usual is raised by the glint too, hence the steps."""
    for _ in range(_STEPS):
        most = _GLINT * np.maximum(_mean(colour, weight, radius).max(axis=-1, keepdims=True), 0.0)
        if not (weight * (colour - most) > 0.0).any():
            break
        colour = np.minimum(colour, most)
    return colour


def _round(
    colour: NDArray[np.float32],
    inside: NDArray[np.float32],
    outside: NDArray[np.float32],
    share: Map,
    radius: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Better colours of object and background: their means nearby, moved so that they mix to what is seen."""
    inside, outside = _mean(inside, share**_PURITY, radius), _mean(outside, (1 - share) ** _PURITY, radius)
    mixed = inside + share * (colour - share * inside - (1 - share) * outside)
    return np.asarray(np.maximum(mixed, 0.0), np.float32), outside


def _mean(colour: NDArray[np.float32], weight: Map, radius: int) -> NDArray[np.float32]:
    size = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.blur(colour * weight, size) / (cv2.blur(weight, size)[..., None] + 1e-5), np.float32)
