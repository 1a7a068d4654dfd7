"""From measures to a score for each object and frame, with the reasons in words.

Every fault costs points, and a score is 2 to the power of minus the points: 1 is faultless, each point halves the
trust. What an object does all the time (a runner's legs, a flag) is its normal state, taken as a median over the shot,
and only what goes beyond it costs; steady wobble costs by its absolute size. ``docs/qc.md`` gives the reasons for the
numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .compare import Link, Shape, Twin

#: Score from which a frame is good, and below which it needs work.
GOOD, BAD = 0.8, 0.5

# What costs one point, each beyond the object's normal state and a tolerance.
_IOU_POINT = 0.2
_EDGE_POINT = 1.5  # working pixels
_AREA_POINT = 0.35  # natural logarithm of the ratio
_PRESENCE_POINT = 0.4
_BAND_POINT = 1.0  # natural logarithm of the ratio
_IDENTITY = 4.0
_SAME_AS_ANOTHER = 1.0
_SHORT_GAP = 3.0
_BREAK = 1.5
_NORMAL = 1.5  # times the median is still normal
_SHORT = 2  # frames
_SAME_PICTURE = 12.0  # levels: below, the picture shows the same thing on both frames, however steady it is
_SIZEABLE = 0.25  # of the object's median area
_AROUND = 12  # frames to each side in which the edge band is compared
_SHUTTER = 0.5  # of a frame: what moves is blurred by as much of its way
_SUSPECT = 0.1  # points from which a frame is checked for being a glitch
_PLAIN = 0.4  # and from which it is taken for one where its neighbours cannot be compared with each other


@dataclass(frozen=True)
class Track:
    """One object over the shot, one entry a frame in time order. ``links``: with the frame before.
    ``area``, ``peak``: mean and highest alpha; ``presence``: 0..1; ``band``: width of the soft edge, plate pixels, NaN
    where there is no edge."""

    shapes: Sequence[Shape]
    area: Sequence[float]
    peak: Sequence[float]
    presence: Sequence[float]
    band: Sequence[float]
    links: Sequence[Link | None]
    twins: Sequence[Twin | None]


@dataclass(frozen=True)
class Fault:
    points: float
    words: str


@dataclass(frozen=True)
class Judgement:
    """``score``: 0..1, or None where the object is rightly absent and there is nothing to judge. ``reasons``: what
    counts, in words."""

    score: float | None
    points: float
    reasons: Sequence[str]


class Judge:
    """Judges one object. ``names``: of all objects; ``scale``: picture pixels per working pixel."""

    def __init__(self, track: Track, names: Sequence[str], scale: float) -> None:
        self._track, self._names, self._scale = track, names, scale
        self._normal = _Normal(track)
        count = len(track.shapes)
        self._links = [self._between(t - 1, t, track.links[t]) if t else [] for t in range(count)]
        #: Frames that may be wrong alone, by index: whether their neighbours agree with each other has to be known.
        self.suspects = [t for t in range(1, count - 1) if self._apart(t, self._links) >= _SUSPECT]

    def _between(self, a: int, b: int, link: Link | None) -> list[Fault]:
        shapes = self._track.shapes
        return [] if link is None else self._normal.faults(shapes[a], shapes[b], link, self._names, self._scale)

    def _apart(self, t: int, links: Sequence[Sequence[Fault]]) -> float:
        """Points by which frame ``t`` differs from both of its neighbours, or from the one it can be compared with."""
        return min((_worst(faults) for faults in links[t : t + 2] if faults), default=0.0)

    def judge(self, around: Mapping[int, Link | None]) -> list[Judgement]:
        """A judgement for each frame. ``around``: for each of ``suspects``, the link from the frame before it to the
        one after."""
        track, links = self._track, list(self._links)
        for t in self.suspects:
            here, after = links[t], links[t + 1]
            without, apart = self._between(t - 1, t + 1, around[t]), self._apart(t, links)
            known = without or (here and after and apart >= _PLAIN)
            # The neighbours agree with each other: this frame alone is wrong, and the next one only returns.
            if known and apart >= _SUSPECT and _worst(without) < 0.5 * apart:
                words = "; ".join(_words(here)) or f"on the next one, {'; '.join(_words(after))}"
                links[t] = [Fault(max(_worst(here), _worst(after)), f"this frame alone: {words}")]
                links[t + 1] = without
        _short_runs(track, links, self._normal.same_picture)
        judgements = []
        for t, shape in enumerate(track.shapes):
            steady = self._normal.faults_alone(track, t, self._names, self._scale) if shape.present else []
            points = _worst(links[t]) + sum(fault.points for fault in steady)
            reasons = _words([*links[t], *steady])
            judgements.append(
                Judgement(round(2.0**-points, 4) if shape.present or points > 0 else None, points, reasons)
            )
        return judgements


class _Normal:
    """What one object is like when all is well: medians over the shot."""

    def __init__(self, track: Track) -> None:
        agreements = [link.agreement for link in track.links if link is not None and link.agreement is not None]
        here = [shape.present for shape in track.shapes]
        self.loss = _median([1 - agreement.iou for agreement in agreements])
        self.displacement = _median([agreement.displacement for agreement in agreements])
        self.growth = _median([abs(agreement.growth) for agreement in agreements])
        self.area = _median([shape.area for shape in track.shapes if shape.present])
        seen = [link.unexplained for link in track.links if link is not None and link.agreement is not None]
        #: Levels below which the picture shows the same thing of this object on both frames.
        self.same_picture = max(_SAME_PICTURE, _NORMAL * _median(seen))
        self.speed = [_speed(track.shapes, t) for t in range(len(track.shapes))]
        self.presence = _median([p for p, present in zip(track.presence, here, strict=True) if present])

    def faults(self, a: Shape, b: Shape, link: Link, names: Sequence[str], scale: float) -> list[Fault]:
        """What is wrong from shape ``a`` to shape ``b`` of a later frame."""
        if link.other is not None:
            overlap = f"overlap with {names[link.other]!r} {_percent(link.share)}"
            return [Fault(_IDENTITY + link.share, f"another thing was picked up: {overlap}")]
        if not (a.present and b.present):
            return self._break(a, b, link)
        if link.agreement is None:
            return []
        iou, displacement, growth = link.agreement.iou, link.agreement.displacement, link.agreement.growth
        small = max(min(a.radius, b.radius), 1.0)
        beyond = abs(growth) - _NORMAL * self.growth - 0.05 - 0.5 / small
        words = f"area {'jumps' if growth > 0 else 'drops'} {_percent(abs(math.exp(growth) - 1))}"
        faults = [Fault(max(0.0, beyond) / _AREA_POINT, words)]
        loss = 1 - iou - max(_NORMAL * self.loss, min(0.5, 1.5 / small))
        words = f"agrees to {_percent(iou)} with the frame before" if iou > 0.05 else "jumps to where nothing of it was"
        faults.append(Fault(max(0.0, loss) / _IOU_POINT, words))
        edge = max(displacement - _NORMAL * self.displacement - 0.4, 0.5 * (displacement - 0.8))
        words = f"edge moves {displacement * scale:.1f} px against the picture"
        faults.append(Fault(max(0.0, edge) / _EDGE_POINT, words))
        return faults

    def _break(self, a: Shape, b: Shape, link: Link) -> list[Fault]:
        """Coming and going is a fault only where the picture shows that the thing itself did neither."""
        whole = a if a.present else b
        if whole.at_border or whole.area < _SIZEABLE * self.area or link.unexplained > self.same_picture:
            return []
        if a.present:
            return [Fault(_BREAK, "vanishes, although the picture still shows what was there")]
        return [Fault(_BREAK, "begins here, although the frame before shows the same thing")]

    def faults_alone(self, track: Track, t: int, names: Sequence[str], scale: float) -> list[Fault]:
        """What is odd about one frame without its neighbours' help."""
        presence, band, twin = track.presence[t], track.band[t], track.twins[t]
        faults = []
        if twin is not None:
            words = f"the same matte as {names[twin.other]!r}: overlap {_percent(twin.iou)}"
            faults.append(Fault(_SAME_AS_ANOTHER, words))
        dip = self.presence - presence - 0.15
        if dip > 0:
            words = f"the engine was less sure: {presence:.2f}, {self.presence:.2f} as a rule"
            faults.append(Fault(dip / _PRESENCE_POINT, words))
        near = [
            i for i in range(len(track.band))[max(0, t - _AROUND) : t + _AROUND + 1] if not math.isnan(track.band[i])
        ]
        if band > 0 and len(near) > 2 and (usual := _median([track.band[i] for i in near])) > 0:
            # The shutter makes edges as much wider as the object is faster than around this frame, or narrower.
            faster = _SHUTTER * scale * (self.speed[t] - _median([self.speed[i] for i in near]))
            expected = min(max(band, min(usual, usual + faster)), max(usual, usual + faster))
            beyond = abs(math.log(band / expected)) - 0.5
            words = f"edge band {band:.1f} px wide, {usual:.1f} px around this frame"
            faults.append(Fault(max(0.0, beyond) / _BAND_POINT, words))
        return faults


