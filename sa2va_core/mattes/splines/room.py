"""How far the curves of an object may be off, for the overlap with the matte that they are to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .fit import Span
from .outline import LEAST, StoredOutlines
from .tracks import Track

#: The overlap that is aimed at, so that frames that differ have the least one.
_AIM = 0.985
#: No track has more, or less, than an even share of the room by so many times.
_SHIFT = 2.0
#: No outline is held closer on the mean than this, in pixels.
_NEAREST = 0.05


class Budget:
    """How far curves may be off on each frame, in pixels on the mean along all outlines of ``tracks``. What a track
    does not need is left to those after it, and what it takes too much is taken from them."""

    def __init__(self, room: Mapping[int, float], tracks: Sequence[Track]) -> None:
        self._room = room
        self._length = {frame: sum(t.rings[frame].length for t in tracks if frame in t.rings) for frame in room}
        self._area = {frame: room[frame] * length for frame, length in self._length.items()}

    def left(self) -> dict[int, float]:
        """For each frame, evenly over the outlines that are left."""
        return {
            frame: float(np.clip(self._area[frame] / max(self._length[frame], 1.0), even / _SHIFT, even * _SHIFT))
            for frame, even in self._room.items()
        }

    def take(self, track: Track, spans: Sequence[Span]) -> None:
        for span in spans:
            for frame, off in span.off.items():
                self._length[frame] -= track.rings[frame].length
                self._area[frame] -= off * track.rings[frame].length


def even_room(frame: int, tracks: Sequence[Track], file: StoredOutlines, tolerance: float) -> float:
    """How far curves may be off on a frame, in pixels on the mean along all outlines of ``tracks``, for the least
    overlap with the matte: what easing the outlines and parts without a shape lose is taken off, but half is left. Hair
    is held to the tolerance alone."""
    if is_hair(file):
        return tolerance
    followed = [track.rings[frame] for track in tracks if frame in track.rings]
    area, lost = _area(file), file.lost()
    allowed = (1 - _AIM) * area
    shapeless = sum(ring[1] for i, ring in enumerate(file.eased.facts()) if i not in {r.index for r in followed})
    left = max(allowed - lost - shapeless, allowed / 2)
    return max(left / max(1.0, sum(ring.length for ring in followed)), _NEAREST)


def _area(file: StoredOutlines) -> float:
    return sum(-area if parent >= 0 else area for parent, area, *_ in file.facts().tolist())


def is_hair(file: StoredOutlines) -> bool:
    """Whether the matte is so fine that even the outlines that are followed overlap it by less than the least."""
    return file.lost() > (1 - LEAST) * _area(file)
