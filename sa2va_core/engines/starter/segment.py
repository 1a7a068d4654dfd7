"""Masks of tracked things on one frame: what the networks say now, what moved here from before, whose pixel it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import colour
from .motion import Motion
from .networks import FLOOR, Networks
from .sheet import Box, Map, Sheet, bounds, overlap, padded
from .skin import Skin
from .track import Track

#: Share of the carried mask in the new one, where the flow is trusted.
_CARRIED = 0.35
#: Weight and limit of colour evidence, in logits.
_COLOUR = {"person": (0.5, 2.0), "thing": (1.0, 3.0)}
#: Logits lost for each box size that a pixel lies outside the detector's box. A person may reach out of it.
_BEYOND = {"person": np.float32(30), "thing": np.float32(120)}


def logit(p: Map) -> Map:
    """0..1 -> float32 logits, bounded by those of 1e-4 and its complement."""
    p = np.clip(p, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(p / (1 - p)), np.float32)


def sigmoid(x: Map) -> Map:
    """Logits -> float32, 0..1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -40, 40))), np.float32)


def segment(
    networks: Networks,
    sheet: Sheet,
    motion: Motion | None,
    kind: str,
    track: Track,
    rivals: Sequence[Track],
    absent: Sequence[colour.Histogram],
    tone: Skin | None,
) -> None:
    """Bring ``track.mask`` up to date. ``rivals``: other tracks of its group; ``absent``: looks of unseen members."""
    carried = track.mask
    known = bool(carried.max(initial=0) > 0.5) and motion is not None
    fresh = _fresh(networks, sheet, kind, track, tone)
    if kind == "thing" and track.detection is None and known and not _plausible(sheet, fresh, track):
        fresh = carried
        track.presence *= 0.8
    total = logit(fresh)
    if kind in _COLOUR:
        weight, limit = _COLOUR[kind]
        total = total + np.float32(weight) * colour.likelihood(sheet, track.inside, track.outside, limit)
    if kind == "person" or (kind == "thing" and track.detection is not None):
        total = total - _BEYOND[kind] * _beyond(sheet, track.box)
    if known and motion is not None:
        share = _CARRIED * motion.trust
        total = (1 - share) * total + share * logit(carried)
    # Colour alone starts nothing outside the crop.
    track.whole = np.where(fresh > 0, sigmoid(np.asarray(total, np.float32)), 0).astype(np.float32)
    mask = (track.whole * _own(sheet, track, rivals, absent, carried if known else None)).astype(np.float32)
    _learn(sheet, track, mask, fresh)
    track.mask = mask
    area = float((mask > 0.5).sum())
    # Weaker evidence is enough to follow a thing for a while, not to say for ever that it is there.
    if track.detection is not None and track.score >= FLOOR:
        track.presence, track.size = 0.5 + 0.5 * track.score, area
    else:
        gone = area < 0.3 * track.size
        track.presence *= 0.6 if gone else 0.93


def _fresh(networks: Networks, sheet: Sheet, kind: str, track: Track, tone: Skin | None) -> Map:
    if kind == "skin":
        assert tone is not None
        near = sheet.covers(padded(track.box, 0.1))
        return tone.probability(sheet) * near
    if kind == "person":
        # The detector's box jumps, and at times leaves out a head; what was the person a frame ago stays in view.
        before = bounds(track.mask > 0.5)
        return networks.person(sheet, track.box if before is None else _joined(track.box, before))
    return networks.thing(sheet, track.box)


def _joined(box: Box, before: Box) -> Box:
    """The smallest box around both, at most a quarter larger than ``box`` on each side."""
    room = padded(box, 0.25)
    return np.concatenate(
        [np.maximum(np.minimum(box[:2], before[:2]), room[:2]), np.minimum(np.maximum(box[2:], before[2:]), room[2:])]
    )


def _beyond(sheet: Sheet, box: Box) -> Map:
    """How far each pixel lies outside ``box``, in box sizes."""
    size = np.maximum(box[2:] - box[:2], 1)
    xs, ys = (np.arange(sheet.width) + 0.5) / size[0], (np.arange(sheet.height) + 0.5) / size[1]
    dx = np.maximum(box[0] / size[0] - xs, xs - box[2] / size[0]).clip(0)
    dy = np.maximum(box[1] / size[1] - ys, ys - box[3] / size[1]).clip(0)
    return np.maximum(dx[None, :], dy[:, None]).astype(np.float32)


def _plausible(sheet: Sheet, fresh: Map, track: Track) -> bool:
    """Whether what the object network found without a detection still is the same thing: its size, shape, colours."""
    solid = fresh > 0.5
    box = bounds(solid)
    if box is None or not 0.5 * track.size < solid.sum() < 2 * track.size:
        return False
    ratio = (box[2:] - box[:2]) / np.maximum(track.box[2:] - track.box[:2], 1)
    if ratio.max() > 1.4 or ratio.min() < 0.6:
        return False
    return colour.likeness(colour.histogram(sheet, solid), track.inside) > 0.75


def _own(
    sheet: Sheet,
    track: Track,
    rivals: Sequence[Track],
    absent: Sequence[colour.Histogram],
    carried: Map | None,
) -> Map | float:
    """Probability that a pixel of a touching group belongs to this track rather than to another."""
    near = [r for r in rivals if overlap(padded(track.box, 0.15), r.box) > 0]
    if not near and not absent:
        return 1.0
    cells = sheet.cells

    def claim(looks: colour.Histogram, place: Map | float) -> Map:
        return (looks + 1e-3)[cells] * place

    mine = claim(track.inside, _place(sheet, track, carried))
    others = np.zeros(sheet.shape, np.float32)
    for rival in near:
        others += claim(rival.inside, _place(sheet, rival, rival.mask))
    for looks in absent:
        others += claim(looks, 0.06)
    return np.asarray(mine / (mine + others), np.float32)


def _place(sheet: Sheet, track: Track, carried: Map | None) -> Map:
    """Where a track may be: anywhere in its box, most of all where its carried mask is, hardly anywhere else."""
    inside = sheet.covers(padded(track.box, 0.06))
    return 0.01 + inside * (0.35 + (carried if carried is not None else 0))


def _learn(sheet: Sheet, track: Track, mask: Map, fresh: Map) -> None:
    """Keep the colours of thing and surroundings up to date."""
    sure = (mask > 0.85).astype(np.float32)
    if sure.sum() > 30:
        track.inside = (0.85 * track.inside + 0.15 * colour.histogram(sheet, sure)).astype(np.float32)
    ring = sheet.covers(padded(track.box, 0.3)) * (np.maximum(mask, fresh) < 0.15)
    if ring.sum() > 30:
        track.outside = (0.7 * track.outside + 0.3 * colour.histogram(sheet, ring)).astype(np.float32)
