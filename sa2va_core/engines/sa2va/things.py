"""What gets a matte: each object of a job and, where its phrase names several things, each of those as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from sa2va_plugin.jobspec import ObjectSpec
from sa2va_plugin.naming import part_names

from sa2va_core.engines.base import NOTHING, Detail, ObjectTrack, Verdict

from .crops import Map, sampled
from .plan import AGREE, VISIBLE, Plan, Target
from .streams import HostMasks

#: Confidence of a reference below which a phrase is called ambiguous.
SURE = 0.35


@dataclass(frozen=True)
class Thing:
    """``targets``: what its matte is made of; ``less``: what is taken away. ``part``: one thing of several."""

    name: str
    owner: int
    targets: list[Target]
    less: list[Target]
    part: bool = False


def things_of(objects: Sequence[ObjectSpec], plan: Plan) -> list[Thing]:
    """Objects in the job's order, each followed by its parts in the order of the model's answer.

    An object with points, boxes or pins is the one thing that these show, whatever else the answer names.
    """
    taken = [item.name for item in objects]
    things: list[Thing] = []
    for owner, item in enumerate(objects):
        targets = [t for t in plan.targets if t.owner == owner and not t.negative]
        less = [t for t in plan.targets if t.owner == owner and t.negative]
        if item.points or item.boxes or item.masks:
            targets = [t for t in targets if t.conditioning]
        things.append(Thing(item.name, owner, targets, less))
        if len(targets) > 1:
            names = part_names(item.name, len(targets), taken)
            taken += names
            things += [Thing(name, owner, [t], less, True) for name, t in zip(names, targets, strict=True)]
    return things


def track_of(
    thing: Thing, plan: Plan, found: HostMasks | None, details: Mapping[int, Detail] = MappingProxyType({})
) -> ObjectTrack:
    """One thing out of its targets, less what its negative phrases name.

    ``found``: a row for each of plan.tracked. ``details``: by row, what a second look gave; it counts where all that
    the thing is made of on this frame had one, so that no edge is finer than it is known.
    """
    rows = {id(t): i for i, t in enumerate(plan.tracked)}
    parts = [rows[id(t)] for t in thing.targets if id(t) in rows]
    if found is None or not parts:
        return ObjectTrack.absent()
    sure = max(parts, key=lambda i: found.presence[i])
    presence = float(1 / (1 + np.exp(-found.presence[sure])))
    shown = [i for i in parts if found.presence[i] > VISIBLE or not plan.gated]
    if not shown:
        return ObjectTrack.absent(presence)
    less = [rows[id(t)] for t in thing.less if id(t) in rows]
    taken = [i for i in less if found.presence[i] > VISIBLE or not plan.gated]
    logits = _together(found.logits[shown], found.logits[taken])
    quality = float(found.iou[sure])
    if not all(i in details for i in (*shown, *taken)):
        return ObjectTrack(logits, presence, quality)

    def fine(rows: Sequence[int], at: Detail) -> list[Map]:
        return [sampled(found.logits[i], details[i], at) for i in rows]

    looked = sorted((details[i] for i in (*shown, *taken)), key=lambda detail: detail.box[0] - detail.box[2])
    both = tuple(Detail(_together(fine(shown, at), fine(taken, at)), at.box) for at in looked)
    return ObjectTrack(logits, presence, quality, details=both)


def verdict_of(thing: Thing, plan: Plan, seen: Sequence[int], total: int) -> Verdict:
    """``seen``: the frames of the shot's ``total`` on which it was visible."""
    if not thing.targets:
        return Verdict("not in shot", f"The model named nothing to cut out; it said: {plan.answers[thing.owner]!r}.")
    if not seen:
        return Verdict("not in shot", "The model saw nothing of it on any frame.")
    where = f"on {len(seen)} of {total} frames"
    if len(thing.targets) > 1:
        where += f", as {len(thing.targets)} things that the answer names"
    doubtful = min((t for t in thing.targets if t.conditioning), key=lambda t: t.confidence)
    if plan.gated and doubtful.agreement is not None and doubtful.agreement < AGREE:
        return Verdict("ambiguous", f"Seen {where}, but not as the same thing on most key frames.", seen)
    if plan.gated and doubtful.confidence < SURE:
        return Verdict("ambiguous", f"Seen {where}, with a confidence of only {doubtful.confidence:.2f}.", seen)
    return Verdict("found", f"Seen {where}.", seen)


def _together(shown: Sequence[Map] | Map, taken: Sequence[Map] | Map) -> Map:
    """Logits of what is in any of ``shown`` and in none of ``taken``."""
    logits = np.max(shown, axis=0)
    if len(taken):
        logits = np.minimum(logits, -np.max(taken, axis=0))
    return np.clip(logits, NOTHING, -NOTHING)
