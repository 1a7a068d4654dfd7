"""Things followed from frame to frame: detections matched to tracks, tracks to members of the cast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import colour
from .motion import Motion
from .networks import Detection
from .sheet import Box, Map, Sheet, area, iou, overlap

#: Frames without a detection after which a track ends.
PATIENCE = 12
#: A detection starts a track of its own from this score on.
_START = 0.45
#: The same for a kind of thing that the survey did not see at all.
_START_NEW = 0.65
#: The same for one that looks like a member that is not followed just now, and how much alike that is.
_START_KNOWN, _KNOWN = 0.3, 0.7


@dataclass(eq=False)
class Track:
    """One thing being followed. ``mask``: probability (h, w) on the last frame; ``box``, ``speed`` in working pixels.

    ``votes``: for each member of the group, how much this track looked like it. ``presence`` 0..1; ``member``: index
    or -1. ``inside``, ``outside``: colour histograms of the thing and of what surrounds it.
    """

    group: int
    box: Box
    speed: NDArray[np.float64]
    score: float
    votes: NDArray[np.float64]
    inside: colour.Histogram
    outside: colour.Histogram
    mask: Map
    member: int = -1
    hits: int = 1
    misses: int = 0
    presence: float = 0.0
    size: float = 0.0  # area of the mask when it was last sure
    extent: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))  # usual width and height
    # Of the present frame only:
    detection: Detection | None = field(default=None, repr=False)
    whole: Map | None = field(default=None, repr=False)  # the mask before others took their pixels out of it

    def predict(self, motion: Motion) -> None:
        """Move mask and box to the present frame."""
        self.detection = self.whole = None
        if motion.cut:
            self.misses, self.presence = PATIENCE + 1, 0.0
            return
        self.mask = motion.bring(self.mask)
        solid = self.mask > 0.5
        step = motion.shift(solid) if solid.sum() > 20 else self.speed
        self.speed = 0.5 * self.speed + 0.5 * step
        self.box = self.box + np.tile(step, 2)

    def meet(self, detection: Detection, looks: colour.Histogram, likeness: NDArray[np.float64], rigid: bool) -> None:
        """Take a detection of the present frame as this thing."""
        old, new = self.box, self._settle(detection.box) if rigid else detection.box
        self.extent = 0.7 * self.extent + 0.3 * (new[2:] - new[:2])
        centre = (new[:2] + new[2:] - old[:2] - old[2:]) / 2
        if self.misses:
            self.speed = np.zeros(2)
        else:
            self.speed = self.speed + 0.5 * centre
        self.box, self.score, self.detection = new, detection.score, detection
        self.votes = 0.85 * self.votes + likeness
        self.inside = (0.9 * self.inside + 0.1 * looks).astype(np.float32)
        self.hits, self.misses = self.hits + 1, 0

    def _settle(self, box: Box) -> Box:
        """``box``, where it is suddenly longer than the thing, cut down to the part nearest to where it is expected.

        A ball on a foot gets one box with the foot.
        """
        low, high = box[:2], box[2:]
        half = np.minimum(high - low, 1.1 * self.extent) / 2
        long = high - low > 1.25 * self.extent
        centre = np.clip((self.box[:2] + self.box[2:]) / 2, low + half, high - half)
        return np.concatenate([np.where(long, centre - half, low), np.where(long, centre + half, high)])

    def miss(self) -> None:
        # What it looked like counts less and less: a track that is seen now may be the member instead.
        self.misses, self.votes = self.misses + 1, 0.85 * self.votes

    @property
    def over(self) -> bool:
        return self.misses > PATIENCE

    def contends(self, other: Track) -> bool:
        """Whether pixels of ``other`` may be this one's. What was never cut out itself must be seen just now, and
        elsewhere: a second box on one ball is no second ball."""
        return self.presence > 0 or (self.detection is not None and not _same_place(self.box, other.box))


def associate(
    tracks: list[Track],
    detections: Sequence[Detection],
    sheet: Sheet,
    group: int,
    looks: NDArray[np.float32],
    rigid: bool,
) -> list[Track]:
    """Match one group's detections to its tracks, start new tracks, drop the ended.

    ``looks``: of the members; ``rigid``: whether the things keep their shape, which people and hands do not.
    """
    seen = [colour.histogram(sheet, colour.core(sheet, d.box)) for d in detections]
    like = [np.array([colour.likeness(h, m) for m in looks]) for h in seen]
    like = [_relative(x) for x in like]
    pairs = sorted(
        (
            (_affinity(t, d, seen[j], like[j], rigid), -i, -j)
            for i, t in enumerate(tracks)
            for j, d in enumerate(detections)
        ),
        reverse=True,
    )
    taken: set[int] = set()
    met: set[int] = set()
    for affinity, i, j in pairs:
        i, j = -i, -j
        if affinity < 0.35 or i in met or j in taken:
            continue
        met.add(i)
        taken.add(j)
        tracks[i].meet(detections[j], seen[j], like[j], rigid)
    for i, track in enumerate(tracks):
        if i not in met:
            track.miss()
    kept = [t for t in tracks if not t.over]
    for j in sorted(range(len(detections)), key=lambda j: -detections[j].score):
        detection = detections[j]
        lost = [m for m in range(len(looks)) if all(t.member != m for t in kept)]
        missed = max((colour.likeness(seen[j], looks[m]) for m in lost), default=0.0) >= _KNOWN
        least = _START_NEW if not len(looks) else _START_KNOWN if missed else _START
        if detection.score < least:
            continue
        if not any(_same_place(detection.box, t.box) for t in kept):
            kept.append(_start(group, detection, seen[j], like[j], sheet))
    _name(kept)
    return kept


def _same_place(a: Box, b: Box) -> bool:
    """Whether two boxes show one thing, or a part of it."""
    return iou(a, b) > 0.5 or overlap(a, b) > 0.8 * min(area(a), area(b))


def _start(group: int, d: Detection, looks: colour.Histogram, votes: NDArray[np.float64], sheet: Sheet) -> Track:
    empty = np.zeros(sheet.shape, np.float32)
    around = colour.histogram(sheet, np.ones(sheet.shape, np.float32))
    return Track(
        group, d.box, np.zeros(2), d.score, votes, looks, around, empty, detection=d, extent=d.box[2:] - d.box[:2]
    )


def _affinity(
    track: Track, detection: Detection, looks: colour.Histogram, like: NDArray[np.float64], rigid: bool
) -> float:
    """How well a detection continues a track: overlap, or nearness at like size; then looks, its member's too."""
    a, b = track.box, detection.box
    size = max(*(b[2:] - b[:2]), *(a[2:] - a[:2]))
    away = float(np.hypot(*((a[:2] + a[2:]) - (b[:2] + b[2:])))) / 2
    # A ball may bounce where it was not expected to.
    size *= 1.6 if rigid else 1.0
    reach = (1.0 + 0.5 * track.misses) * size
    alike = min(area(a), area(b)) / max(area(a), area(b), 1e-6)
    near = max(iou(a, b), 0.8 * alike * float(np.exp(-away / size)) if away < reach else 0.0)
    if near < 0.1:
        return 0.0
    known = like[track.member] if len(like) > 1 and track.member >= 0 else 0.0
    return near + 0.5 * (colour.likeness(track.inside, looks) - 0.5) + 0.2 * (detection.score - 0.5) + float(known)


def _relative(like: NDArray[np.float64]) -> NDArray[np.float64]:
    """Likeness to each member against the mean of all: what tells members apart."""
    return 4 * (like - like.mean()) if len(like) > 1 else like


def _name(tracks: list[Track]) -> None:
    """Give each member to the one track that looks most like it; a track keeps its member on a near tie."""
    options = sorted(
        (
            (float(vote) + (0.6 if t.member == m else 0) + 0.01 * t.hits / (t.hits + 5), -i, -m)
            for i, t in enumerate(tracks)
            for m, vote in enumerate(t.votes)
        ),
        reverse=True,
    )
    for track in tracks:
        track.member = -1
    members: set[int] = set()
    for _, i, m in options:
        track, m = tracks[-i], -m
        if track.member < 0 and m not in members:
            track.member = m
            members.add(m)
