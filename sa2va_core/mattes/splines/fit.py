"""One track to spans: few points that serve all of a span's frames, few keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .keys import Moving, flicker, keyed
from .knots import poses
from .outline import Vertices
from .surface import Part, surfaces

#: Shares of the tolerance: for motion between keys, and for curves at keys.
_KEYS, _POINTS = 0.8, 1.0
#: The share of the room that motion between keys may take...
_MOVING = 0.85
#: Tolerances along an outline over which its distance is averaged when keys are chosen.
_ALONG = 4.0
#: ...but it is never held closer than so many times the outline's flicker, nor are curves closer than that flicker:
#: what jitters is to take neither keys nor points.
_FLICKER = 1.5


@dataclass(frozen=True)
class Span:
    """A shape over a run of frames. ``poses``: (K, N, 6) at the K frames ``keys``, rounded to a thousandth of a
    pixel. ``off``: how far it is from its outline on the mean, in pixels, by frame. ``parts``: what it passes over."""

    keys: tuple[int, ...]
    poses: NDArray[np.float64]
    off: Mapping[int, float]
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
    room: Mapping[int, float],
    step: Callable[[], None] = lambda: None,
) -> list[Span]:
    """Fit one track. ``frames``: where it has an outline, rising; ``ring``: the outline of a frame; ``lengths``: of
    the outlines, in pixels. Curves are mostly within ``tolerance`` of them and, on the mean along one, within the
    ``room`` of its frame, in pixels too. ``step`` is called for each frame, and may raise.

    Keys come first, of the whole outline, so that what jitters is gone before points are placed; then points, on the
    outlines at keys alone, with what room keys leave. Between keys the curve is then no farther from the moving outline
    than at the keys.
    """
    found = []
    for surface in surfaces(frames, ring, lengths, tolerance, step):
        spacing = float(np.abs(np.diff(surface.points[0])).mean())
        along = int(np.clip(round(_ALONG * tolerance / max(spacing, 1e-6)), 1, surface.points.shape[1] // 8))
        rooms = np.array([room[frame] for frame in surface.frames])
        jitter = flicker(surface.points)
        most = np.maximum(_MOVING * rooms, _FLICKER * jitter)
        moving = Moving(np.array(surface.frames, np.float64), surface.points, _KEYS * tolerance, along, most)
        chosen = keyed(moving)
        # Two errors that know nothing of each other add as squares.
        moved = np.abs(moving.across(chosen)).mean(1)
        left = np.maximum(np.sqrt(rooms**2 - np.minimum(moved, _MOVING * rooms) ** 2), jitter)
        # A key serves the frames up to the next ones.
        ends = [0, *chosen, len(rooms) - 1]
        rest = np.array([left[a : b + 1].min() for a, b in zip(ends, ends[2:], strict=False)])
        keys = tuple(surface.frames[i] for i in chosen)
        curves, beside = poses(list(moving.marks(chosen)), _POINTS * tolerance, rest)
        off = np.hypot(moved, np.interp(surface.frames, keys, beside))
        found.append(Span(keys, curves.round(3), dict(zip(surface.frames, off.tolist(), strict=True)), surface.parts))
    return found
