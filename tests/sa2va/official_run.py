"""The official code's whole run, of the engine's own parts: pictures and a text in, an answer and hard masks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sa2va_core.engines.sa2va import official
from sa2va_core.engines.sa2va.language.base import Answer
from sa2va_core.engines.sa2va.network import Network
from sa2va_core.engines.sa2va.pixels import RGB, Pixels
from sa2va_core.engines.sa2va.sam2.model import Features, Masks


@dataclass(frozen=True)
class Prediction:
    """``masks``: one entry a frame, of all objects; empty without [SEG]."""

    answer: Answer
    masks: list[Masks]

    def at_size(self, width: int, height: int) -> NDArray[np.bool_]:
        """Hard masks at picture size, bool (objects, frames, height, width)."""
        return np.stack([upsampled(m.logits, height, width).numpy() > 0 for m in self.masks], axis=1)


def upsampled(logits: Tensor, height: int, width: int) -> Tensor:
    """Logits (n, 256, 256) at picture size, by way of 1024 as the official code goes."""
    x = F.interpolate(logits[:, None], scale_factor=4.0, mode="bilinear")
    return F.interpolate(x, size=(height, width), mode="bilinear")[:, 0]


@torch.inference_mode()
def predict(
    network: Network, pictures: Sequence[RGB], text: str, *, still: bool = False, regions: Tensor | None = None
) -> Prediction:
    """Run a clip of pictures of one size, or with ``still`` one picture in full detail.

    ``text`` holds ``<image>`` where the pictures belong; without pictures it is a plain question.
    """
    sam2 = network.sam2
    if not pictures:
        return Prediction(network.language.answer(None, text, official=True), [])
    keys = official.key_frames(len(pictures), spread=sam2.sam_mask_decoder_modified is not None)
    scene = network.language.see([pictures[i] for i in keys], still, regions)
    answer = network.language.answer(scene, text, official=True)
    embeddings = network.embed(answer.states)
    if not len(embeddings):
        return Prediction(answer, [])
    prepare = Pixels(network.device, network.dtype, sam2.geometry.image)

    def encode(frame: int) -> Features:
        return sam2.encode(prepare([pictures[frame]]))

    size = (pictures[0].shape[1], pictures[0].shape[0])
    given = {k: encode(k) for k in keys}
    trackers = official.new_trackers(sam2, given, embeddings, size)
    masks = []
    for i in range(len(pictures)):
        features = given.pop(i) if i in given else encode(i)
        masks.append(Masks.cat([tracker.step(features, i) for tracker in trackers]))
    return Prediction(answer, masks)
