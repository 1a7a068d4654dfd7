"""One track to spans: few points that serve all of a span's frames, few keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .keys import flicker, keyed
from .knots import poses
from .outline import Vertices
from .surface import Part, surfaces

#: Shares of the tolerance: for motion between keys, and for curves at keys.
_KEYS, _POINTS = 0.8, 0.7
#: Tolerances along an outline over which its distance is averaged when keys are chosen.
_ALONG = 4.0
#: Nothing is held closer than so many times its flicker: what jitters is to take neither points nor keys.
_FLICKER = 3.5


@dataclass(frozen=True)
class Span:
    """A shape over a run of frames. ``poses``: (K, N, 6) at the K frames ``keys``, rounded to a thousandth of a
    pixel. ``parts``: what the shape passes over, by frame."""

    keys: tuple[int, ...]
    poses: NDArray[np.float64]
    parts: Mapping[int, tuple[Part, ...]]

    def pose(self, frame: int) -> NDArray[np.float64]:
        after = int(np.searchsorted(self.keys, frame))
        if self.keys[after] == frame:
            return self.poses[after]
        a, b = self.keys[after - 1], self.keys[after]
        t = (frame - a) / (b - a)
        return self.poses[after - 1] * (1 - t) + self.poses[after] * t


def spans(
    frames: Sequence[int],
    ring: Callable[[int], Vertices],
    lengths: Sequence[float],
    tolerance: float,
    held: float,
    step: Callable[[], None] = lambda: None,
) -> list[Span]:
    """Fit one track. ``frames``: where it has an outline, rising; ``ring``: the outline of a frame; ``lengths``: of
    the outlines, in pixels. ``tolerance``, of what outlines show, and ``held``, how close curves are to be, in pixels
    too. ``step`` is called for each frame, and may raise.

    Keys come first, of the whole outline, so that what jitters is gone before points are placed; then points, on the
    outlines at keys alone. Between keys the curve is then no farther from the moving outline than at the keys.
    """
    found = []
    for surface in surfaces(frames, ring, lengths, tolerance, step):
        spacing = float(np.abs(np.diff(surface.points[0])).mean())
        along = int(np.clip(round(_ALONG * tolerance / max(spacing, 1e-6)), 1, surface.points.shape[1] // 8))
        near = min(tolerance, max(held, _FLICKER * flicker(surface.points)))
        chosen, marks = keyed(surface.frames, surface.points, _KEYS * near, along)
        keys = tuple(surface.frames[i] for i in chosen)
        found.append(Span(keys, poses(list(marks), _POINTS * near).round(3), surface.parts))
    return found
