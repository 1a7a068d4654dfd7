"""SAM 2's memory loop over a stream of frames, several objects at once, in memory that does not grow.

A frame attends to the conditioning memories (key frames, pins), to the maps of the six frames before it and to the
object pointers of the fifteen before it; nothing older is ever read, so nothing older is kept. With the same
conditioning on all objects this is exactly the official loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from sa2va_core.engines.recording import Replay

from .sam2.geometry import MAX_POINTERS
from .sam2.memory import Maps
from .sam2.model import Features, Masks, Sam2


@dataclass(frozen=True)
class Conditioning:
    """What is known of n objects on one frame each (``frames``, positions in the shot)."""

    frames: tuple[int, ...]
    masks: Masks
    maps: Maps

    def rows(self, at: Sequence[int]) -> Conditioning:
        index = torch.tensor(list(at), device=self.masks.logits.device)
        return Conditioning(tuple(self.frames[i] for i in at), self.masks[index], self.maps[index])

    @staticmethod
    def cat(parts: Sequence[Conditioning]) -> Conditioning:
        return Conditioning(
            tuple(f for part in parts for f in part.frames),
            Masks.cat([part.masks for part in parts]),
            Maps.cat([part.maps for part in parts]),
        )


T = TypeVar("T")


@dataclass(frozen=True)
class Past(Generic[T]):
    """What one frame left behind, for n objects."""

    frame: int
    value: T


Memory = tuple[tuple[Past[Maps], ...], tuple[Past[Tensor], ...]]


class Tracker:
    """Walks n objects through a shot, forwards (``direction`` 1) or backwards (-1).

    ``conditioning``: each entry gives every object one frame, so all objects have as many. ``hide``: write "nothing"
    into the memory where an object is not visible, as stock SAM 2 does and official Sa2VA does not. ``official``:
    pointers of conditioning frames that lie ahead are left out, and conditioning frames do not also count as
    predecessors. Otherwise both count, so that an object's result does not depend on which others go along.
    """

    def __init__(
        self, sam2: Sam2, conditioning: Sequence[Conditioning], *, direction: int, hide: bool, official: bool
    ) -> None:
        self._sam2, self._hide, self._official = sam2, hide, official
        self.conditioning = list(conditioning)
        self.direction = direction
        self._replay = Replay()
        self._maps: deque[Past[Maps]] = deque(maxlen=sam2.geometry.memory_maps - 1)
        self._pointers: deque[Past[Tensor]] = deque(maxlen=MAX_POINTERS)

    @property
    def count(self) -> int:
        return len(self.conditioning[0].frames)

    def turned(self) -> Tracker:
        """A tracker that goes the other way with what this one remembers now."""
        return self._like(self.conditioning, -self.direction, self.memory)

    def rows(self, at: Sequence[int]) -> Tracker:
        """A tracker of some of the objects."""
        index = torch.tensor(list(at), device=self.conditioning[0].masks.logits.device)
        maps = tuple(Past(p.frame, p.value[index]) for p in self._maps)
        pointers = tuple(Past(p.frame, p.value[index]) for p in self._pointers)
        return self._like([c.rows(at) for c in self.conditioning], self.direction, (maps, pointers))

    def _like(self, conditioning: Sequence[Conditioning], direction: int, memory: Memory) -> Tracker:
        other = Tracker(self._sam2, conditioning, direction=direction, hide=self._hide, official=self._official)
        other.memory = memory
        return other

    @property
    def memory(self) -> Memory:
        """What earlier frames left: maps and pointers, oldest first. Never changed in place, so it can be kept."""
        return tuple(self._maps), tuple(self._pointers)

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self._maps = deque(memory[0], maxlen=self._maps.maxlen)
        self._pointers = deque(memory[1], maxlen=self._pointers.maxlen)

    @torch.inference_mode()
    def look(self, features: Features, frame: int) -> Masks:
        """The objects on ``frame`` by memory, which stays as it is."""
        coarse = self._sam2.attend(features, *self._memories(features, frame))
        found = self._sam2.decode(features, coarse, self._sam2.no_prompt(self.count))
        return found.hidden_where_absent() if self._hide else found

    @torch.inference_mode()
    def step(self, features: Features, frame: int) -> Masks:
        """The objects on ``frame``, whose encoded picture is ``features`` (1, ...). Frames come in walking order.

        On an object's conditioning frame the mask is the one that was given.
        """
        given = {row: c for c in self.conditioning for row, at in enumerate(c.frames) if at == frame}
        if len(given) == self.count:
            found = Masks.cat([given[row].masks[row : row + 1] for row in range(self.count)])
            if self._official:
                return found
            maps = Maps.cat([given[row].maps[row : row + 1] for row in range(self.count)])
        else:
            found, maps = self._follow(features, *self._memories(features, frame))
        if 0 < len(given) < self.count:
            origins = [given.get(row) for row in range(self.count)]
            found = Masks.cat([(c.masks if c else found)[row : row + 1] for row, c in enumerate(origins)])
            maps = Maps.cat([(c.maps if c else maps)[row : row + 1] for row, c in enumerate(origins)])
        self._maps.append(Past(frame, maps))
        self._pointers.append(Past(frame, found.pointer))
        return found

    def _follow(self, features: Features, maps: list[Maps], slots: list[int], pointers: Tensor) -> tuple[Masks, Maps]:
        """:meth:`Sam2.follow`, which is the same work on every frame once the bank is full."""
        size = len(maps[0].tensors)

        def work(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
            seen, read, rest = Features.of(tensors[:3]), tensors[3], tensors[4:]
            banked = [Maps.of(rest[i : i + size]) for i in range(0, len(rest), size)]
            masks, made = self._sam2.follow(seen, banked, slots, read, self._hide)
            return [*masks.tensors, *made.tensors]

        given = [*features.tensors[:3], pointers, *(t for m in maps for t in m.tensors)]
        made = self._replay(work, given, tuple(slots))
        return Masks(*made[:4]), Maps.of(made[4:])

    def _memories(self, features: Features, frame: int) -> tuple[list[Maps], list[int], Tensor]:
        """What ``frame`` attends to: maps, their ages, and pointers (objects, pointers, width)."""
        recent = [(p.value, abs(frame - p.frame)) for p in self._maps]
        near = [(value, gap - 1) for value, gap in recent if gap <= self._sam2.geometry.memory_maps - 1]
        maps = [c.maps for c in self.conditioning] + [value for value, _ in near]
        slots = [self._sam2.geometry.memory_maps - 1] * len(self.conditioning) + [slot for _, slot in near]
        pointers = [c.masks.pointer for c in self.conditioning if not self._official or self._is_past(c, frame)]
        pointers += [p.value for p in self._pointers if abs(frame - p.frame) <= MAX_POINTERS]
        none = features.coarse.new_zeros(self.count, 0, self._sam2.geometry.width)
        return maps, slots, torch.stack(pointers, dim=1) if pointers else none

    def _is_past(self, conditioning: Conditioning, frame: int) -> bool:
        return all((frame - at) * self.direction >= 0 for at in conditioning.frames)


def tracker_of(
    sam2: Sam2, given: Sequence[Sequence[Conditioning]], *, direction: int, hide: bool, official: bool
) -> Tracker:
    """A tracker of n objects that have as many conditioning frames, ``given`` for each of them.

    What attention reads is made from the tokens of all n together, so that a session which goes on later, from tokens
    alone, does the same sums.
    """
    columns = [Conditioning.cat(column) for column in zip(*given, strict=True)]
    with torch.inference_mode():
        columns = [Conditioning(c.frames, c.masks, sam2.recall(c.maps.tokens)) for c in columns]
    return Tracker(sam2, columns, direction=direction, hide=hide, official=official)
