"""How the picture moved since the last frame, and taking maps along."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .sheet import Map, Sheet

#: Mean difference (8-bit levels) between a frame and the last one brought over by flow, above which it is a cut.
_CUT = 38.0


@dataclass(frozen=True)
class Motion:
    """``flow``: float32 (h, w, 2), working pixels, from each pixel of this frame to where it was in the last one.

    ``trust``: (h, w) 0..1, how well the last frame, brought over, agrees with this one.
    """

    flow: NDArray[np.float32]
    trust: Map
    cut: bool

    def bring(self, values: Map) -> Map:
        """A map of the last frame, moved to this one."""
        h, w = values.shape
        x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
        moved = cv2.remap(
            values, x + self.flow[..., 0], y + self.flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved, np.float32)

    def shift(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(dx, dy): how far the pixels under ``mask`` (of this frame) came, as their median."""
        return -np.median(self.flow[mask], axis=0).astype(np.float64) if mask.any() else np.zeros(2)


def motion(last: NDArray[np.uint8], sheet: Sheet) -> Motion:
    """Dense inverse search flow (Kroeger et al. 2016) from ``sheet`` back to the last frame's grey picture."""
    now = sheet.grey
    h, w = now.shape
    small = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(
        now, last, np.zeros((h, w, 2), np.float32)
    )
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    back = cv2.remap(last, x + small[..., 0], y + small[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error = cv2.blur(cv2.absdiff(now, back).astype(np.float32), (5, 5))
    size = (sheet.width, sheet.height)
    flow = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    flow *= np.array([sheet.width / w, sheet.height / h], np.float32)
    trust = np.asarray(cv2.resize(np.exp(-error / 12), size, interpolation=cv2.INTER_LINEAR), np.float32)
    return Motion(flow, trust, bool(error.mean() > _CUT))
