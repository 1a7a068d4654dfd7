"""What stills and movies have in common for whoever reads them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_EXACT = [Fraction(n, 1001) for n in (24000, 30000, 48000, 60000, 120000)]


@dataclass(frozen=True)
class ColourHint:
    """What a file says of its own colour.

    ``names``: colour spaces to look for in the configuration, the best first. ``said``: the file's words. ``note``: why
    this is not certain, or empty.
    """

    names: tuple[str, ...]
    said: str
    note: str = ""


class PlateReader(Protocol):
    """A plate opened for reading. Frame numbers are the plate's own.

    ``decode`` and ``pixels`` are the two halves of a read: ``decode`` is called by one thread at a time, best in rising
    order; ``pixels`` by any thread. ``size``: (width, height) of the display window, upright; ``origin``: (x, y) of its
    top left pixel. ``bits``: of a stored channel. ``hint`` and ``fps`` are None where the plate does not say.
    """

    size: tuple[int, int]
    origin: tuple[int, int]
    pixel_aspect: float
    fps: Fraction | None
    hint: ColourHint | None
    bits: int
    warnings: list[str]

    @property
    def numbers(self) -> Sequence[int]:
        """The plate frames that there are, ascending."""
        ...

    def path(self, number: int) -> Path:
        """The file that holds the frame."""
        ...

    def position(self, number: int) -> Hashable:
        """The same for two numbers that show the same stored picture."""
        ...

    def timecode(self, number: int) -> str | None:
        """SMPTE time code of the frame, where the plate has one."""
        ...

    def decode(self, number: int) -> Any:
        """The frame in a form of the reader's own, for :meth:`pixels`. Raises MediaError."""
        ...

    def pixels(self, decoded: Any, eight_bit: bool = False) -> NDArray[np.generic]:
        """(height, width, 3) as stored: uint8, uint16, float16 or float32. ``eight_bit``: 8 bits are enough."""
        ...

    def close(self) -> None:
        """Close decoders. Safe to call twice."""
        ...


def nominal_rate(value: float | Fraction) -> Fraction:
    """A frame rate as people mean it: 23.976 and 24000/1001 are the same, 24.0001 is 24."""
    if isinstance(value, Fraction) and value.denominator in (1, 1001):
        return value
    nearest = min([*_EXACT, Fraction(max(1, round(value)))], key=lambda rate: abs(rate - Fraction(value)))
    if abs(nearest - Fraction(value)) < Fraction(value) / 4000:
        return nearest
    return Fraction(value).limit_denominator(1001)
