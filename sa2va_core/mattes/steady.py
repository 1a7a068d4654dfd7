"""Flicker out of edges: each frame's band against its neighbours', brought over along the motion of the picture.

A mean over at most three frames, of mattes that were each made by themselves: nothing runs on from frame to frame, so a
fault stays where it is. What a neighbour says of a pixel counts for as much as its colour there, brought over by the
same flow, agrees with this one's: where the motion is not understood, nothing is mixed. Only pixels in the band change;
the core and the empty background never do.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sa2va_core.media.frames import Picture

from .matte import Matte
from .window import EMPTY, Map, guide

# Cells around the window that the flow may look at: how far things move between frames.
REACH = 24
# Flow is found on a lattice of this many points across a cell.
POINTS = 2
# Difference of colour, in 8-bit levels, at which a neighbour's pixel counts for 1/e.
DIFFERENCE = 9.0
# Alpha in the band may be open this little and is left alone.
OPEN = 1.0 / 64.0
# DIS needs pictures of at least this many points.
_LEAST = 16
_ROW = 4096


def steady(now: Matte, picture: Picture, beside: Sequence[tuple[Matte, Picture]]) -> Matte:
    """``now`` without what its neighbours' mattes, each with its picture, do not bear out.

    Pinned mattes are returned unchanged; as neighbours they count.
    """
    if now.pinned or now.window is None or not beside:
        return now
    window, cell = now.window, now.window.cell
    outer = window.padded(REACH)
    height, width = now.alpha.shape
    size = ((window.x1 - window.x0) * cell, (window.y1 - window.y0) * cell)
    openness = cv2.resize(now.band, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    rows, columns = np.nonzero(openness > OPEN)
    if not rows.size:
        return now
    x0, y0, _, _ = window.box
    left, top = outer.x0 * cell, outer.y0 * cell
    here, there = guide(picture, outer), (guide(seen, outer) for _, seen in beside)
    colour = here[rows + (y0 - top), columns + (x0 - left)].astype(np.float32)
    own = now.alpha[rows, columns]
    total, weight = own.copy(), np.ones_like(own)
    small = _grey(here, cell)
    # Band pixels in the small pictures' own coordinates.
    point = cell / POINTS
    at = [
        _rows(((pixels + 0.5) / point - 0.5).astype(np.float32))
        for pixels in (columns + (x0 - left), rows + (y0 - top))
    ]
    for (other, _), other_guide in zip(beside, there, strict=True):
        moved = _at(_flow(small, _grey(other_guide, cell)), *at)[: own.size] * np.float32(point)
        x, y = columns + x0 + moved[:, 0], rows + y0 + moved[:, 1]
        seen = _at(other_guide, _rows(x - left), _rows(y - top))[: own.size].astype(np.float32)
        said = _alpha_at(other, x, y)
        error = np.abs(seen - colour).mean(axis=1)
        believed = np.exp(-np.square(error / DIFFERENCE))
        total += believed * said
        weight += believed
    mean = total / weight
    result = now.alpha.copy()
    changed = own + openness[rows, columns] * (mean - own)
    result[rows, columns] = np.where(changed < EMPTY, 0.0, changed)
    return Matte(window, result, now.band)


def _grey(guide: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(guide, cv2.COLOR_RGB2GRAY)
    size = (guide.shape[1] // cell * POINTS, guide.shape[0] // cell * POINTS)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _flow(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> Map:
    """Dense inverse search flow (Kroeger et al., ECCV 2016): from each point to where it is in the other picture, in
    points, float32 (h, w, 2). One level finer than the preset: edges are thin."""
    still = np.zeros((*here.shape, 2), np.float32)
    if min(here.shape) < _LEAST:
        return still
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    method.setFinestScale(1)
    return np.asarray(method.calc(here, there, still), np.float32)


def _rows(values: NDArray) -> Map:
    """A list of coordinates in rows, as OpenCV wants them."""
    length = -(-values.size // _ROW) * _ROW
    return np.pad(values.astype(np.float32), (0, length - values.size)).reshape(-1, _ROW)


def _at(image: NDArray, x: Map, y: Map) -> NDArray:
    """``image`` at coordinates, as a list of values."""
    values = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(-1, *image.shape[2:])


def _alpha_at(other: Matte, x: NDArray, y: NDArray) -> Map:
    """Alpha of another frame at plate pixels; 0 outside its window."""
    if other.window is None:
        return np.zeros(x.size, np.float32)
    x0, y0, _, _ = other.window.box
    values = cv2.remap(other.alpha, _rows(x - x0), _rows(y - y0), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(values.reshape(-1)[: x.size], np.float32)