def _short_runs(track: Track, links: list[list[Fault]], same_picture: float) -> None:
    """Turn a break and its undoing within two frames into one fault of the frames between."""
    present = [shape.present for shape in track.shapes]
    starts = [t for t in range(1, len(present)) if present[t] != present[t - 1]]
    for start, end in itertools.pairwise(starts):
        if end - start > _SHORT or not (links[start] or links[end] or _left_out(track, start, end, same_picture)):
            continue
        frames = "1 frame" if end - start == 1 else f"{end - start} frames"
        words = f"there for {frames} only" if present[start] else f"missing for {frames}, although the picture shows it"
        for t in range(start, end):
            links[t] = [Fault(_SHORT_GAP, words)]
        links[end] = []


def _left_out(track: Track, start: int, end: int, same_picture: float) -> bool:
    """Whether a matte is empty from ``start`` to ``end`` alone, while the picture stays and the matte comes back as it
    was. At the border too: nothing leaves the frame and is back at once with half of its size or more."""
    a, b = track.shapes[start - 1], track.shapes[end]
    if not (a.present and b.present) or min(a.area, b.area) < 0.5 * max(a.area, b.area):
        return False
    ends = [track.links[start], track.links[end]]
    usual = _median([shape.area for shape in track.shapes if shape.present])
    return min(a.area, b.area) >= _SIZEABLE * usual and all(
        link is not None and link.unexplained <= same_picture for link in ends
    )


def _worst(faults: Sequence[Fault]) -> float:
    """The measures of a link see the same fault from several sides, so it costs what the sharpest of them says."""
    return max((fault.points for fault in faults), default=0.0)


def _words(faults: Sequence[Fault]) -> list[str]:
    """The reasons that count, in the order in which people think of them: size, place, edge."""
    least = max(0.1, min(0.5, 0.2 * _worst(faults)))
    return [fault.words for fault in faults if fault.points >= least]


def _speed(shapes: Sequence[Shape], t: int) -> float:
    """Working pixels a frame, from the frames beside ``t``: a frame that is wrong alone says nothing of its own speed.
    0 where one is missing."""
    a, b = max(0, t - 1), min(len(shapes) - 1, t + 1)
    way = math.dist(shapes[a].centre, shapes[b].centre)
    return 0.0 if math.isnan(way) else way / max(1, b - a)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else 0.0
