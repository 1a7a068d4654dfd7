"""Who is in the shot: a survey of a few frames, the members found in them, and which ones each phrase means.

A phrase such as "the girl on the right" is decided here once for the whole shot, by votes over the surveyed frames;
afterwards the chosen members are followed by their looks and their motion, wherever they go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sa2va_core.engines.base import VerdictState
from sa2va_core.media.frames import FrameSource

from . import colour, skin
from .networks import Detection, Networks, without_doubles
from .sheet import CELLS, Box, Sheet, area, overlap
from .words import PERSON, ColourTest, Query

#: Surveyed frames, evenly over the shot.
SURVEYED = 12
#: A member must reach this detector score once, or the lower one repeatedly.
_SURE, _OFTEN = 0.55, 0.3
#: Least detector score of anything, and of the person whose bare skin is looked for.
FLOOR, _BODY = 0.3, 0.2
#: Two sightings with histograms at least this alike may be one member.
_ALIKE = 0.6
#: Least share of a colour that a phrase asks for.
_COLOURED = 0.18


@dataclass
class Sighting:
    frame: int
    detection: Detection
    looks: colour.Histogram
    size: float  # share of the picture
    centre: tuple[float, float]  # 0..1
    shares: tuple[float, ...]  # of each colour test of the group's phrases


@dataclass
class Member:
    """One thing of a group, over the whole shot. ``looks``: mean colour histogram."""

    looks: colour.Histogram
    sightings: list[Sighting] = field(default_factory=list)

    @property
    def prominence(self) -> float:
        return float(sum(s.detection.score * np.sqrt(s.size) for s in self.sightings))

    def mean(self, pick: Callable[[Sighting], float]) -> float:
        return float(np.mean([pick(s) for s in self.sightings]))


@dataclass(frozen=True)
class Choice:
    """``members``: indices into the group's members; None means every one, also those that come later."""

    members: tuple[int, ...] | None
    state: VerdictState
    reason: str


@dataclass(frozen=True)
class Cast:
    """``looks``: for each group float32 (members, cells); ``choices`` by query; the shot's skin colour if asked for."""

    looks: tuple[NDArray[np.float32], ...]
    choices: tuple[Choice, ...]
    skin: skin.Skin | None


def tiles(sheet: Sheet) -> list[Box]:
    """Overlapping squares over the picture, as large as its short side: small things are larger in them."""
    side = min(sheet.shape)
    long = max(sheet.shape)
    count = int(np.ceil(1.5 * long / side)) if long > 1.2 * side else 1
    starts = np.linspace(0, long - side, count) if count > 1 else []
    wide = sheet.width >= sheet.height
    return [np.array([s, 0, s + side, side] if wide else [0, s, side, s + side], np.float64) for s in starts]


def survey(networks: Networks, source: FrameSource, queries: Sequence[Query], groups: Sequence[frozenset[int]]) -> Cast:
    """Look at a few frames and decide what each query means. Reads at most :data:`SURVEYED` frames."""
    numbers = list(source.frames)
    picks = sorted({numbers[round(i)] for i in np.linspace(0, len(numbers) - 1, min(SURVEYED, len(numbers)))})
    kinds = frozenset().union(*groups)
    tests = [sorted({t for q in queries if q.classes == g for t in q.colours}, key=repr) for g in groups]
    seen: list[list[list[Sighting]]] = [[] for _ in groups]
    bare: list[tuple[Sheet, int, list[Detection]]] = []
    for picture in source.stream(picks):
        sheet = Sheet(picture.rgb)
        found = networks.detect(sheet, [sheet.frame_box] if kinds else [], kinds, FLOOR)
        if not all(any(d.kind in g and d.score >= _SURE for d in found) for g in groups if g):
            found += networks.detect(sheet, tiles(sheet), kinds, FLOOR)
        for g, classes in enumerate(groups):
            if classes:
                mine = without_doubles(d for d in found if d.kind in classes)
                seen[g].append([_sighting(sheet, picture.frame, d, tests[g]) for d in mine])
            else:
                bare.append((sheet, picture.frame, networks.detect(sheet, [sheet.frame_box], PERSON, _BODY)))
    tone = skin.learn(sheet for sheet, _, _ in bare)
    if tone is not None:
        g = groups.index(frozenset())
        for sheet, frame, people in bare:
            regions = [_vouched(d, people) for d in tone.regions(sheet)]
            seen[g].append([_sighting(sheet, frame, d, tests[g]) for d in regions])
    members = [_members(frames, skin_like=not classes) for frames, classes in zip(seen, groups, strict=True)]
    if tone is not None and not members[groups.index(frozenset())]:
        tone = None
    choices = []
    for query in queries:
        g = groups.index(query.classes)
        choices.append(choose(query, members[g], tests[g], len(picks)))
    looks = tuple(np.array([m.looks for m in ms], np.float32).reshape(-1, CELLS) for ms in members)
    return Cast(looks, tuple(choices), tone)


def _vouched(region: Detection, people: Sequence[Detection]) -> Detection:
    """A region of skin counts fully only where the detector sees some person too; sand has the colour of skin."""
    if any(overlap(region.box, p.box) > 0.5 * area(region.box) for p in people):
        return region
    return replace(region, score=0.0)


