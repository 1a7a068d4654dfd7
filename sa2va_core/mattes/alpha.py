"""Logits to alpha: one object on one frame, from the engine's scale to the plate's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from sa2va_plugin.jobspec import MatteSettings

from sa2va_core.engines.base import ObjectTrack
from sa2va_core.media.frames import Picture

from . import edges
from .device import Device
from .window import EMPTY, Map, Size, Window, around, cell_size, coverage, enlarged, guide, pixel_of


@dataclass(frozen=True)
class Matte:
    """An object's alpha on one frame, held only where there is any.

    ``alpha``: float32 (H, W), 0..1, linear coverage, over ``window``; 0 outside. ``band``: float32, for each cell of
    the window, how far its alpha was open to change, 0..1. ``window`` is None for an object that is not there.
    ``pinned``: made by the user, not to be touched.
    """

    window: Window | None
    alpha: Map
    band: Map
    pinned: bool = False

    def whole(self, size: Size) -> Map:
        """The matte over the plate, float32 (height, width)."""
        result = np.zeros(size[::-1], np.float32)
        if self.window is not None:
            result[self.window.pixels] = self.alpha
        return result


# Standard deviations of a blur between its middle and where it ends for the eye.
_DEVIATIONS = 2.0
_NONE = np.zeros((0, 0), np.float32)
NOWHERE = Matte(None, _NONE, _NONE)


def matte(track: ObjectTrack, picture: Picture, size: Size, settings: MatteSettings, device: Device) -> Matte:
    """The matte of one object on one frame, by that frame alone.

    ``size``: (width, height) of the plate. Without ``settings.refine`` it is the sigmoid of bilinearly enlarged logits.
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
    outer = window.padded(edges.SEES + math.ceil(4 * blur))
    inner = window.inside(outer)
    coarse = coverage(track.logits, outer, track.details)
    if blur:
        coarse = np.asarray(cv2.GaussianBlur(coarse, (0, 0), blur, borderType=cv2.BORDER_REPLICATE), np.float32)
    band = edges.band(coarse, logit, settings.blur_band / cell)
    alpha = device.run(guide(picture, outer), coarse, band, edges.weight(logit), inner, cell)
    x0, y0, x1, y1 = window.box
    alpha = np.ascontiguousarray(alpha[: y1 - y0, : x1 - x0])
    alpha[alpha < EMPTY] = 0.0
    return Matte(window, alpha, np.ascontiguousarray(band[inner]))


def _everywhere(alpha: Map, size: Size, pinned: bool = False) -> Matte:
    cell = cell_size(size)
    window = Window(0, 0, -(-size[0] // cell), -(-size[1] // cell), cell, size)
    return Matte(window, alpha, np.zeros((window.y1, window.x1), np.float32), pinned)
