"""The official behaviour, frame by frame: what compat mode runs, and what the golden data was recorded from.

Sa2VA: the first five frames go to the language model and are prompted with [SEG]; all later ones are tracked forwards,
without gating. Sa2VA-i (arXiv 2509.19082; a second, stock decoder in the weights): five frames spread over the shot,
their masks made hard and given to stock SAM 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .language.base import Answer
from .network import Network
from .pixels import RGB, Pixels
from .sam2.model import Features, Masks, Sam2
from .tracker import Conditioning, Tracker

KEY_FRAMES = 5


@dataclass(frozen=True)
class Prediction:
    """``embeddings`` (objects, width). ``masks``: one entry a frame, of all objects; empty without [SEG]."""

    answer: Answer
    embeddings: Tensor
    masks: list[Masks]

    def at_size(self, width: int, height: int) -> NDArray[np.bool_]:
        """Hard masks at picture size, bool (objects, frames, height, width)."""
        if not self.masks:
            return np.zeros((0, 0, height, width), bool)
        frames = [upsampled(m.logits, height, width).cpu().numpy() > 0 for m in self.masks]
        return np.stack(frames, axis=1)


def key_frames(count: int, spread: bool) -> list[int]:
    """Positions of the frames that the language model sees in a shot of ``count``."""
    if spread:
        return sorted(set(np.linspace(0, count - 1, KEY_FRAMES, dtype=int).tolist()))
    return list(range(min(KEY_FRAMES, count)))


def condition(sam2: Sam2, features: Features, frame: int, embeddings: Tensor, size: tuple[int, int]) -> Conditioning:
    """Ground [SEG] embeddings (objects, width) on one frame of ``size`` (width, height) and remember the result."""
    masks = sam2.ground(features, embeddings)
    if sam2.sam_mask_decoder_modified is not None:
        hard = F.interpolate(masks.logits[:, None], size=(size[1], size[0]), mode="bilinear") > 0
        side = sam2.geometry.image
        full = F.interpolate(hard.float(), size=(side, side), mode="bilinear", antialias=True)[:, 0] >= 0.5
        masks = sam2.adopt(features, full.float())
    return Conditioning((frame,) * len(embeddings), masks, sam2.remember(features, masks.logits))


def upsampled(logits: Tensor, height: int, width: int) -> Tensor:
    """Logits (n, 256, 256) at picture size, by way of 1024 as the official code goes."""
    x = F.interpolate(logits[:, None], scale_factor=4.0, mode="bilinear")
    return F.interpolate(x, size=(height, width), mode="bilinear")[:, 0]


def new_tracker(sam2: Sam2, conditioning: Sequence[Conditioning]) -> Tracker:
    stock = sam2.sam_mask_decoder_modified is not None
    return Tracker(sam2, conditioning, direction=1, hide=stock, official=True)


def new_trackers(sam2: Sam2, given: Mapping[int, Features], embeddings: Tensor, size: tuple[int, int]) -> list[Tracker]:
    """One tracker for each of ``embeddings``, conditioned on the frames ``given``.

    The official code tracks objects one by one, and so do we here: a batch gives the same result but for the last
    bits, which a comparison would see.
    """
    each = [embeddings[i : i + 1] for i in range(len(embeddings))]
    return [new_tracker(sam2, [condition(sam2, f, k, e, size) for k, f in given.items()]) for e in each]


@torch.inference_mode()
def predict(
    network: Network,
    pictures: Sequence[RGB],
    text: str,
    *,
    still: bool = False,
    regions: Tensor | None = None,
    watch: Callable[[int, Features], None] | None = None,
) -> Prediction:
    """Run pictures of one size that all fit in memory: a clip, or with ``still`` one picture in full detail.

    ``text`` holds ``<image>`` where the pictures belong; without pictures it is a plain question. ``watch`` is shown
    each frame's features.
    """
    sam2 = network.sam2
    if not pictures:
        return Prediction(network.language.answer(None, text, official=True), torch.zeros(0, 0), [])
    keys = key_frames(len(pictures), spread=sam2.sam_mask_decoder_modified is not None)
    scene = network.language.see([pictures[i] for i in keys], still, regions)
    answer = network.language.answer(scene, text, official=True)
    embeddings = network.embed(answer.states)
    if not len(embeddings):
        return Prediction(answer, embeddings, [])
    prepare = Pixels(network.device, network.dtype, sam2.geometry.image)

    def encode(frame: int) -> Features:
        features = sam2.encode(prepare([pictures[frame]]))
        if watch is not None:
            watch(frame, features)
        return features

    size = (pictures[0].shape[1], pictures[0].shape[0])
    given = {k: encode(k) for k in keys}
    trackers = new_trackers(sam2, given, embeddings, size)
    masks = []
    for i in range(len(pictures)):
        features = given.pop(i) if i in given else encode(i)
        masks.append(Masks.cat([tracker.step(features, i) for tracker in trackers]))
    return Prediction(answer, embeddings, masks)