def _sighting(sheet: Sheet, frame: int, detection: Detection, tests: Sequence[ColourTest]) -> Sighting:
    box = detection.box
    return Sighting(
        frame,
        detection,
        colour.histogram(sheet, colour.core(sheet, box)),
        area(box) / (sheet.width * sheet.height),
        (float(box[0] + box[2]) / 2 / sheet.width, float(box[1] + box[3]) / 2 / sheet.height),
        tuple(colour.share(sheet, colour.core(sheet, box, t.part), t.colour) for t in tests),
    )


def _members(frames: list[list[Sighting]], skin_like: bool) -> tuple[Member, ...]:
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
    return max(scores) >= _SURE or sum(score >= _OFTEN for score in scores) >= max(2, surveyed / 4)


def _vouched_for(member: Member) -> bool:
    return member.mean(lambda s: s.detection.score > 0) >= 0.25


def choose(query: Query, members: Sequence[Member], tests: Sequence[ColourTest], surveyed: int) -> Choice:
    """The members that ``query`` means, with a verdict in words."""
    notes = " ".join(query.notes)

    def verdict(picked: Sequence[int] | None, state: VerdictState, reason: str) -> Choice:
        return Choice(None if picked is None else tuple(picked), state, f"{reason} {notes}".strip())

    plain = not query.colours and query.place is None
    if not members:
        # It may still come between the surveyed frames; nothing tells several of them apart then.
        return verdict(None if plain else (), "not in shot", f"No {query.noun} was seen.")
    if query.count is None and plain:
        return verdict(None, "found", f"Every {_kind(query)} that is seen.")
    left = list(range(len(members)))
    if query.colours:
        at = [list(tests).index(t) for t in query.colours]
        worst = {i: min(members[i].mean(lambda s, k=k: s.shares[k]) for k in at) for i in left}
        left = [i for i in left if worst[i] >= _COLOURED]
        if not left:
            words = " and ".join(t.colour for t in query.colours)
            return verdict((), "not in shot", f"No {_kind(query)} in the shot is {words} enough.")
        left.sort(key=lambda i: -worst[i])
        if query.count == 1 and query.place is None and len(left) > 1 and worst[left[1]] > 0.8 * worst[left[0]]:
            return verdict(left[:1], "ambiguous", f"{len(left)} fit the colour; the one that fits best was taken.")
    if query.place is not None:
        left, clear = _by_place(query, members, left)
        if not left:
            return verdict((), "not in shot", f"Too few to count to that place: {len(members)} seen.")
        if not clear:
            return verdict(
                left[: query.count],
                "ambiguous",
                "Their places change in the shot; it was decided by most of the frames.",
            )
    picked = left[: query.count]
    if query.count is not None and len(picked) < query.count:
        return verdict(picked, "ambiguous", f"Only {len(picked)} of {query.count} seen.")
    rivals = [i for i in left if i not in picked and members[i].prominence > 0.5 * members[picked[-1]].prominence]
    if rivals and plain:
        return verdict(
            picked, "ambiguous", f"{len(picked) + len(rivals)} match about equally; the most prominent was taken."
        )
    times = max(len(members[i].sightings) for i in picked)
    where = f"{times} of {surveyed} surveyed frames"
    if times < surveyed / 4:
        return verdict(picked, "ambiguous", f"Seen in no more than {where}, which may be a mistake.")
    return verdict(picked, "found", f"Seen in {where}.")


def _kind(query: Query) -> str:
    return "person" if query.kind == "person" else query.noun


def _by_place(query: Query, members: Sequence[Member], left: list[int]) -> tuple[list[int], bool]:
    """Members in the order of ``query.place`` from ``query.rank`` on, and whether the frames agree about the first."""
    key = {
        "left": lambda s: s.centre[0],
        "right": lambda s: -s.centre[0],
        "top": lambda s: s.centre[1],
        "bottom": lambda s: -s.centre[1],
        "middle": lambda s: abs(s.centre[0] - 0.5),
        "largest": lambda s: -s.size,
        "smallest": lambda s: s.size,
    }[query.place or "left"]
    if query.count is None and query.place in ("left", "right", "top", "bottom"):
        low = query.place in ("left", "top")
        return [i for i in left if members[i].mean(key) < (0.5 if low else -0.5)], True
    by_frame: dict[int, dict[int, float]] = {}
    for i in left:
        for s in members[i].sightings:
            by_frame.setdefault(s.frame, {})[i] = key(s)
    shared = [values for values in by_frame.values() if len(values) > 1] or list(by_frame.values())
    ranks = {i: [sorted(v.values()).index(v[i]) for v in shared if i in v] for i in left}
    # A member that is never seen beside another is ranked by its mean place alone.
    order = sorted(left, key=lambda i: (np.mean(ranks[i]) if ranks[i] else len(left), members[i].mean(key)))
    order = order[query.rank :]
    if not order:
        return [], True
    votes = [rank == query.rank for rank in ranks[order[0]]]
    return order, not votes or float(np.mean(votes)) >= 0.6
