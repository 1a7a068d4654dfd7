"""Who is in the shot: a survey of a few frames, the members found in them, and which ones each phrase means.

A phrase such as "the girl on the right" is decided here once for the whole shot, by votes over the surveyed frames;
afterwards the chosen members are followed by their looks and their motion, wherever they go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sa2va_core.engines.base import VerdictState
from sa2va_core.media.frames import FrameSource

from . import skin
from .members import SURE, Member, Sighting, contest, family, members_of, sighting
from .networks import FLOOR, Detection, Networks, without_doubles
from .sheet import CELLS, Box, Sheet, area, overlap
from .vocabulary import COCO
from .words import PERSON, ColourTest, Query

#: Surveyed frames, evenly over the shot.
SURVEYED = 12
#: Least detector score of the person whose bare skin is looked for; the lower one where the higher one shows none: in a
#: close-up of hands the detector sees hardly any person.
_BODIES = 0.2, 0.1
#: Least share of all that has the colour of skin that must lie on such persons, or that colour tells nothing.
_ON_BODIES = 1 / 3
#: Least share of a colour that a phrase asks for.
_COLOURED = 0.18


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
    """Overlapping squares over the picture, as large as its short side: small things are larger in them. On a strip
    of a picture they reach beyond it, and there are a dozen."""
    long = max(sheet.shape)
    side = max(min(sheet.shape), long / 8)
    count = int(np.ceil(1.5 * long / side)) if long > 1.2 * side else 1
    starts = np.linspace(0, long - side, count) if count > 1 else []
    wide = sheet.width >= sheet.height
    return [np.array([s, 0, s + side, side] if wide else [0, s, side, s + side], np.float64) for s in starts]


def survey(networks: Networks, source: FrameSource, queries: Sequence[Query], groups: Sequence[frozenset[int]]) -> Cast:
    """Look at a few frames and decide what each query means. Reads at most :data:`SURVEYED` frames."""
    numbers = list(source.frames)
    picks = sorted({numbers[round(i)] for i in np.linspace(0, len(numbers) - 1, min(SURVEYED, len(numbers)))})
    kinds = frozenset().union(*groups, *map(family, groups))
    tests = [sorted({t for q in queries if q.classes == g for t in q.colours}, key=repr) for g in groups]
    seen: list[list[list[Sighting]]] = [[] for _ in groups]
    others: list[list[list[Sighting]]] = [[] for _ in groups]
    bare: list[tuple[Sheet, int, list[Detection]]] = []
    for picture in source.stream(picks):
        sheet = Sheet(picture.rgb)
        found = networks.detect(sheet, [sheet.frame_box] if kinds else [], kinds, FLOOR)
        if not all(any(d.kind in g and d.score >= SURE for d in found) for g in groups if g):
            found += networks.detect(sheet, tiles(sheet), kinds, FLOOR)
        for g, classes in enumerate(groups):
            if classes:
                mine = without_doubles(d for d in found if d.kind in classes)
                seen[g].append([sighting(sheet, picture.frame, d, tests[g]) for d in mine])
                akin = [d for d in found if d.kind in family(classes)]
                others[g].append([sighting(sheet, picture.frame, d, ()) for d in akin])
            else:
                bare.append((sheet, picture.frame, networks.detect(sheet, [sheet.frame_box], PERSON, min(_BODIES))))
    tone = skin.learn(sheet for sheet, _, _ in bare)
    if tone is not None:
        g = groups.index(frozenset())
        regions = [tone.regions(sheet) for sheet, _, _ in bare]
        vouched = _vouched(regions, [people for _, _, people in bare])
        for (sheet, frame, _), found in zip(bare, vouched, strict=True):
            seen[g].append([sighting(sheet, frame, d, tests[g]) for d in found])
    members = [members_of(frames, skin_like=not classes) for frames, classes in zip(seen, groups, strict=True)]
    for ms, akin in zip(members, others, strict=True):
        contest(ms, akin)
    if tone is not None and not members[groups.index(frozenset())]:
        tone = None
    choices = []
    for query in queries:
        g = groups.index(query.classes)
        choices.append(choose(query, members[g], tests[g], len(picks)))
    looks = tuple(np.array([m.looks for m in ms], np.float32).reshape(-1, CELLS) for ms in members)
    return Cast(looks, tuple(choices), tone)


def _vouched(regions: Sequence[Sequence[Detection]], people: Sequence[Sequence[Detection]]) -> list[list[Detection]]:
    """The regions of skin of each surveyed frame, those without a score that do not count. One counts only where the
    detector sees some person too, and none where most lie elsewhere: leaves, sand and sheets have the colour of skin,
    and run into it."""
    whole = sum(area(d.box) for found in regions for d in found)
    for least in _BODIES:
        judged = [
            [(d, any(p.score >= least and overlap(d.box, p.box) > 0.5 * area(d.box) for p in beside)) for d in found]
            for found, beside in zip(regions, people, strict=True)
        ]
        on_bodies = sum(area(d.box) for found in judged for d, on_body in found if on_body)
        if on_bodies and on_bodies >= _ON_BODIES * whole:
            return [[d if on_body else replace(d, score=0.0) for d, on_body in found] for found in judged]
    return [[replace(d, score=0.0) for d in found] for found in regions]


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
        doubt = _doubt(query, members, surveyed)
        return verdict(None, "ambiguous" if doubt else "found", doubt or f"Every {_kind(query)} that is seen.")
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
    chosen = [members[i] for i in picked]
    doubt = _doubt(query, chosen, surveyed)
    return verdict(picked, "ambiguous" if doubt else "found", doubt or f"Seen in {_where(chosen, surveyed)}.")


def _doubt(query: Query, members: Sequence[Member], surveyed: int) -> str:
    """Why the detector may be mistaken in all of ``members``; empty where there is no reason to think so."""
    if all(m.rival for m in members):
        other = next(name for name, kind in COCO.items() if kind == members[0].rival)
        return f"Over the whole shot the detector is surer of '{other}' than of '{query.noun}'."
    if max(m.support for m in members) < surveyed / 4:
        return f"Seen in {_where(members, surveyed)} and not surely enough, which may be a mistake."
    return ""


def _where(members: Sequence[Member], surveyed: int) -> str:
    return f"{max(len(m.sightings) for m in members)} of {surveyed} surveyed frames"


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
