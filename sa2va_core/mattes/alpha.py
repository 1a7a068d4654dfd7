"""Logits to alpha: one object on one frame, from the engine's scale to the plate's."""

from __future__ import annotations

import math

import cv2
import numpy as np
from sa2va_plugin.jobspec import MatteSettings

from sa2va_core.engines.base import Detail, ObjectTrack

from . import edges
from .device import Device, Seen
from .logits import Logits
from .matte import NOWHERE, Matte
from .window import EMPTY, Map, Size, Window, cell_size

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
    logits = Logits.of(track.logits, size, track.details)
    if not settings.refine:
        return _everywhere(logits.enlarged(), size)
    cell = cell_size(size)
    pixel = logits.pixel / cell
    window = logits.around(settings.blur_band)
    if window is None:
        return NOWHERE
    # Networks put a hard edge through motion blur, so where the user says that there is some, logits mean less.
    blur = settings.blur_band / _DEVIATIONS / cell
    outer = window.padded(edges.SEES + math.ceil(4 * blur)).rounded(device.step)
    coarse = logits.coverage(outer)
    if blur:
        coarse = np.asarray(cv2.GaussianBlur(coarse, (0, 0), blur, borderType=cv2.BORDER_REPLICATE), np.float32)
        logits = _of_cells(coarse, outer)
    band = edges.band(coarse, pixel, settings.blur_band / cell)
    alpha = device.edges(seen, outer, window, edges.Prior(coarse, band, logits, edges.weight(pixel)))
    return Matte(window, alpha, np.ascontiguousarray(band[window.inside(outer)]))


def _of_cells(coarse: Map, window: Window) -> Logits:
    """The logits of the cells' coverage."""
    share = np.clip(coarse, EMPTY / 8.0, 1.0 - EMPTY / 8.0)
    (width, height), cell = window.size, window.cell
    box = window.x0 * cell / width, window.y0 * cell / height, window.x1 * cell / width, window.y1 * cell / height
    return Logits(window.size, (Detail(np.log(share / (1.0 - share)), box),))


def _everywhere(alpha: Map, size: Size, pinned: bool = False) -> Matte:
    cell = cell_size(size)
    window = Window(0, 0, -(-size[0] // cell), -(-size[1] // cell), cell, size)
    return Matte(window, alpha, np.zeros((window.y1, window.x1), np.float32), pinned)
