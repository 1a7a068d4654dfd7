"""What flows from the plate to an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """One frame as a model sees it.

    ``rgb``: uint8 (height, width, 3), display-referred sRGB, 0..255, the plate's display window at square pixels
    (an anamorphic plate is stretched to its true shape). ``frame`` counts in result frames.
    """

    frame: int
    rgb: NDArray[np.uint8]


@dataclass(frozen=True)
class SourceFrame:
    """Where one result frame comes from. ``timecode``: ``HH:MM:SS:FF`` (``;`` before FF for drop frame) or None."""

    frame: int
    plate_frame: int
    path: Path
    timecode: str | None = None


@dataclass(frozen=True)
class PlateFacts:
    """What stays the same over a shot.

    ``stem``: the plate's name without frame number and extension. ``size``: (width, height) of the display window in
    plate pixels, as mattes are written. ``pixel_aspect``: width over height of a plate pixel. ``colour_space``: name
    in the OCIO configuration, and ``colour_source`` who named it: ``job``, ``file rules`` or ``metadata``.
    ``origin``: (x, y) of the display window's top left pixel, which EXR lets lie anywhere.
    """

    stem: str
    size: tuple[int, int]
    pixel_aspect: float
    fps: Fraction
    colour_space: str
    colour_source: str
    origin: tuple[int, int] = (0, 0)


class FrameSource(Protocol):
    """A shot as an engine sees it: numbered pictures, by sequence or by number, never all at once in memory."""

    @property
    def frames(self) -> Sequence[int]:
        """Result frame numbers, rising, without repeats."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of every picture."""
        ...

    def read(self, frame: int) -> Picture:
        """One picture. Raises MediaError. For key frames; a whole shot goes through :meth:`stream`."""
        ...

    def stream(self, frames: Sequence[int]) -> Iterator[Picture]:
        """The pictures of ``frames`` in that order, read by threads ahead of the caller, a bounded number in memory.

        Closing the iterator stops the threads.
        """
        ...
