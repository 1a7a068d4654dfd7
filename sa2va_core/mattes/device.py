"""Where edges and steadiness are worked out: on the CPU, or on the engine's GPU when it has one.

The one seam between the two. On a GPU pictures and alphas stay there from step to step; nothing is sent twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from sa2va_core.media.frames import Picture

from . import edges
from .matte import Matte, Plane
from .steady import steady
from .window import EMPTY, Map, Size, Window, at_plate, guide


class Seen(Protocol):
    """A picture where a device keeps it."""

    @property
    def picture(self) -> Picture: ...


class Device(Protocol):
    """Several threads may call it at once."""

    #: Windows that are looked at are grown to multiples of so many cells.
    step: int

    def hold(self, picture: Picture, size: Size) -> Seen:
        """``picture`` for the calls below. ``size``: (width, height) of the plate."""
        ...

    def edges(
        self, seen: Seen, outer: Window, inner: Window, coarse: Map, logits: Map, band: Map, weight: float
    ) -> Plane:
        """Alpha over ``inner``. ``coarse`` and ``band``, each (h, w) for the cells of ``outer``, which is all that is
        looked at, ``logits`` at the pixels of ``inner``'s cells, and ``weight``: see :mod:`edges`."""
        ...

    def steady(self, now: Matte, seen: Seen, beside: Sequence[tuple[Matte, Seen]]) -> Matte:
        """See :func:`steady.steady`."""
        ...

    def fetched(self, matte: Matte) -> Matte:
        """``matte`` with its alpha on the host."""
        ...


def device(name: str) -> Device:
    """The device for an engine that runs on ``name``: its first word is torch's name for it, such as ``cpu`` or
    ``cuda:0``."""
    where = name.partition(" ")[0]
    if not where.startswith("cuda"):
        return Cpu()
    from .gpu import TorchDevice

    return TorchDevice(where)


@dataclass(frozen=True)
class _OnHost:
    picture: Picture


class Cpu:
    """OpenCV and numpy."""

    step = 1

    def hold(self, picture: Picture, size: Size) -> Seen:
        return _OnHost(at_plate(picture, size))

    def edges(
        self, seen: Seen, outer: Window, inner: Window, coarse: Map, logits: Map, band: Map, weight: float
    ) -> Plane:
        around, cell, within = edges.in_light(guide(seen.picture, outer)), outer.cell, inner.inside(outer)
        size = coarse.shape[::-1]
        small = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in around])
        found = edges.fit(np, edges.box, small, coarse, band, weight)
        rows, columns = within
        # The cells of the inner window and one more on each side, repeated where there is none.
        padded = np.pad(found, ((0, 0), (1, 1), (1, 1)), mode="edge")
        ringed = np.ascontiguousarray(padded[:, rows.start : rows.stop + 2, columns.start : columns.stop + 2])
        pixels = around[:, rows.start * cell : rows.stop * cell, columns.start * cell : columns.stop * cell]
        x0, y0, x1, y1 = inner.box
        alpha = np.ascontiguousarray(edges.apply(ringed, pixels, logits, weight, cell)[: y1 - y0, : x1 - x0])
        alpha[alpha < EMPTY] = 0.0
        return alpha

    def steady(self, now: Matte, seen: Seen, beside: Sequence[tuple[Matte, Seen]]) -> Matte:
        return steady(now, seen.picture, [(other, there.picture) for other, there in beside])

    def fetched(self, matte: Matte) -> Matte:
        return matte
