"""Which frames of a shot are looked at closely before it is tracked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sa2va_core.media.frames import FrameSource, Picture

#: Key frames of a shot: what the language model was trained to see of a clip.
KEY_FRAMES = 5
#: Most frames read while looking for cuts.
PROBES = 32
#: Mean difference of thumbnails (0..1) from one probe to the next that is more than movement.
CUT = 0.18
_THUMBNAIL = 16


def choose(source: FrameSource, count: int = KEY_FRAMES) -> dict[int, Picture]:
    """Key frames by position in the shot, in order: spread evenly, and one in every scene as far as they go round.

    A shot of ``count`` frames or fewer gives all of its frames. Reads at most PROBES pictures and keeps ``count``.
    """
    total = len(source.frames)
    if total <= count:
        return {i: source.read(source.frames[i]) for i in range(total)}
    probes = _spread(0, total - 1, min(total, PROBES))
    looks = np.stack([thumbnail(source.read(source.frames[i])) for i in probes])
    chosen = pick(probes, looks, count)
    return {i: source.read(source.frames[i]) for i in chosen}


def pick(probes: list[int], looks: NDArray[np.float32], count: int) -> list[int]:
    """``count`` of ``probes``: shared out among scenes by length, each at least one, evenly within a scene.

    With more scenes than ``count`` the longest ones get a frame. ``looks``: a thumbnail a probe, values 0..1.
    """
    jumps = np.abs(np.diff(looks, axis=0)).reshape(len(probes) - 1, -1).mean(axis=1)
    edges = [0, *(int(i) + 1 for i in np.flatnonzero(jumps > CUT)), len(probes)]
    scenes = [list(range(a, b)) for a, b in pairwise(edges)]
    scenes = sorted(sorted(scenes, key=len, reverse=True)[:count])
    shares = [1] * len(scenes)
    while sum(shares) < min(count, sum(map(len, scenes))):
        room = [len(s) / n if n < len(s) else 0.0 for s, n in zip(scenes, shares, strict=True)]
        shares[int(np.argmax(room))] += 1
    if len(scenes) == 1:
        # One scene: its very first and last frames count.
        return [probes[i] for i in _spread(0, len(probes) - 1, shares[0])]
    # Frames beside a cut are often blended, so scenes are sampled at the middle of equal parts.
    return [probes[s[int((j + 0.5) * len(s) / n)]] for s, n in zip(scenes, shares, strict=True) for j in range(n)]


def thumbnail(picture: Picture) -> NDArray[np.float32]:
    """Mean colours of a 16 x 16 grid, float32 (16, 16, 3), 0..1, from a sparse sample of the pixels."""
    height, width = picture.rgb.shape[:2]
    rows, columns = (np.linspace(0, side - 1, 4 * _THUMBNAIL).astype(int) for side in (height, width))
    sample = picture.rgb[rows[:, None], columns[None]].astype(np.float32) / 255
    return sample.reshape(_THUMBNAIL, 4, _THUMBNAIL, 4, 3).mean(axis=(1, 3))


def _spread(first: int, last: int, count: int) -> list[int]:
    return sorted({round(float(i)) for i in np.linspace(first, last, count)})
