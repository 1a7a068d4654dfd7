"""Where edges and steadiness are worked out: what :mod:`cpu` and :mod:`gpu` both do.

The one seam between the two. On a GPU pictures and alphas stay there from step to step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sa2va_core.media.frames import Picture

from .edges import Prior
from .matte import Matte, Plane
from .window import Size, Window


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

    def edges(self, seen: Seen, outer: Window, inner: Window, prior: Prior) -> Plane:
        """Alpha over ``inner``; ``outer`` is all that is looked at. See :mod:`edges`."""
        ...

    def steady(self, now: Matte, seen: Seen, beside: Sequence[tuple[Matte, Seen]]) -> Matte:
        """See :func:`steady.steady`."""
        ...

    def fetched(self, matte: Matte) -> Matte:
        """``matte`` with its alpha on the host."""
        ...
