"""What is found out about a shot before it is tracked: what to track, from which frames, starting where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import torch
from sa2va_plugin.jobspec import ObjectSpec
from torch import Tensor

from sa2va_core.media.frames import FrameSource, Picture

from . import keyframes, official
from .language.base import Scene
from .network import Network
from .prompts import Clicks, check_frames, clicks_of, pin_at_model_size, pins_of, read_pin, request
from .sam2.model import Features, Masks, soft_iou
from .streams import Encoder, log, out_of_memory
from .tracker import Conditioning, Tracker, tracker_of

#: An object is taken to be visible where its presence logit is above this: SAM 2's own threshold.
VISIBLE = 0.0
#: Overlap of two masks of one frame, one by the phrase and one tracked from elsewhere, that counts as agreement.
AGREE = 0.5
#: Frames that condition a tracked object: the reference and those that agree with it.
CONDITIONING = 3
#: Key frames that are tried as the reference.
CANDIDATES = 3
#: Pairs of a target and a key frame that are looked at in one go, while memory lasts.
TOGETHER = 16

T = TypeVar("T")


@dataclass(eq=False)
class Target:
    """One thing that is tracked: (a part of) an object, or what is taken away from it.

    ``owner``: index of the object in the job. ``confidence``: presence times predicted IoU times agreement of the
    reference, 0..1. ``agreement``: share of the other key frames on which phrase and tracking agree; None where no
    other key frame could tell.
    """

    owner: int
    negative: bool
    embedding: Tensor | None
    conditioning: list[Conditioning] = field(default_factory=list)
    confidence: float = 0.0
    agreement: float | None = None


@dataclass
class Plan:
    """``tracked``: the targets that the rows of all ``trackers`` stand for, one tracker after the other. ``start``:
    position from which the shot is walked to its end, and then back to its beginning. ``gated``: an object that is not
    visible has no matte. ``answers``: what the language model said, by object."""

    targets: list[Target]
    trackers: list[Tracker]
    tracked: list[Target]
    start: int
    gated: bool
    answers: dict[int, str]


def make_plan(
    network: Network, encoder: Encoder, source: FrameSource, objects: Sequence[ObjectSpec], compat: bool
) -> Plan:
    """Look over the shot and ask for every phrase. Raises JobSpecError for a prompt on a frame that is not there."""
    check_frames(objects, source.frames)
    return (
        _official(network, encoder, source, objects) if compat else _Planner(network, encoder, source, objects).plan()
    )


def _ask(
    network: Network, scene: Scene, objects: Sequence[ObjectSpec], compat: bool
) -> tuple[list[Target], dict[int, str]]:
    """Ask for every phrase; each [SEG] of an answer is a target of its own."""
    targets, answers = [], {}
    for owner, item in enumerate(objects):
        asked = [(item.phrase, False)] if item.phrase.strip() else []
        for phrase, negative in [*asked, *((p, True) for p in item.negative_phrases)]:
            answer = network.language.answer(scene, request(phrase), official=compat)
            if not negative:
                answers[owner] = answer.text
            targets += [Target(owner, negative, e[None]) for e in network.embed(answer.states)]
    return targets, answers


def _official(network: Network, encoder: Encoder, source: FrameSource, objects: Sequence[ObjectSpec]) -> Plan:
    sam2, frames = network.sam2, source.frames
    keys = official.key_frames(len(frames), spread=sam2.sam_mask_decoder_modified is not None)
    pictures = {k: source.read(frames[k]) for k in keys}
    scene = network.language.see([p.rgb for p in pictures.values()], still=False)
    targets, answers = _ask(network, scene, objects, compat=True)
    if not targets:
        return Plan([], [], [], 0, False, answers)
    embeddings = torch.cat([t.embedding for t in targets if t.embedding is not None])
    given = dict(zip(keys, (f for _, f in encoder.stream(pictures.values())), strict=True))
    with torch.inference_mode():
        trackers = official.new_trackers(sam2, given, embeddings, source.size)
    for target, tracker in zip(targets, trackers, strict=True):
        target.conditioning = tracker.conditioning
    return Plan(targets, trackers, targets, 0, False, answers)


class _Planner:
    """Default mode. Key frames are spread over the whole shot, as Sa2VA-i found to be better; every one is grounded
    without memory, as in training; tracking starts from those that agree."""

    def __init__(self, network: Network, encoder: Encoder, source: FrameSource, objects: Sequence[ObjectSpec]) -> None:
        self._network, self._encoder, self._source, self._objects = network, encoder, source, objects
        self._sam2 = network.sam2
        self._place = {frame: i for i, frame in enumerate(source.frames)}
        self._features: dict[int, Features] = {}
        self._together = TOGETHER

    def plan(self) -> Plan:
        language = any(item.phrase.strip() or item.negative_phrases for item in self._objects)
        pictures = keyframes.choose(self._source) if language else {}
        targets, answers = [], {}
        if language:
            scene = self._network.language.see([p.rgb for p in pictures.values()], still=len(pictures) == 1)
            targets, answers = _ask(self._network, scene, self._objects, compat=False)
        self._encode(pictures)
        prompted = self._prompts(targets)
        self._ground([t for t in targets if t.embedding is not None], sorted(pictures), prompted)
        # Targets with as many conditioning frames go through memory together.
        found = sorted((t for t in targets if t.conditioning), key=lambda t: len(t.conditioning))
        trackers = [
            tracker_of(self._sam2, [t.conditioning for t in group], direction=1, hide=True, official=False)
            for _, group in groupby(found, key=lambda t: len(t.conditioning))
        ]
        return Plan(targets, trackers, found, self._start(found), True, answers)

    def _encode(self, pictures: Mapping[int, Picture]) -> None:
        for (position, _), (_, features) in zip(pictures.items(), self._encoder.stream(pictures.values()), strict=True):
            self._features[position] = features

    def _prompts(self, targets: list[Target]) -> dict[int, list[Conditioning]]:
        """Conditioning from points, boxes and pins, by owner. An object without a phrase becomes a target here."""
        given: dict[int, list[Conditioning]] = {}
        for owner, item in enumerate(self._objects):
            clicks, pins = clicks_of(item, self._source.size), pins_of(item)
            wanted = sorted({self._place[frame] for frame in (*clicks, *pins)})
            if not wanted:
                continue
            own = next((t for t in targets if t.owner == owner and not t.negative), None)
            if own is None:
                own = Target(owner, False, None)
                targets.append(own)
            missing = {p: self._source.read(self._source.frames[p]) for p in wanted if p not in self._features}
            self._encode(missing)
            given[owner] = [
                self._prompted(own, p, clicks.get(self._source.frames[p]), pins.get(self._source.frames[p]))
                for p in wanted
            ]
            own.conditioning, own.confidence = given[owner], 1.0
        return given

    @torch.inference_mode()
    def _prompted(self, target: Target, position: int, clicks: Clicks | None, pin: Path | None) -> Conditioning:
        sam2, features = self._sam2, self._features[position]
        if pin is not None:
            masks = sam2.adopt(features, pin_at_model_size(read_pin(pin), sam2.geometry.image).to(self._network.device))
        else:
            assert clicks is not None
            embedding = target.embedding
            if embedding is None:
                embedding = torch.zeros(1, 0, device=self._network.device, dtype=self._network.dtype)
            masks = sam2.ground(features, embedding, clicks.to(self._network.device))
        return Conditioning((position,), masks, sam2.remember(features, masks.logits))

    @torch.inference_mode()
    def _ground(self, targets: list[Target], keys: list[int], prompted: dict[int, list[Conditioning]]) -> None:
        """Choose each target's reference and the key frames that agree with it."""
        if not targets:
            return
        grounded = self._grounded(targets, keys)
        presence = torch.stack([grounded[k].masks.presence for k in keys], dim=1).sigmoid().cpu()
        scores = presence * torch.stack([grounded[k].masks.iou for k in keys], dim=1).cpu()
        free: list[int] = []
        for row, target in enumerate(targets):
            fixed = [] if target.negative else prompted.get(target.owner, [])
            if not fixed:
                if float(presence[row].max()) > 0.5:
                    free.append(row)
            elif target.conditioning is fixed:  # Prompts name one thing; other parts of the answer are not it.
                own = {k: grounded[k].rows([row]) for k in keys}
                overlap = self._overlaps(fixed, own)[0]
                self._adopt(target, own, [(1.0, fixed, overlap)], scores[row])
        if not free:
            return
        # The surest key frames of each target are tried as its reference, all targets at a time.
        seen = torch.where(presence[free] > 0.5, scores[free], 0.0)
        ranked = seen.argsort(dim=1, descending=True, stable=True)[:, :CANDIDATES].tolist()
        ranked = [[keys[i] for i in order if seen[n, i] > 0] for n, order in enumerate(ranked)]
        rows = {k: grounded[k].rows(free) for k in keys}
        tried: list[list[tuple[float, list[Conditioning], Tensor]]] = [[] for _ in free]
        for rank in range(max(map(len, ranked))):
            at = [order[min(rank, len(order) - 1)] for order in ranked]
            references = [rows[k].rows([n]) for n, k in enumerate(at)]
            overlaps = self._overlaps([Conditioning.cat(references)], rows)
            for n, reference in enumerate(references):
                if rank < len(ranked[n]):
                    tried[n].append((float(seen[n, keys.index(at[n])]), [reference], overlaps[n]))
        for n, row in enumerate(free):
            own = {k: rows[k].rows([n]) for k in keys}
            self._adopt(targets[row], own, tried[n], seen[n])

    def _adopt(
        self,
        target: Target,
        own: dict[int, Conditioning],
        tried: list[tuple[float, list[Conditioning], Tensor]],
        scores: Tensor,
    ) -> None:
        """Take the best of the references ``tried`` (score, conditioning, overlap on each key frame)."""
        best: tuple[float, float | None, list[Conditioning], Tensor] | None = None
        for score, reference, overlap in tried:
            told = overlap[overlap >= 0]
            agreement = float((told >= AGREE).float().mean()) if len(told) else None
            worth = score * (1.0 if agreement is None else 0.5 + 0.5 * agreement)
            if best is None or worth > best[0]:
                best = worth, agreement, reference, overlap
        if best is None:
            return
        worth, agreement, reference, overlap = best
        places = {c.frames[0] for c in reference}
        keys = list(own)
        agree = [i for i in scores.argsort(descending=True, stable=True).tolist() if overlap[i] >= AGREE]
        others = [own[keys[i]] for i in agree if keys[i] not in places]
        target.conditioning = [*reference, *others[: max(0, CONDITIONING - len(reference))]]
        target.confidence, target.agreement = worth, agreement

    def _grounded(self, targets: list[Target], keys: list[int]) -> dict[int, Conditioning]:
        """Every target on every key frame, by its phrase alone."""
        pairs = [(k, t) for k in keys for t in targets]

        def work(rows: list[int]) -> Conditioning:
            embeddings = torch.cat([e for _, t in (pairs[i] for i in rows) if (e := t.embedding) is not None])
            features = Features.cat([self._features[pairs[i][0]] for i in rows])
            made = official.condition(self._sam2, features, 0, embeddings, self._source.size)
            return Conditioning(tuple(pairs[i][0] for i in rows), made.masks, made.maps)

        made = Conditioning.cat(self._in_groups(len(pairs), work))
        n = len(targets)
        return {k: made.rows(range(i * n, (i + 1) * n)) for i, k in enumerate(keys)}

    def _overlaps(self, reference: list[Conditioning], own: dict[int, Conditioning]) -> Tensor:
        """Soft IoU of the masks tracked from ``reference`` and the phrases' own, on the CPU (targets, key frames).

        -1 where a key frame tells nothing: it is the reference itself, or neither way sees the object there.
        """
        n = len(reference[0].frames)
        pairs = [(k, row) for k in own for row in range(n)]

        def work(rows: list[int]) -> Masks:
            given = [c.rows([pairs[i][1] for i in rows]) for c in reference]
            tracker = Tracker(self._sam2, given, direction=1, hide=True, official=False)
            return tracker.look(Features.cat([self._features[pairs[i][0]] for i in rows]), 0)

        tracked = Masks.cat(self._in_groups(len(pairs), work))
        phrase = Masks.cat([own[k].masks for k in own]).hidden_where_absent()
        told = torch.maximum(tracked.presence, phrase.presence) > VISIBLE
        itself = [any(c.frames[row] == k for c in reference) for k, row in pairs]
        told &= ~torch.tensor(itself, device=told.device)
        return torch.where(told, soft_iou(tracked.logits, phrase.logits), -1.0).reshape(len(own), n).T.cpu()

    def _in_groups(self, count: int, work: Callable[[list[int]], T]) -> list[T]:
        """``work`` over rows 0 to ``count``, as many at a time as go into memory: launching is what takes the time."""
        made: list[T] = []
        at = 0
        while at < count:
            rows = list(range(at, min(count, at + self._together)))
            try:
                made.append(work(rows))
                at += len(rows)
            except torch.OutOfMemoryError:
                if self._together == 1:
                    raise out_of_memory(self._network.device) from None
                self._together //= 2
                torch.cuda.empty_cache()
                log.warning("Memory ran out; key frames are now looked at %d at a time.", self._together)
        return made

    @staticmethod
    def _start(targets: list[Target]) -> int:
        """The reference that serves most objects; the surest of them decides between equals."""
        worth: dict[int, float] = {}
        for target in targets:
            place = target.conditioning[0].frames[0]
            worth[place] = worth.get(place, 0.0) + 1.0 + target.confidence / 1000
        return max(sorted(worth), key=lambda place: worth[place], default=0)
