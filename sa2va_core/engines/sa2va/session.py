"""One shot through Sa2VA: plan it, walk it, and say what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.engines.base import NOTHING, FrameResult, ObjectTrack, ShotSession, Verdict
from sa2va_core.media.frames import FrameSource, Picture

from .network import Network
from .plan import AGREE, VISIBLE, Plan, Target, make_plan
from .prompts import read_pin
from .sam2.model import Features, Masks
from .streams import Delivery, Encoder, HostMasks, log, out_of_memory
from .tracker import Tracker

#: Confidence of a reference below which a phrase is called ambiguous.
SURE = 0.35


class Sa2vaSession(ShotSession):
    """Frames leave from the best key frame to the end of the shot, then from there back to its beginning."""

    def __init__(
        self, network: Network, encoder: Encoder, source: FrameSource, objects: Sequence[ObjectSpec], compat: bool
    ) -> None:
        self._network, self._encoder, self._source = network, encoder, source
        self._objects, self._compat = list(objects), compat
        self._seen: dict[str, list[int]] = {item.name: [] for item in objects}
        self.plan: Plan | None = None

    def run(self) -> Iterator[FrameResult]:
        plan = self.plan = make_plan(self._network, self._encoder, self._source, self._objects, self._compat)
        frames = self._source.frames
        ahead, behind = range(plan.start, len(frames)), range(plan.start - 1, -1, -1)
        order = [*ahead, *behind]
        delivery: Delivery[Picture] = Delivery(self._network.device)
        targets = [t for _, group in plan.trackers for t in group]
        trackers = [tracker for tracker, _ in plan.trackers]
        turned: list[Tracker] = []
        with _closed(self._source.stream([frames[i] for i in order])) as pictures:
            if not trackers:
                for picture in pictures:
                    yield self._result(picture, [], None)
                return
            for place, (picture, features) in zip(order, self._encoder.stream(pictures), strict=True):
                if place == plan.start - 1:
                    trackers = turned
                masks = self._step(trackers, features, place)
                if place == plan.start:
                    turned = [tracker.turned() for tracker in trackers]
                for arrived, found in delivery.send(picture, masks):
                    yield self._result(arrived, targets, found)
            for arrived, found in delivery.rest():
                yield self._result(arrived, targets, found)

    def verdicts(self) -> Mapping[str, Verdict]:
        assert self.plan is not None
        return {item.name: self._verdict(owner, item, self.plan) for owner, item in enumerate(self._objects)}

    def _step(self, trackers: list[Tracker], features: Features, place: int) -> Masks:
        """All targets on one frame. Where memory runs out the objects go through in smaller groups from then on."""
        found: list[Masks] = []
        at = 0
        while at < len(trackers):
            try:
                found.append(trackers[at].step(features, place))
                at += 1
            except torch.OutOfMemoryError:
                count = trackers[at].count
                if count == 1:
                    raise out_of_memory(self._network.device) from None
                halves = [trackers[at].rows(range(count // 2)), trackers[at].rows(range(count // 2, count))]
                trackers[at : at + 1] = halves
                torch.cuda.empty_cache()
                log.warning("Memory ran out; %d objects now go through memory %d at a time.", count, count // 2)
        return Masks.cat(found) if len(found) > 1 else found[0]

    def _result(self, picture: Picture, targets: list[Target], found: HostMasks | None) -> FrameResult:
        objects = {}
        for owner, item in enumerate(self._objects):
            pin = self.plan.pins.get((owner, picture.frame)) if self.plan else None
            rows = [i for i, t in enumerate(targets) if t.owner == owner]
            objects[item.name] = track = self._track(rows, targets, found) if pin is None else pinned(pin)
            if track.presence > 0.5:
                self._seen[item.name].append(picture.frame)
        return FrameResult(picture, objects)

    def _track(self, rows: list[int], targets: list[Target], found: HostMasks | None) -> ObjectTrack:
        """One object out of its parts, less what its negative phrases name."""
        parts = [i for i in rows if not targets[i].negative]
        if found is None or not parts:
            return ObjectTrack.absent()
        sure = max(parts, key=lambda i: found.presence[i])
        presence = float(1 / (1 + np.exp(-found.presence[sure])))
        gated = self.plan is not None and self.plan.gated
        shown = [i for i in parts if found.presence[i] > VISIBLE or not gated]
        if not shown:
            return ObjectTrack.absent(presence)
        logits = _union(found.logits[shown])
        taken = [i for i in rows if targets[i].negative and (found.presence[i] > VISIBLE or not gated)]
        if taken:
            logits = np.minimum(logits, -_union(found.logits[taken]))
        return ObjectTrack(np.clip(logits, NOTHING, -NOTHING), presence, float(found.iou[sure]))

    def _verdict(self, owner: int, item: ObjectSpec, plan: Plan) -> Verdict:
        seen = sorted(self._seen[item.name])
        total = len(self._source.frames)
        parts = [t for t in plan.targets if t.owner == owner and not t.negative]
        if not parts:
            return Verdict("not in shot", f"The model named nothing to cut out; it said: {plan.answers[owner]!r}.")
        if not seen:
            return Verdict("not in shot", "The model saw nothing of it on any frame.")
        where = f"on {len(seen)} of {total} frames"
        if len(parts) > 1 and not (item.points or item.boxes or item.masks):
            where += f", as {len(parts)} things that the answer names"
        doubtful = min(parts, key=lambda t: t.confidence)
        if plan.gated and doubtful.agreement is not None and doubtful.agreement < AGREE:
            return Verdict("ambiguous", f"Seen {where}, but not as the same thing on most key frames.", seen)
        if plan.gated and doubtful.confidence < SURE:
            return Verdict("ambiguous", f"Seen {where}, with a confidence of only {doubtful.confidence:.2f}.", seen)
        return Verdict("found", f"Seen {where}.", seen)


def pinned(path: Path) -> ObjectTrack:
    """A matte that the user made, as logits at its own size: their sigmoid is the matte again."""
    matte = read_pin(path).astype(np.float64)
    with np.errstate(divide="ignore"):
        logits = np.log(matte) - np.log1p(-matte)
    return ObjectTrack(np.clip(logits, NOTHING, -NOTHING).astype(np.float32), float(matte.max() > 0), 1.0)


@contextmanager
def _closed(pictures: Iterator[Picture]) -> Iterator[Iterator[Picture]]:
    """Stop the reader's threads whatever happens."""
    try:
        yield pictures
    finally:
        close = getattr(pictures, "close", None)
        if close is not None:
            close()


def _union(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return logits.max(axis=0)
