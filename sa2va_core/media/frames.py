"""What flows from the plate to an engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
