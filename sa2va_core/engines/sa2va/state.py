"""A shot in mid-walk as plain arrays, and back: what a stopped job needs to go on with the very same numbers.

Kept are the plan (what was asked, answered and chosen) and the memory of the trackers, whose maps are reduced to their
tokens. Keys and values follow from the tokens by the same sums that made them. The size depends on the number of
objects alone: about 8 MiB each at full size, and a byte for each thing and frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .network import Network
from .plan import Plan, Target
from .sam2.model import Masks
from .tracker import Conditioning, Memory, Past, Tracker, tracker_of

State = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Footprint:
    """What one tracker of ``count`` objects remembers, oldest first: (frame, tokens) and (frame, pointer)."""

    count: int
    tokens: tuple[Past[Tensor], ...]
    pointers: tuple[Past[Tensor], ...]

    @staticmethod
    def of(tracker: Tracker) -> Footprint:
        maps, pointers = tracker.memory
        return Footprint(tracker.count, tuple(Past(p.frame, p.value.tokens) for p in maps), pointers)


@dataclass(frozen=True)
class Reached:
    """Where a walk is: ``done`` frames of it are over. ``turned``: the memory with which the way back begins.
    ``crops``: how many had a second look."""

    done: int
    walking: Sequence[Footprint]
    turned: Sequence[Footprint]
    crops: int = 0


def pack(plan: Plan, reached: Reached, seen: NDArray[np.bool_]) -> State:
    """``seen``: bool (things, frames), where each thing was visible so far."""
    state: State = {
        "seen": seen,
        "walk": np.array([reached.done, plan.start, plan.gated]),
        "crops": np.array(reached.crops),
        "answers": np.array([plan.answers.get(i, "") for i in range(max(plan.answers, default=-1) + 1)], dtype=str),
        "answered": np.array(sorted(plan.answers), np.int64),
        "targets": np.array([[t.owner, t.negative, len(t.conditioning)] for t in plan.targets]).reshape(-1, 3),
        "scores": np.array([[t.confidence, _or_nan(t.agreement)] for t in plan.targets]).reshape(-1, 2),
        "tracked": np.array([plan.targets.index(t) for t in plan.tracked], np.int64),
    }
    for i, target in enumerate(plan.targets):
        if target.embedding is not None:
            state[f"embedding {i}"] = _array(target.embedding)
        for j, given in enumerate(target.conditioning):
            at = f"conditioning {i} {j}"
            state[f"{at} frame"] = np.array(given.frames)
            state[f"{at} tokens"] = _array(given.maps.tokens)
            for field, tensor in zip(("logits", "presence", "iou", "pointer"), given.masks.tensors, strict=True):
                state[f"{at} {field}"] = _array(tensor)
    for name, footprints in (("walking", reached.walking), ("turned", reached.turned)):
        state[f"{name} counts"] = np.array([f.count for f in footprints], np.int64)
        for i, footprint in enumerate(footprints):
            for kind, past in (("tokens", footprint.tokens), ("pointers", footprint.pointers)):
                state[f"{name} {i} {kind} frames"] = np.array([p.frame for p in past], np.int64)
                for j, p in enumerate(past):
                    state[f"{name} {i} {kind} {j}"] = _array(p.value)
    return state


class Unpacker:
    """Reads what :func:`pack` wrote, for one network."""

    def __init__(self, network: Network, state: Mapping[str, NDArray[np.generic]]) -> None:
        self._network, self._state = network, state
        self.done, self._start, self._gated = (int(n) for n in self._read("walk"))
        self.crops = int(self._read("crops")) if "crops" in state else 0  # earlier versions knew of none
        self.seen: NDArray[np.bool_] = self._read("seen").copy()

    def plan(self) -> Plan:
        """The plan, without trackers and pins: the trackers are where the walk is, not where it began."""
        said = self._read("answers")
        answers = {int(i): str(said[int(i)]) for i in self._read("answered")}
        targets = [
            Target(
                int(owner),
                bool(negative),
                self._own(f"embedding {i}") if f"embedding {i}" in self._state else None,
                [self._conditioning(f"conditioning {i} {j}") for j in range(int(count))],
                float(confidence),
                None if np.isnan(agreement) else float(agreement),
            )
            for i, ((owner, negative, count), (confidence, agreement)) in enumerate(
                zip(self._read("targets"), self._read("scores"), strict=True)
            )
        ]
        tracked = [targets[int(i)] for i in self._read("tracked")]
        return Plan(targets, [], tracked, self._start, bool(self._gated), answers)

    def trackers(self, name: str, plan: Plan, direction: int) -> list[Tracker]:
        """The trackers ``walking`` or ``turned``, with what they remember."""
        hide = plan.gated or self._network.sam2.sam_mask_decoder_modified is not None
        made, at = [], 0
        for i, count in enumerate(self._read(f"{name} counts")):
            given = [t.conditioning for t in plan.tracked[at : at + int(count)]]
            at += int(count)
            tracker = tracker_of(self._network.sam2, given, direction=direction, hide=hide, official=not plan.gated)
            tracker.memory = self._memory(f"{name} {i}")
            made.append(tracker)
        return made

    def _memory(self, name: str) -> Memory:
        frames = {kind: [int(f) for f in self._read(f"{name} {kind} frames")] for kind in ("tokens", "pointers")}
        recall = self._network.sam2.recall
        with torch.inference_mode():
            maps = [Past(f, recall(self._tokens(f"{name} tokens {j}"))) for j, f in enumerate(frames["tokens"])]
            pointers = [Past(f, self._own(f"{name} pointers {j}")) for j, f in enumerate(frames["pointers"])]
        return tuple(maps), tuple(pointers)

    def _conditioning(self, name: str) -> Conditioning:
        logits, presence, iou = (self._tensor(f"{name} {field}") for field in ("logits", "presence", "iou"))
        masks = Masks(logits, presence, iou, self._own(f"{name} pointer"))
        with torch.inference_mode():
            maps = self._network.sam2.recall(self._tokens(f"{name} tokens"))
        return Conditioning(tuple(int(f) for f in self._read(f"{name} frame")), masks, maps)

    def _read(self, name: str) -> NDArray[Any]:
        return np.asarray(self._state[name])

    def _tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self._read(name).copy()).to(self._network.device)

    def _own(self, name: str) -> Tensor:
        return self._tensor(name).to(self._network.dtype)

    def _tokens(self, name: str) -> Tensor:
        return self._tensor(name).view(torch.bfloat16)


def _array(tensor: Tensor) -> NDArray[np.generic]:
    """Memory tokens as the bits of bfloat16, which NumPy does not know; the rest as float32, which holds bfloat16."""
    tensor = tensor.detach().cpu()
    tokens = tensor.dtype == torch.bfloat16 and tensor.ndim == 3
    return (tensor.contiguous().view(torch.int16) if tokens else tensor.float()).numpy()


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
