"""SAM 2 put together: encode frames, decode masks, remember, and attend to what was remembered.

Everything works on a batch of objects of one picture (or of pictures with one object each); nothing here knows of
shots or of order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .geometry import Geometry
from .heads import EMPTY, MaskDecoder, PromptEncoder
from .hiera import ImageEncoder
from .layers import MLP, rotary_table, sine_positions
from .memory import Maps, MemoryAttention, MemoryEncoder

#: Logit that SAM 2 writes where it says that an object is not visible.
HIDDEN = -1024.0
#: Bound of the logits that are given as a mask prompt.
KNOWN = 32.0


@dataclass(frozen=True)
class Features:
    """Encoded pictures. ``coarse`` (n, width, 64, 64); ``middle`` (n, width / 4, 128, 128) and ``fine`` (n, width / 8,
    256, 256) as the decoder that tracks projects them. ``grounding``: the same two for the decoder that reads [SEG],
    where that is another one."""

    coarse: Tensor
    middle: Tensor
    fine: Tensor
    grounding: tuple[Tensor, Tensor] | None = None

    def __getitem__(self, index: int | slice) -> Features:
        at = slice(index, index + 1) if isinstance(index, int) else index
        grounding = self.grounding and (self.grounding[0][at], self.grounding[1][at])
        return Features(self.coarse[at], self.middle[at], self.fine[at], grounding)

    @property
    def tensors(self) -> list[Tensor]:
        return [self.coarse, self.middle, self.fine, *(self.grounding or ())]

    @staticmethod
    def cat(parts: Sequence[Features]) -> Features:
        return Features.of([torch.cat(tensors) for tensors in zip(*(p.tensors for p in parts), strict=True)])

    @staticmethod
    def of(tensors: Sequence[Tensor]) -> Features:
        """The inverse of :attr:`tensors`."""
        coarse, middle, fine, *grounding = tensors
        return Features(coarse, middle, fine, (grounding[0], grounding[1]) if grounding else None)


@dataclass(frozen=True)
class Masks:
    """The chosen mask of n objects. ``logits`` float32 (n, 256, 256), not gated by presence; ``presence`` logit float32
    (n,); ``iou`` float32 (n,), predicted, 0..1; ``pointer`` (n, width)."""

    logits: Tensor
    presence: Tensor
    iou: Tensor
    pointer: Tensor

    def hidden_where_absent(self) -> Masks:
        logits = torch.where(self.presence[:, None, None] > 0, self.logits, HIDDEN)
        return Masks(logits, self.presence, self.iou, self.pointer)

    def __getitem__(self, at: slice | Tensor) -> Masks:
        return Masks(self.logits[at], self.presence[at], self.iou[at], self.pointer[at])

    @property
    def tensors(self) -> list[Tensor]:
        return [self.logits, self.presence, self.iou, self.pointer]

    def replaced(self, rows: Sequence[int], other: Masks) -> Masks:
        """These, with ``rows`` of ``other`` in place of their own."""
        at = torch.tensor(list(rows), device=self.logits.device)
        return Masks(*(a.index_copy(0, at, b[at]) for a, b in zip(self.tensors, other.tensors, strict=True)))

    @staticmethod
    def cat(parts: Sequence[Masks]) -> Masks:
        fields = ("logits", "presence", "iou", "pointer")
        return Masks(*(torch.cat([getattr(p, f) for p in parts]) for f in fields))


class Sam2(nn.Module):
    """Parameters carry the checkpoint's names. ``stock`` adds the second, stock decoder of Sa2VA-i checkpoints; there
    ``sam_mask_decoder`` is the stock one and ``sam_mask_decoder_modified`` the one trained with the language model."""

    def __init__(self, geometry: Geometry, stock: bool) -> None:
        super().__init__()
        g = self.geometry = geometry
        self.image_encoder = ImageEncoder(g)
        self.memory_attention = MemoryAttention(g)
        self.memory_encoder = MemoryEncoder(g)
        self.sam_prompt_encoder = PromptEncoder(g)
        self.sam_mask_decoder = MaskDecoder(g)
        self.sam_mask_decoder_modified = MaskDecoder(g) if stock else None
        self.obj_ptr_proj = MLP([g.width] * 4)
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(g.memory_maps, 1, 1, g.memory_width))
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, g.width))
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, g.width))
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, g.width))

    @torch.inference_mode()
    def finish(self) -> None:
        """Prepare what follows from the weights; call once they are loaded."""
        g, device, dtype = self.geometry, self.no_obj_ptr.device, self.no_obj_ptr.dtype
        self.table = rotary_table(g.width, g.coarse, device)
        self.feature_positions = sine_positions(g.width, g.coarse, device).to(dtype)
        self.memory_positions = sine_positions(g.memory_width, g.coarse, device).to(dtype)
        self.ages = self.memory_attention.ages(self.maskmem_tpos_enc[:, 0, 0], g.coarse**2, self.table)
        self.grid = self.sam_prompt_encoder.grid(g.coarse)
        empty = torch.full((1, 1), EMPTY, device=device)
        self.nothing = self.sam_prompt_encoder.points(torch.zeros(1, 1, 2, device=device), empty)

    def encode(self, pixels: Tensor) -> Features:
        """(n, 3, 1024, 1024), normalised, in the network's dtype."""
        fine, middle, coarse = self.image_encoder(pixels)
        decoder, tuned = self.sam_mask_decoder, self.sam_mask_decoder_modified
        grounding = (tuned.conv_s1(middle), tuned.conv_s0(fine)) if tuned is not None else None
        return Features(coarse, decoder.conv_s1(middle), decoder.conv_s0(fine), grounding)

    # Decoding

    def decode(
        self,
        features: Features,
        coarse: Tensor,
        sparse: Tensor,
        *,
        dense: Tensor | None = None,
        single: bool = False,
        grounding: bool = False,
    ) -> Masks:
        """Masks of n objects from ``coarse`` (n, width, 64, 64), which memory may have conditioned.

        ``sparse`` (n, prompts, width). ``single``: one mask is asked for, as after several clicks; else the best of
        three by predicted IoU. ``grounding``: by the decoder that was trained to read [SEG].
        """
        decoder, middle, fine = self.sam_mask_decoder, features.middle, features.fine
        if grounding and self.sam_mask_decoder_modified is not None and features.grounding is not None:
            decoder, (middle, fine) = self.sam_mask_decoder_modified, features.grounding
        dense = self.sam_prompt_encoder.mask(None) if dense is None else dense
        found = decoder(coarse, middle, fine, self.grid, sparse, dense)
        rows = torch.arange(len(coarse), device=coarse.device)
        best = 1 + found.iou[:, 1:].argmax(dim=1)
        shown = torch.where(stable(found.masks[:, 0]), 0, best) if single else best
        token = found.tokens[:, 0] if single else found.tokens[rows, best]
        visible = (found.presence > 0).to(token.dtype)[:, None]
        pointer = visible * self.obj_ptr_proj(token) + (1 - visible) * self.no_obj_ptr
        return Masks(found.masks[rows, shown], found.presence, found.iou[rows, shown], pointer)

    def no_prompt(self, n: int) -> Tensor:
        """The prompt tokens of a tracked frame, (n, 2, width)."""
        return self.nothing.expand(n, -1, -1)

    def without_memory(self, features: Features) -> Tensor:
        """Coarse features of frames that no memory conditions, (n, width, 64, 64)."""
        return features.coarse + self.no_mem_embed[0, :, :, None, None]

    def ground(
        self,
        features: Features,
        embeddings: Tensor,
        clicks: tuple[Tensor, Tensor] | None = None,
        logits: Tensor | None = None,
    ) -> Masks:
        """Masks of one picture (or one each of n) from [SEG] embeddings (n, width), from clicks, or from both, without
        memory.

        ``clicks``: positions float32 (n, points, 2) in 0..1 and labels int (n, points). An embedding of width 0 columns
        (n, 0) stands for none. ``logits``: float32 (n, 256, 256), masks known so far, which the network is to refine
        (SAM 2's mask input; it was trained on logits cut to +-KNOWN).
        """
        n = len(embeddings)
        sparse = self.no_prompt(n) if clicks is None else self.sam_prompt_encoder.points(*clicks)
        if embeddings.shape[1]:
            sparse = torch.cat([sparse, embeddings[:, None]], dim=1)
        coarse = self.without_memory(features).expand(n, -1, -1, -1)
        single = clicks is not None and clicks[1].shape[1] > 1
        dense = None if logits is None else self.sam_prompt_encoder.mask(logits[:, None].clamp(-KNOWN, KNOWN))
        return self.decode(features, coarse, sparse, dense=dense, single=single, grounding=embeddings.shape[1] > 0)

    def adopt(self, features: Features, mask: Tensor) -> Masks:
        """Take masks that are given, float32 (n, 1024, 1024) in 0..1, as what was found (SAM 2's mask prompt)."""
        n, full = len(mask), mask[:, None]
        logits = F.interpolate(full * 20.0 - 10.0, size=(self.geometry.fine,) * 2, mode="bilinear", antialias=True)
        dense = self.sam_prompt_encoder.mask(self.mask_downsample(full.to(self.no_obj_ptr.dtype)))
        coarse = features.coarse.expand(n, -1, -1, -1)
        seen = self.decode(features, coarse, self.no_prompt(n), dense=dense, single=True)
        visible = mask.flatten(1).amax(dim=1) > 0
        there = visible.to(seen.pointer.dtype)[:, None]
        pointer = there * seen.pointer + (1 - there) * self.no_obj_ptr
        presence = torch.where(visible, 10.0, -10.0)
        return Masks(logits[:, 0], presence, torch.ones_like(presence), pointer)

    # Memory

    def remember(self, features: Features, logits: Tensor) -> Maps:
        """Memory maps of masks: logits (n, 256, 256).

        They are bfloat16 at any precision of the network: that is what it was trained with.
        """
        g, dtype = self.geometry, self.no_obj_ptr.dtype
        full = F.interpolate(logits[:, None], size=(g.image, g.image), mode="bilinear")
        maps = self.memory_encoder(features.coarse, (full.sigmoid() * 20.0 - 10.0).to(dtype))
        return self.recall(maps.flatten(2).transpose(1, 2).bfloat16())

    def recall(self, tokens: Tensor) -> Maps:
        """Memory maps from their tokens alone, bfloat16 (n, 4096, memory width)."""
        return self.memory_attention.project(tokens, self.memory_positions, self.table)

    def attend(self, features: Features, maps: Sequence[Maps], slots: Sequence[int], pointers: Tensor) -> Tensor:
        """Coarse features of one picture conditioned on memory, for n objects: (n, width, 64, 64).

        ``slots``: the age of each of ``maps`` (0: the frame before ... 6: conditioning). ``pointers``: (n, pointers,
        width).
        """
        g = self.geometry
        tokens = pointers.unflatten(2, (-1, g.memory_width)).flatten(1, 2)
        x = features.coarse.flatten(2).transpose(1, 2) + 0.1 * self.feature_positions
        ages = [[layer[slot] for slot in slots] for layer in self.ages]
        x = self.memory_attention(x.expand(len(pointers), -1, -1), maps, ages, tokens, self.table)
        return x.transpose(1, 2).unflatten(2, (g.coarse, g.coarse))

    def follow(
        self,
        features: Features,
        maps: Sequence[Maps],
        slots: Sequence[int],
        pointers: Tensor,
        hide: bool,
    ) -> tuple[Masks, Maps]:
        """One tracked frame: attend, decode, remember. ``hide``: gate the masks by presence first."""
        found = self.decode(features, self.attend(features, maps, slots, pointers), self.no_prompt(len(pointers)))
        found = found.hidden_where_absent() if hide else found
        return found, self.remember(features, found.logits)


def stable(logits: Tensor, delta: float = 0.05, least: float = 0.98) -> Tensor:
    """Whether masks (n, h, w) hardly change when their threshold moves by ``delta``: bool (n,)."""
    inner, outer = (logits > delta).sum((1, 2)), (logits > -delta).sum((1, 2))
    return (outer == 0) | (inner >= least * outer)


def soft_iou(a: Tensor, b: Tensor) -> Tensor:
    """Overlap of two masks each of n objects, logits (n, h, w), by their probabilities: (n,)."""
    p, q = a.sigmoid().flatten(1), b.sigmoid().flatten(1)
    return torch.minimum(p, q).sum(1) / torch.maximum(p, q).sum(1).clamp(min=1e-6)
