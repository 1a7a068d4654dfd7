"""One shot through Sa2VA: plan it, walk it, and say what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.engines.base import NOTHING, FrameResult, ObjectTrack, ShotSession, Verdict
from sa2va_core.media.frames import FrameSource, Picture

from .network import Network
from .plan import Plan, make_plan
from .prompts import pins_of, read_pin
from .sam2.model import Features, Masks
from .second_look import Looked, SecondLook
from .state import Footprint, Reached, State, Unpacker, pack
from .streams import Delivery, Encoder, HostMasks, log, out_of_memory
from .things import Thing, things_of, track_of, verdict_of
from .tracker import Tracker

T = TypeVar("T")


class Sa2vaSession(ShotSession):
    """Frames leave from the best key frame to the end of the shot, then from there back to its beginning."""

    def __init__(
        self,
        network: Network,
        encoder: Encoder,
        source: FrameSource,
        objects: Sequence[ObjectSpec],
        compat: bool,
        state: Mapping[str, NDArray[np.generic]] | None = None,
        second_look: bool = False,
    ) -> None:
        self._network, self._encoder, self._source = network, encoder, source
        self._objects, self._compat, self._looks_twice = list(objects), compat, second_look
        self._saved = Unpacker(network, state) if state is not None else None
        self._reached: Reached | None = None
        self._place = {frame: i for i, frame in enumerate(source.frames)}
        self._pins = {(i, f): path for i, item in enumerate(objects) for f, path in pins_of(item).items()}

    @cached_property
    def plan(self) -> Plan:
        """Made on first use: it takes a look at the whole shot."""
        if self._saved is not None:
            return self._saved.plan()
        return make_plan(self._network, self._encoder, self._source, self._objects, self._compat)

    @cached_property
    def _things(self) -> list[Thing]:
        return things_of(self._objects, self.plan)

    @cached_property
    def _seen(self) -> NDArray[np.bool_]:
        """Where each thing was visible so far, bool (things, frames)."""
        return self._saved.seen if self._saved else np.zeros((len(self._things), len(self._source.frames)), bool)

    def parts(self) -> Mapping[str, Sequence[str]]:
        named: dict[str, list[str]] = {}
        for thing in self._things:
            if thing.part:
                named.setdefault(self._objects[thing.owner].name, []).append(thing.name)
        return named

    def run(self) -> Iterator[FrameResult]:
        with _closed(self._looked_at()) as frames:
            if self._looks_twice:
                again = SecondLook(self._network, self._encoder, self.plan, self._objects, self._source.size)
                frames = again.over(frames, self._saved.crops if self._saved else 0)
            for looked in frames:
                yield self._result(looked)

    def _looked_at(self) -> Iterator[Looked]:
        """The frames with their first looks, as :meth:`run` gives them."""
        plan, saved, frames = self.plan, self._saved, self._source.frames
        order = [*range(plan.start, len(frames)), *range(plan.start - 1, -1, -1)]
        ahead = len(frames) - plan.start
        done, trackers, turned = 0, plan.trackers, list[Tracker]()
        if saved is not None:
            done = saved.done
            trackers = saved.trackers("walking", plan, 1 if done <= ahead else -1)
            turned = saved.trackers("turned", plan, -1)
        # Batches are cut where they would be cut in one go: in another batch the last bits may differ.
        first = done - done % self._encoder.batch if plan.tracked else done
        delivery: Delivery[tuple[Picture, Reached]] = Delivery(self._network.device)
        with _closed(self._source.stream([frames[i] for i in order[first:]])) as pictures:
            if not plan.tracked:
                for count, picture in enumerate(pictures, done + 1):
                    yield Looked(picture, Reached(count, (), ()), None)
                return
            encoded = islice(self._encoder.stream(pictures), done - first, None)
            for count, (picture, features) in enumerate(encoded, done + 1):
                place = order[count - 1]
                if place == plan.start - 1:
                    trackers, turned = turned, []
                masks = self._step(trackers, features, place)
                if place == plan.start:
                    turned = [tracker.turned() for tracker in trackers]
                walking, waiting = ([Footprint.of(t) for t in each] for each in (trackers, turned))
                reached = Reached(count, walking, waiting)
                for (arrived, at), found in delivery.send(
                    (picture, reached), [masks.logits, masks.presence, masks.iou]
                ):
                    yield Looked(arrived, at, HostMasks(*found))
            for (arrived, at), found in delivery.rest():
                yield Looked(arrived, at, HostMasks(*found))

    def verdicts(self) -> Mapping[str, Verdict]:
        frames = self._source.frames
        return {
            thing.name: verdict_of(thing, self.plan, [frames[i] for i in np.flatnonzero(seen).tolist()], len(frames))
            for thing, seen in zip(self._things, self._seen, strict=True)
        }

    def state(self) -> State | None:
        return pack(self.plan, self._reached, self._seen) if self._reached is not None else None

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

    def _result(self, looked: Looked) -> FrameResult:
        picture, self._reached = looked.picture, looked.reached
        tracks = {}
        for row, thing in enumerate(self._things):
            pin = self._pins.get((thing.owner, picture.frame))
            track = pinned(pin) if pin else track_of(thing, self.plan, looked.found, looked.details)
            tracks[thing.name] = track
            self._seen[row, self._place[picture.frame]] = track.presence > 0.5
        return FrameResult(picture, tracks)


def pinned(path: Path) -> ObjectTrack:
    """A matte that the user made. As logits at its own size too, for whoever measures those."""
    matte = read_pin(path)
    with np.errstate(divide="ignore"):
        logits = np.log(matte) - np.log1p(-matte)
    return ObjectTrack(np.clip(logits, NOTHING, -NOTHING), float(matte.max() > 0), 1.0, matte)


@contextmanager
def _closed(source: Iterator[T]) -> Iterator[Iterator[T]]:
    """Stop the reader's threads whatever happens."""
    try:
        yield source
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
