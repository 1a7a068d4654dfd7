"""What an artist may ask of a matte beyond its defaults: holes filled, specks dropped, edges moved and softened.

All sizes are plate pixels. A matte here is float32 (H, W), 0..1, of a box that holds all of the object and ends in
emptiness or at the plate's own border; what lies beyond the border is taken to go on as it is there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.jobspec import MatteSettings

from .window import EMPTY, Map

# Width of an edge from a tenth to nine tenths, in standard deviations of the blur that made it.
_TEN_TO_NINETY = 2.563
# Where pieces of a matte are told apart: a faint veil does not join two of them.
_VEIL = 1.0 / 32.0
# How far from a hole or speck its soft rim may reach.
_RIM = 12.0
# A quarter of a pixel more brings the area of small discs near to that of a circle.
_ROUNDER = 0.25
# Radius up to which every pixel of the disc is looked at, which takes a time that goes with its square; and how many
# levels of alpha are moved beyond that.
_LOOKED_AT, _LEVELS = 40, 16
# Standard deviation beyond which a blur is made on fewer pixels, and about what it is in these.
_WIDE, _REDUCED = 16.0, 8.0


def margin(settings: MatteSettings) -> int:
    """Pixels around a matte that :func:`adjusted` may reach into."""
    return math.ceil(max(0.0, settings.grow) + 1.5 * settings.softness) + 1


def adjusted(alpha: Map, settings: MatteSettings) -> Map:
    """``alpha`` after all controls, in this order; the very same array where there is nothing to do."""
    if settings.fill_holes > 0:
        alpha = fill_holes(alpha, settings.fill_holes)
    if settings.drop_specks > 0:
        alpha = drop_specks(alpha, settings.drop_specks)
    if settings.grow:
        alpha = grown(alpha, settings.grow)
    if settings.softness > 0:
        alpha = softened(alpha, settings.softness)
    return alpha


def fill_holes(alpha: Map, across: float) -> Map:
    """Fill what the matte encloses and is at most ``across`` wide and high. An opening to the border is none."""
    outside, holes = _told_apart(alpha < 0.5, across, keep_at_border=True)
    return np.where(_nearer(holes, outside), np.float32(1.0), alpha) if holes.any() else alpha


def drop_specks(alpha: Map, across: float) -> Map:
    """Drop pieces that nothing joins to others and that are at most ``across`` wide and high."""
    kept, specks = _told_apart(alpha > _VEIL, across, keep_at_border=False)
    return np.where(_nearer(specks, kept), np.float32(0.0), alpha) if specks.any() else alpha


def grown(alpha: Map, by: float) -> Map:
    """Every edge moved outwards by ``by`` pixels (inwards where negative), as soft as it was.

    Grey dilation or erosion by a disc moves each level of alpha by the disc's radius; between whole radii the two
    nearest are mixed, which moves an edge of a pixel or wider by the part between.
    """
    below = math.floor(abs(by))
    share = np.float32(abs(by) - below)
    radii = (below, below + 1) if share else (below,)
    if radii[-1] > _LOOKED_AT:
        moved = _levels_moved(alpha, radii) if by > 0 else [1.0 - plane for plane in _levels_moved(1.0 - alpha, radii)]
    else:
        change = cv2.dilate if by > 0 else cv2.erode
        moved = [change(alpha, _disc(radius), borderType=cv2.BORDER_REPLICATE) for radius in radii]
    return np.asarray(moved[0] + share * (moved[-1] - moved[0]) if share else moved[0], np.float32)


def _levels_moved(alpha: Map, radii: Sequence[int]) -> list[Map]:
    """Grey dilation by discs, in a time that does not depend on their radii: a level of alpha comes to where it is no
    further away than the radius. Levels between those looked at are taken to lie evenly between these."""
    top = max(float(alpha.max(initial=0.0)), 2.0 * EMPTY)
    levels = [EMPTY, *(top * np.arange(1, _LEVELS) / _LEVELS), top - EMPTY]
    lowest, highest = _away(alpha >= levels[0]), _away(alpha >= levels[-1])
    between = np.nonzero((lowest <= radii[-1] + _ROUNDER) & (highest > radii[0] + _ROUNDER))
    reaches = [radius + _ROUNDER for radius in radii]
    values = [EMPTY * (lowest[between] <= reach) for reach in reaches]
    low = lowest[between]
    for below, level in pairwise(levels):
        high = _away(alpha >= level)[between]
        for value, reach in zip(values, reaches, strict=True):
            value += (level - below) * np.clip((reach - low) / np.maximum(high - low, 1e-3), 0.0, 1.0)
        low = high
    moved = []
    for value, reach in zip(values, reaches, strict=True):
        plane = np.where(highest <= reach, np.float32(top), np.float32(0.0))
        plane[between] = value
        moved.append(np.maximum(plane, alpha))
    return moved


def _away(mask: NDArray[np.bool_]) -> Map:
    """How many pixels each pixel is away from ``mask``."""
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def softened(alpha: Map, over: float) -> Map:
    """A hard edge becomes one that takes ``over`` pixels from a tenth to nine tenths."""
    sigma = over / _TEN_TO_NINETY
    if sigma <= _WIDE:
        return np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
    # What a wide blur leaves, fewer pixels can hold, and its time then does not depend on its width. Making them and
    # coming back from them blurs too, by a quarter of their side squared. The border goes on before it is averaged.
    more = math.ceil(3.0 * sigma)
    wide = cv2.copyMakeBorder(alpha, more, more, more, more, cv2.BORDER_REPLICATE)
    size = wide.shape[1], wide.shape[0]
    reduced = [round(side * _REDUCED / sigma) for side in size]
    across, down = (math.sqrt((sigma * few / many) ** 2 - 0.25) for few, many in zip(reduced, size, strict=True))
    small = cv2.GaussianBlur(cv2.resize(wide, reduced, interpolation=cv2.INTER_AREA), (0, 0), across, sigmaY=down)
    blurred = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)[more:-more, more:-more]
    return np.ascontiguousarray(blurred, np.float32)


def _disc(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= (radius + _ROUNDER) ** 2).astype(np.uint8)


def _told_apart(
    mask: NDArray[np.bool_], across: float, keep_at_border: bool
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The pieces of ``mask`` that are larger than ``across``, and those that are not."""
    height, width = mask.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    small = np.zeros(count, bool)
    for label in range(1, count):
        x, y, w, h = stats[label, :4]
        at_border = x == 0 or y == 0 or x + w == width or y + h == height
        small[label] = max(w, h) <= across and not (keep_at_border and at_border)
    pieces = small[np.asarray(labels, np.intp)]
    return mask & ~pieces, pieces


def _nearer(these: NDArray[np.bool_], those: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that are nearer to ``these`` than to ``those``, and no further from them than a soft rim reaches."""
    to_these, to_those = _away(these), _away(those)
    return (to_these < to_those) & (to_these <= _RIM)
