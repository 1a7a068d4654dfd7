"""What a survey saw, sorted into members: one thing each, over the whole shot."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from . import colour
from .networks import Detection
from .sheet import Sheet, area, iou
from .words import ColourTest

#: A member must reach this detector score once, or the lower one repeatedly.
SURE, _OFTEN = 0.55, 0.3
#: Two sightings with histograms at least this alike may be one member.
_ALIKE = 0.6
#: Two kinds are said of one thing where their boxes overlap by this much (intersection over union).
_SAME_BOX = 0.55
#: First category of each of COCO's families: people, vehicles, street, animals, accessories, sports, kitchen, food,
#: furniture, electronics, appliances, small household things.
_FAMILIES = (1, 2, 10, 16, 26, 34, 44, 52, 62, 72, 78, 84)


@dataclass
class Sighting:
    """One thing as a survey saw it on one frame."""

    frame: int
    detection: Detection
    looks: colour.Histogram
    size: float  # share of the picture
    centre: tuple[float, float]  # 0..1
    shares: tuple[float, ...]  # of each colour test of the group's phrases


@dataclass
class Member:
    """One thing of a group, over the whole shot. ``looks``: mean colour histogram; ``rival``: the kind outside the
    group that the detector says of it more strongly than any in it, 0 for none."""

    looks: colour.Histogram
    sightings: list[Sighting] = field(default_factory=list)
    rival: int = 0

    @property
    def prominence(self) -> float:
        """How large and how often it was seen, by the detector's score: the order in which members are counted."""
        return float(sum(s.detection.score * np.sqrt(s.size) for s in self.sightings))

    @property
    def support(self) -> float:
        """On how many of the surveyed frames it was seen, each counted by the detector's score."""
        return float(sum(s.detection.score for s in self.sightings))

    def mean(self, pick: Callable[[Sighting], float]) -> float:
        return float(np.mean([pick(s) for s in self.sightings]))


def family(classes: frozenset[int]) -> frozenset[int]:
    """The other kinds that one of ``classes`` is easily taken for. Kinds of different families share a box for another
    reason: a rider sits on his bicycle."""
    mine = {bisect(_FAMILIES, kind) for kind in classes}
    return frozenset(kind for kind in range(1, 91) if bisect(_FAMILIES, kind) in mine) - classes


def sighting(sheet: Sheet, frame: int, detection: Detection, tests: Sequence[ColourTest]) -> Sighting:
    box = detection.box
    return Sighting(
        frame,
        detection,
        colour.histogram(sheet, colour.core(sheet, box)),
        area(box) / (sheet.width * sheet.height),
        (float(box[0] + box[2]) / 2 / sheet.width, float(box[1] + box[3]) / 2 / sheet.height),
        tuple(colour.share(sheet, colour.core(sheet, box, t.part), t.colour) for t in tests),
    )


def members_of(frames: list[list[Sighting]], skin_like: bool) -> tuple[Member, ...]:
    """Sightings of all frames sorted into members: alike in looks, never two of one frame in one member."""
    members: list[Member] = []
    for sightings in sorted(frames, key=lambda f: (-len(f), -sum(s.detection.score for s in f))):
        pairs = []
        for i, s in enumerate(sightings):
            for j, m in enumerate(members):
                near = 1 if not skin_like else 1 - min(1.0, np.hypot(*(np.subtract(s.centre, m.sightings[-1].centre))))
                pairs.append((colour.likeness(s.looks, m.looks) * near, i, j))
        taken_s: set[int] = set()
        taken_m: set[int] = set()
        for alike, i, j in sorted(pairs, reverse=True):
            if alike < _ALIKE and not skin_like:
                break
            if i in taken_s or j in taken_m:
                continue
            taken_s.add(i)
            taken_m.add(j)
            n = len(members[j].sightings)
            members[j].looks = (members[j].looks * n + sightings[i].looks) / (n + 1)
            members[j].sightings.append(sightings[i])
        members += [Member(s.looks, [s]) for i, s in enumerate(sightings) if i not in taken_s]
    real = [m for m in members if (_vouched_for(m) if skin_like else _real(m, len(frames)))]
    return tuple(sorted(real, key=lambda m: -m.prominence))


def _real(member: Member, surveyed: int) -> bool:
    scores = [s.detection.score for s in member.sightings]
    return max(scores) >= SURE or sum(score >= _OFTEN for score in scores) >= max(2, surveyed / 4)


def _vouched_for(member: Member) -> bool:
    return member.mean(lambda s: s.detection.score > 0) >= 0.25


def contest(members: Sequence[Member], others: Sequence[Sequence[Sighting]]) -> None:
    """Give each member its rival. ``others``: by surveyed frame, sightings of kinds outside the group.

    The whole shot decides, not the frames where the wanted kind won: a ball called frisbee on a few frames is a ball.
    """
    kinds = {s.detection.kind for sightings in others for s in sightings}
    for member in members:
        boxes = {s.frame: s.detection.box for s in member.sightings}
        best = member.support
        for kind in sorted(kinds):
            said = [s for sightings in others for s in sightings if s.detection.kind == kind]
            here = [s for s in said if s.frame in boxes and iou(s.detection.box, boxes[s.frame]) > _SAME_BOX]
            if 2 * len({s.frame for s in here}) < len(boxes):
                continue
            alone = [s for s in said if s.frame not in boxes and colour.likeness(s.looks, member.looks) >= _ALIKE]
            scores: dict[int, float] = {}
            for s in (*here, *alone):
                scores[s.frame] = max(scores.get(s.frame, 0.0), s.detection.score)
            if sum(scores.values()) > best:
                best, member.rival = sum(scores.values()), kind
