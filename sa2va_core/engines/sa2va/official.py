"""The official behaviour, frame by frame: what compat mode runs, and what the golden data was recorded from.

Sa2VA: the first five frames go to the language model and are prompted with [SEG]; all later ones are tracked forwards,
without gating. Sa2VA-i (arXiv 2509.19082; a second, stock decoder in the weights): five frames spread over the shot,
their masks made hard and given to stock SAM 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from .sam2.model import Features, Sam2
from .tracker import Conditioning, Tracker

KEY_FRAMES = 5


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


def new_tracker(sam2: Sam2, conditioning: Sequence[Conditioning]) -> Tracker:
    """Forwards and without gating; with Sa2VA-i's second decoder, absent objects are hidden as stock SAM 2 does."""
    stock = sam2.sam_mask_decoder_modified is not None
    return Tracker(sam2, conditioning, direction=1, hide=stock, official=True)


def new_trackers(sam2: Sam2, given: Mapping[int, Features], embeddings: Tensor, size: tuple[int, int]) -> list[Tracker]:
    """One tracker for each of ``embeddings``, conditioned on the frames ``given``.

    The official code tracks objects one by one, and so do we here: a batch gives the same result but for the last
    bits, which a comparison would see.
    """
    each = [embeddings[i : i + 1] for i in range(len(embeddings))]
    return [new_tracker(sam2, [condition(sam2, f, k, e, size) for k, f in given.items()]) for e in each]
