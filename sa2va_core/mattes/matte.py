"""What the steps of the matte stage hand on: one object's alpha on one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .window import Map, Size, Window

#: A plane where its device keeps it: :data:`Map`, or a torch tensor of the same shape and type on a GPU.
Plane = Any


@dataclass(frozen=True)
class Matte:
    """An object's alpha on one frame, held only where there is any.

    ``alpha``: float32 (H, W), 0..1, linear coverage, over ``window``; 0 outside. ``band``: float32, for each cell of
    the window, how far its alpha was open to change, 0..1. ``window`` is None for an object that is not there.
    ``pinned``: made by the user, not to be touched.
    """

    window: Window | None
    alpha: Plane
    band: Map
    pinned: bool = False

    def whole(self, size: Size) -> Map:
        """The matte over the plate, float32 (height, width). ``alpha`` must be on the host."""
        result = np.zeros(size[::-1], np.float32)
        if self.window is not None:
            result[self.window.pixels] = self.alpha
        return result


_NONE = np.zeros((0, 0), np.float32)
NOWHERE = Matte(None, _NONE, _NONE)
