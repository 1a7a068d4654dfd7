"""Flicker out of edges: each frame's band against its neighbours', brought over along the motion of the picture.

A mean over at most three frames, of mattes that were each made by themselves: nothing runs on from frame to frame, so a
fault stays where it is. What a neighbour says of a pixel counts for as much as its colour there, brought over by the
same flow, agrees with this one's: where the motion is not understood, nothing is mixed. Only pixels in the band change;
the core and the empty background never do.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from sa2va_core.media.frames import Picture

from .matte import Matte
from .window import EMPTY, POINTS, Map, guide

# Cells around the window that the flow may look at: how far things move between frames.
REACH = 24
# Difference of colour, in 8-bit levels, at which a neighbour's pixel counts for 1/e.
DIFFERENCE = 6.5
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
    changing = openness > OPEN
    if not changing.any():
        return now
    left, top = outer.x0 * cell, outer.y0 * cell
    x0, y0, _, _ = window.box
    places = cv2.findNonZero(changing.astype(np.uint8)).reshape(-1, 2)
    x, y = _rows(places[:, 0] + (x0 - left)), _rows(places[:, 1] + (y0 - top))
    here = guide(picture, outer)
    colour = cv2.remap(here, x, y, cv2.INTER_NEAREST)
    small = _grey(here, cell)
    point = cell / POINTS

    def heard(neighbour: tuple[Matte, Picture]) -> tuple[Map, Map]:
        """What the neighbour says of these pixels, times how far it counts; and how far it counts."""
        other, there = neighbour[0], guide(neighbour[1], outer)
        # Pixels in the small pictures' own coordinates.
        moved = _at(_flow(small, _grey(there, cell)), (x + 0.5) / point - 0.5, (y + 0.5) / point - 0.5) * point
        to_x, to_y = x + moved[..., 0], y + moved[..., 1]
        apart = cv2.absdiff(_at(there, to_x, to_y), colour).astype(np.float32)
        error = cv2.transform(apart, np.full((1, 3), 1.0 / 3.0 / DIFFERENCE))
        believed = np.exp(-np.square(error))
        return believed * _alpha_at(other, to_x + left, to_y + top), believed

    own = now.alpha[changing]
    total, weight = own.copy(), np.ones_like(own)
    # OpenCV finds flow on little more than one core.
    with ThreadPoolExecutor(len(beside)) as pool:
        for said, believed in pool.map(heard, beside):
            total += said.reshape(-1)[: own.size]
            weight += believed.reshape(-1)[: own.size]
    changed = own + openness[changing] * (total / weight - own)
    result = now.alpha.copy()
    result[changing] = np.where(changed < EMPTY, 0.0, changed)
    return Matte(window, result, now.band)


def _grey(guide: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(guide, cv2.COLOR_RGB2GRAY)
    size = (guide.shape[1] // cell * POINTS, guide.shape[0] // cell * POINTS)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _flow(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> Map:
    """Dense inverse search flow (Kroeger et al., ECCV 2016): from each point to where it is in the other picture, in
    points, float32 (h, w, 2). One level finer than the preset, for edges are thin, and without variational refinement,
    which takes as long as the search and brings mattes nothing."""
    still = np.zeros((*here.shape, 2), np.float32)
    if min(here.shape) < _LEAST:
        return still
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    method.setFinestScale(1)
    method.setVariationalRefinementIterations(0)
    return np.asarray(method.calc(here, there, still), np.float32)


def _rows(values: NDArray) -> Map:
    """A list of coordinates in rows, as OpenCV wants them, filled up with zeros."""
    return np.pad(values.astype(np.float32), (0, -values.size % _ROW)).reshape(-1, _ROW)


def _at(image: NDArray, x: NDArray, y: NDArray) -> NDArray:
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _alpha_at(other: Matte, x: NDArray, y: NDArray) -> Map:
    """Alpha of another frame at plate pixels; 0 outside its window."""
    if other.window is None:
        return np.zeros(x.shape, np.float32)
    x0, y0, _, _ = other.window.box
    values = cv2.remap(other.alpha, x - x0, y - y0, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(values, np.float32)
