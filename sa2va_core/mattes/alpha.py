"""Logits to alpha: one object on one frame, from the engine's scale to the plate's."""

from __future__ import annotations

import math

import cv2
import numpy as np
from sa2va_plugin.jobspec import MatteSettings

from sa2va_core.engines.base import ObjectTrack

from . import edges
from .device import Device, Seen
from .matte import NOWHERE, Matte
from .window import (
    EMPTY,
    POINTS,
    Map,
    Size,
    Window,
    around,
    at_pixels,
    at_points,
    cell_size,
    coverage,
    enlarged,
    pixel_of,
)

# Standard deviations of a blur between its middle and where it ends for the eye.
_DEVIATIONS = 2.0


def matte(track: ObjectTrack, seen: Seen, size: Size, settings: MatteSettings, device: Device) -> Matte:
    """The matte of one object on one frame, by that frame alone.

    ``seen``: the picture, as ``device`` holds it. ``size``: (width, height) of the plate. Without ``settings.refine``
    it is the sigmoid of bilinearly enlarged logits.
    A pin of the plate's size is returned as it is.
    """
    if track.pin is not None:
        same = track.pin.shape[::-1] == size
        pin = track.pin if same else cv2.resize(track.pin, size, interpolation=cv2.INTER_LINEAR)
        return _everywhere(np.asarray(pin, np.float32), size, pinned=True)
    if not settings.refine:
        return _everywhere(enlarged(track.logits, size, track.details), size)
    cell = cell_size(size)
    logit = pixel_of(track.logits, size, track.details) / cell
    window = around(track.logits, size, settings.blur_band, track.details)
    if window is None:
        return NOWHERE
    # Networks put a hard edge through motion blur, so where the user says that there is some, logits mean less.
    blur = settings.blur_band / _DEVIATIONS / cell
    outer = window.padded(edges.SEES + math.ceil(4 * blur)).rounded(device.step)
    inner = window.inside(outer)
    coarse = coverage(track.logits, outer, track.details)
    points = at_points(track.logits, outer, track.details)
    logits = at_pixels(track.logits, window, track.details)
    if blur:
        coarse = np.asarray(cv2.GaussianBlur(coarse, (0, 0), blur, borderType=cv2.BORDER_REPLICATE), np.float32)
        points = _between(coarse, POINTS)
        rows, columns = (slice(part.start * cell, part.stop * cell) for part in inner)
        logits = np.ascontiguousarray(_between(coarse, cell)[rows, columns])
    band = edges.band(coarse, logit, settings.blur_band / cell)
    prior = edges.Prior(coarse, band, points, logits, edges.weight(logit))
    alpha = device.edges(seen, outer, window, prior)
    return Matte(window, alpha, np.ascontiguousarray(band[inner]))


def _between(coarse: Map, times: int) -> Map:
    """Logits between those of the cells, so many in each each way."""
    share = np.clip(coarse, EMPTY / 8.0, 1.0 - EMPTY / 8.0)
    size = coarse.shape[1] * times, coarse.shape[0] * times
    large = cv2.resize(np.log(share / (1.0 - share)), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.float32)


def _everywhere(alpha: Map, size: Size, pinned: bool = False) -> Matte:
    cell = cell_size(size)
    window = Window(0, 0, -(-size[0] // cell), -(-size[1] // cell), cell, size)
    return Matte(window, alpha, np.zeros((window.y1, window.x1), np.float32), pinned)
