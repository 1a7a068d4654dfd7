"""Outlines linked over time: which curve of this frame is which of the last.

A track is one outline over a run of frames. Where outlines split, merge, appear or go, tracks end and begin. What is
other for one frame only is bridged: the track goes straight on, and the frame is reported. Only what the object as a
whole has more or less of is a glitch: where a wall between two holes breaks, outlines change and the object does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: Frames on which a track may be without its outline and still go on.
GAP = 1
#: Two outlines are one thing in motion when the smaller has this share of the other's area, or this smaller one where
#: the centre stays (what opens or closes, not what splits)...
_SAME_AREA, _GROWING, _STAYS = 0.5, 0.15, 0.2
#: ...and its centre has moved by less than this many of its sizes (the square root of its area).
_REACH = 1.5
#: A jump of this share of the area that is gone on the next frame is a glitch...
_JUMP = 0.15
#: ...where this share of it shows in the area of the whole object...
_SHOWS = 0.5
#: ...but not of what is this share of its size from halfway between its neighbours, and nearer to where its motion on
#: either side leads: a ball that turns round at a kick.
_TURNS = 0.25
#: What comes for one frame, beside something that stays, and is smaller than this share of it, is a glitch.
_SMALL = 0.25


@dataclass(frozen=True)
class Ring:
    """What linking needs to know of one outline. ``index``: its place in its frame's file; ``parent`` likewise.
    ``area`` and ``length`` in pixels, ``centre`` in x and y."""

    index: int
    parent: int
    area: float
    length: float
    centre: NDArray[np.float64]

    @property
    def size(self) -> float:
        return max(1.0, float(np.sqrt(self.area)))


@dataclass
class Track:
    """``rings`` by frame. ``bridged``: frames in its span without a ring. ``parent``: for a hole, the track around."""

    rings: dict[int, Ring] = field(default_factory=dict)
    bridged: set[int] = field(default_factory=set)
    parent: Track | None = None

    @property
    def first(self) -> int:
        return min(self.rings)

    @property
    def last(self) -> int:
        return max(self.rings)

    @property
    def hole(self) -> bool:
        return next(iter(self.rings.values())).parent >= 0


@dataclass
class Linked:
    """``tracks``, outer ones each before their holes; ``bridged``: all frames on which a glitch was passed over."""

    tracks: list[Track]
    bridged: set[int]


def link(frames: Sequence[int], rings: Sequence[Sequence[Ring]]) -> Linked:
    """Link the rings of consecutive ``frames``, rising; ``rings[i]`` are those of ``frames[i]``."""
    whole = _Whole(frames, [sum(r.area if r.parent < 0 else -r.area for r in found) for found in rings])
    outer = chains(frames, [[r for r in found if r.parent < 0] for found in rings])
    outer, bridged = _without_glitches(whole, outer)
    holes: list[Track] = []
    for track in outer:
        inside = [
            [r for r in found if frame in track.rings and r.parent == track.rings[frame].index]
            for frame, found in zip(frames, rings, strict=True)
        ]
        inner = chains(frames, inside)
        if inner:
            inner, more = _without_glitches(whole, inner, track)
            bridged |= more
            for hole in inner:
                hole.parent = track
            holes += inner
    ordered: list[Track] = []
    for track in outer:
        ordered += [track, *(hole for hole in holes if hole.parent is track)]
    return Linked(ordered, bridged)


def chains(frames: Sequence[int], rings: Sequence[Sequence[Ring]]) -> list[Track]:
    """Rings of one kind, linked; nothing is taken out."""
    place = {frame: i for i, frame in enumerate(frames)}
    open_, done = [], []
    for frame, found in zip(frames, rings, strict=True):
        pairs = sorted(
            ((_likeness(track, ring), i, j) for i, track in enumerate(open_) for j, ring in enumerate(found)),
            key=lambda pair: (-pair[0], pair[1], pair[2]),
        )
        taken_tracks, taken_rings = set(), set()
        for score, i, j in pairs:
            if score > 0 and i not in taken_tracks and j not in taken_rings:
                taken_tracks.add(i)
                taken_rings.add(j)
                open_[i].rings[frame] = found[j]
        open_ += [Track({frame: ring}) for j, ring in enumerate(found) if j not in taken_rings]
        over = [track for track in open_ if place[frame] - place[track.last] > GAP]
        done += over
        open_ = [track for track in open_ if not any(track is other for other in over)]
    done += open_
    for track in done:
        first, last = place[track.first], place[track.last]
        track.bridged = {frame for frame in frames[first : last + 1] if frame not in track.rings}
    return sorted(done, key=lambda track: (track.first, track.rings[track.first].index))


def _likeness(track: Track, ring: Ring) -> float:
    """How probable it is that ``ring`` goes on ``track``: 0 for no, else up to 1."""
    *before, last = (track.rings[frame] for frame in sorted(track.rings)[-2:])
    areas = sorted((last.area, ring.area))
    share = areas[0] / max(areas[1], 1e-9)
    # Where it would be if it moved on as it did.
    expected = last.centre + (last.centre - before[0].centre) if before else last.centre
    way = min(np.hypot(*(ring.centre - expected)), np.hypot(*(ring.centre - last.centre))) / last.size
    least = _GROWING if way < _STAYS else _SAME_AREA
    return 0.0 if share < least or way > _REACH else share / (1 + way)


class _Whole:
    """The areas of the whole object on ``frames``, in square pixels."""

    def __init__(self, frames: Sequence[int], areas: Sequence[float]) -> None:
        self.frames = frames
        change = np.append(np.diff(areas), 0.0)
        #: By how much more there is than halfway between the frames before and after.
        self._more = dict(zip(frames, (np.roll(change, 1) - change) / 2, strict=True))

    def shows(self, frame: int, more: float) -> bool:
        """Whether the object has so much more, or less, on ``frame``, which is not the first nor the last."""
        return self._more[frame] * np.sign(more) >= _SHOWS * abs(more)


def _without_glitches(whole: _Whole, tracks: list[Track], around: Track | None = None) -> tuple[list[Track], set[int]]:
    """Take rings out that jump for one frame, and tracks that are there for one frame beside others that stay. Tracks
    end where they have no ring for one frame, and the object is no smaller for it."""
    tracks = [part for track in tracks for part in _broken(track, whole)]
    bridged: set[int] = set()
    for track in tracks:
        known = sorted(track.rings)
        for i in range(1, len(known) - 1):
            near = [track.rings[frame] for frame in known[max(0, i - 2) : i + 3]]
            if _jumps(near, min(i, 2)) and whole.shows(known[i], _more(track, known[i])):
                track.bridged.add(known[i])
        for frame in track.bridged:
            track.rings.pop(frame, None)
        bridged |= track.bridged
    kept = []
    for track in tracks:
        frame = track.first
        if track.first == track.last and len(whole.frames) > 1:
            others = [t for t in (*tracks, around) if t and t is not track and t.first <= frame <= t.last]
            staying = [t for t in others if t.first < frame < t.last]
            replaced = any(frame in t.bridged for t in others)
            largest = max((ring.area for t in staying for ring in t.rings.values()), default=0.0)
            if replaced or track.rings[frame].area < _SMALL * largest:
                bridged.add(frame)
                continue
        kept.append(track)
    return kept, bridged


def _broken(track: Track, whole: _Whole) -> list[Track]:
    """``track`` in parts, without the frames on which it has no ring and that does not show in the object."""
    ends = [frame for frame in sorted(track.bridged) if not whole.shows(frame, _more(track, frame))]
    return [
        Track(
            {frame: ring for frame, ring in track.rings.items() if a < frame < b},
            {frame for frame in track.bridged if a < frame < b},
            track.parent,
        )
        for a, b in pairwise([-np.inf, *ends, np.inf])
    ]


def _more(track: Track, frame: int) -> float:
    """By how much larger the object would be for what ``track`` has on ``frame`` than on the frames around it."""
    before = track.rings[max(f for f in track.rings if f < frame)].area
    after = track.rings[min(f for f in track.rings if f > frame)].area
    here = track.rings[frame].area if frame in track.rings else 0.0
    return (here - (before + after) / 2) * (-1 if track.hole else 1)


def _jumps(rings: Sequence[Ring], at: int) -> bool:
    """Whether the area of ``rings[at]`` is away from both neighbours', far more than these are from each other.

    A place of its own is no glitch: what is as large as before and elsewhere moves, and is followed.
    """
    before, ring, after = rings[at - 1 : at + 2]
    area = (before.area + after.area) / 2
    out, apart = abs(ring.area - area) / area, abs(after.area - before.area) / area
    if out <= _JUMP or out <= 3 * apart:
        return False
    leading = [(before.centre, rings[at - 2].centre)] if at > 1 else []
    leading += [(after.centre, rings[at + 2].centre)] if at + 2 < len(rings) else []
    off = float(np.hypot(*(ring.centre - (before.centre + after.centre) / 2)))
    expected = [float(np.hypot(*(ring.centre - (2 * near - far)))) for near, far in leading]
    return off <= _TURNS * max(1.0, float(np.sqrt(area))) or min(expected, default=off) > off / 2
