"""A second look at small objects: the picture around each is encoded once more, larger, and its mask decoded again.

The decoder is asked with all that is known: the phrase's [SEG], the user's clicks on this frame, and the first look's
logits as SAM 2's mask prompt (arXiv 2408.00714; that [SEG] prompts the same decoder is Sa2VA's, arXiv 2501.04001). It
refines and never takes over: what does not agree with the first look is dropped, frame by frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec
from torch import Tensor

from sa2va_core.engines.base import NOTHING, Detail
from sa2va_core.media.frames import Picture

from .crops import FADE, Crop, Size, crop_of
from .network import Network
from .pixels import Pixels
from .plan import VISIBLE, Plan
from .prompts import Clicks, clicks_of, pins_of
from .sam2.heads import EMPTY
from .sam2.model import Features, Masks, soft_iou
from .state import Reached
from .streams import Delivery, Encoder, HostMasks

#: Soft IoU of the two looks in the crop from which they show the same thing. An edge that moves all around by one pixel
#: of the first look, which is as far as that can be trusted, leaves 0.77 of a disc of 16 such pixels.
AGREES = 0.75
#: How much less sure, in probability, the second look may be that the object is there: the noise of bfloat16.
LESS_SURE = 0.01


@dataclass
class Looked:
    """A frame with its first look (None: nothing is tracked) and, by row of that, what the second look gave.

    ``open``: how many of its crops have not been looked at yet.
    """

    picture: Picture
    reached: Reached
    found: HostMasks | None
    details: dict[int, Detail] = field(default_factory=dict)
    open: int = 0


@dataclass(frozen=True)
class _Wish:
    """A crop to be looked at: the ``number``-th of the walk, for ``row`` of its ``turn``-th frame."""

    looked: Looked
    row: int
    crop: Crop
    number: int
    turn: int


class SecondLook:
    """For the targets that ``plan`` tracks, of ``objects`` in pictures of ``size`` (width, height).

    Crops of all targets and of a few frames go through the network as one batch. A crop's place in its batch follows
    from its number in the walk, and batches are always filled up, so a session that goes on from the middle of a walk
    does the same sums.
    """

    def __init__(
        self, network: Network, encoder: Encoder, plan: Plan, objects: Sequence[ObjectSpec], size: Size
    ) -> None:
        self._network, self._encoder, self._plan = network, encoder, plan
        self._clicks = [clicks_of(item, size) for item in objects]
        self._pins = [pins_of(item) for item in objects]
        self._pixels: dict[Size, Pixels] = {}
        self._delivery: Delivery[list[_Wish]] = Delivery(network.device, lag=1)
        self._wishes: list[_Wish] = []

    def over(self, frames: Iterable[Looked], before: int) -> Iterator[Looked]:
        """``frames`` in their order, at most two batches late. ``before``: crops of the walk before these frames;
        :attr:`Reached.crops` counts on from there."""
        waiting: deque[Looked] = deque()
        number = before
        for turn, looked in enumerate(frames):
            for row, crop in self._crops(looked):
                self._wishes.append(_Wish(looked, row, crop, number, turn))
                looked.open += 1
                number += 1
            looked.reached = replace(looked.reached, crops=number)
            waiting.append(looked)
            self._look(turn)
            if len(waiting) > 2 * self._encoder.batch:
                self._note(self._delivery.rest())
            while waiting and not waiting[0].open:
                yield waiting.popleft()
        self._look(None)
        self._note(self._delivery.rest())
        yield from waiting

    def _crops(self, looked: Looked) -> Iterator[tuple[int, Crop]]:
        """The rows that get a second look: visible, not made by the user, and small."""
        if looked.found is None:
            return
        for row, target in enumerate(self._plan.tracked):
            pinned = looked.picture.frame in self._pins[target.owner]
            if looked.found.presence[row] > VISIBLE and not pinned:
                height, width = looked.picture.rgb.shape[:2]
                crop = crop_of(looked.found.logits[row], (width, height))
                if crop is not None:
                    yield row, crop

    def _look(self, turn: int | None) -> None:
        """Send batches on their way: those that are full, and one that has waited for as many frames as a batch has
        places; with None all."""
        while self._wishes:
            size = self._encoder.batch
            first, last = self._wishes[0], self._wishes[-1]
            full = (last.number + 1) // size > first.number // size
            if not (full or turn is None or turn - first.turn >= size):
                return
            batch = [wish for wish in self._wishes if wish.number // size == first.number // size]
            try:
                made = self._refined(batch, size)
            except torch.OutOfMemoryError:
                self._encoder.shrink()
                continue
            del self._wishes[: len(batch)]
            self._note(self._delivery.send(batch, made))

    def _note(self, arrived: Iterable[tuple[list[_Wish], list[NDArray[np.float32]]]]) -> None:
        for batch, (logits, taken) in arrived:
            for wish in batch:
                slot = wish.number % len(taken)
                wish.looked.open -= 1
                if taken[slot]:
                    wish.looked.details[wish.row] = Detail(logits[slot], wish.crop.box)

    @torch.inference_mode()
    def _refined(self, batch: Sequence[_Wish], size: int) -> list[Tensor]:
        """Logits float32 (size, 256, 256), and which of them agree with the first look (size,), by place in the batch;
        places without a wish hold nothing of use."""
        sam2, device = self._network.sam2, self._network.device
        places = {wish.number % size: wish for wish in batch}
        pixels = torch.zeros(size, 3, *(self._encoder.pixels.side,) * 2, device=device, dtype=self._network.dtype)
        known = torch.zeros(size, *(sam2.geometry.fine,) * 2, device=device)
        presence, boxes = torch.zeros(size), torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(size, 1)
        for place, wish in places.items():
            assert wish.looked.found is not None
            pixels[place] = self._prepare(wish)
            # From page-locked memory, which the frame keeps until its second look is back.
            known[place].copy_(torch.from_numpy(wish.looked.found.logits[wish.row]), non_blocking=True)
            presence[place] = float(wish.looked.found.presence[wish.row])
            boxes[place] = torch.tensor(wish.crop.box)
        presence, boxes = presence.to(device), boxes.to(device)
        first = seen_in(known, boxes).clamp(NOTHING, -NOTHING)
        second = self._decoded(self._encoder.features(pixels), first, places)
        agrees = soft_iou(first, second.logits) >= AGREES
        sure = (second.presence > VISIBLE) & (second.presence.sigmoid() >= presence.sigmoid() - LESS_SURE)
        blended = torch.lerp(first, second.logits.clamp(NOTHING, -NOTHING), inner(boxes, sam2.geometry.fine))
        return [blended, agrees & sure]

    def _prepare(self, wish: _Wish) -> Tensor:
        pixels, size = self._encoder.pixels, wish.crop.shape
        if size not in self._pixels:
            self._pixels[size] = Pixels(pixels.device, pixels.dtype, pixels.side)
        return self._pixels[size]([wish.crop.cut(wish.looked.picture.rgb)])[0]

    def _decoded(self, features: Features, first: Tensor, places: Mapping[int, _Wish]) -> Masks:
        """The decoder's masks for all places of a batch. Those with other kinds of prompts are asked for one kind after
        the other, always with all places, so that the others do not matter."""
        asked: dict[tuple[bool, int], dict[int, tuple[Tensor | None, Clicks | None]]] = {}
        for place, wish in places.items():
            prompt = embedding, clicks = self._prompt(wish)
            kind = embedding is not None, 0 if clicks is None else clicks.labels.shape[1]
            asked.setdefault(kind, {})[place] = prompt
        made: Masks | None = None
        for (phrase, marks), prompts in asked.items():
            embeddings = first.new_zeros(len(first), self._network.sam2.geometry.width * phrase).to(self._network.dtype)
            xy, labels = torch.zeros(len(first), marks, 2), torch.full((len(first), marks), EMPTY)
            for place, (embedding, clicks) in prompts.items():
                if embedding is not None:
                    embeddings[place] = embedding[0]
                if clicks is not None:
                    xy[place], labels[place] = clicks.xy[0], clicks.labels[0]
            given = Clicks(xy, labels).to(first.device) if marks else None
            masks = self._network.sam2.ground(features, embeddings, given, first)
            made = masks if made is None else made.replaced(list(prompts), masks)
        assert made is not None
        return made

    def _prompt(self, wish: _Wish) -> tuple[Tensor | None, Clicks | None]:
        """What is known of a wish beside the first look: the phrase, and the clicks in the crop on this very frame."""
        target = self._plan.tracked[wish.row]
        clicks = None if target.negative else self._clicks[target.owner].get(wish.looked.picture.frame)
        return target.embedding, None if clicks is None else clicks.within(wish.crop.box)


def seen_in(logits: Tensor, boxes: Tensor) -> Tensor:
    """``logits`` (n, h, h) of whole pictures, bilinear in the ``boxes`` (n, 4; shares of the picture): (n, h, h)."""
    at = (torch.arange(logits.shape[-1], device=logits.device) + 0.5) / logits.shape[-1]
    x, y = (2 * (boxes[:, i, None] + (boxes[:, i + 2] - boxes[:, i])[:, None] * at) - 1 for i in (0, 1))
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    return F.grid_sample(logits[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]


def inner(boxes: Tensor, side: int) -> Tensor:
    """What the second look counts for, 0..1, (n, side, side): all, but for a fade at sides that lie in the picture."""
    at = (torch.arange(side, device=boxes.device) + 0.5) / side
    low = torch.where(boxes[:, :2, None] > 0, at / FADE, 1.0)
    high = torch.where(boxes[:, 2:, None] < 1, (1 - at) / FADE, 1.0)
    x, y = torch.minimum(low, high).clamp(max=1.0).unbind(1)
    return torch.minimum(x[:, None, :], y[:, :, None])
