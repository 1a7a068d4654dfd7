"""Prompts in, masks out: SAM 2's prompt encoder and mask decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .geometry import Geometry
from .layers import MLP, Attention, LayerNorm2d

#: Labels of point prompts, as the network was trained with.
EMPTY, NEGATIVE, POSITIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3


class FourierPositions(nn.Module):
    """Positions as sines and cosines of random directions (Tancik et al. 2020, arXiv 2006.10739)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, width // 2))

    def forward(self, xy: Tensor) -> Tensor:
        """Positions in 0..1, (..., 2) float32 -> (..., width) float32."""
        angles = 2 * math.pi * ((2 * xy - 1) @ self.get_buffer("positional_encoding_gaussian_matrix").float())
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class PromptEncoder(nn.Module):
    """Points, boxes and masks as what the decoder reads: sparse tokens and a dense map."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        c = g.mask_channels
        self.pe_layer = FourierPositions(g.width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, g.width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, g.width)
        self.no_mask_embed = nn.Embedding(1, g.width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, c // 4, 2, stride=2),
            LayerNorm2d(c // 4),
            nn.GELU(),
            nn.Conv2d(c // 4, c, 2, stride=2),
            LayerNorm2d(c),
            nn.GELU(),
            nn.Conv2d(c, g.width, kernel_size=1),
        )

    def points(self, xy: Tensor, labels: Tensor) -> Tensor:
        """Tokens of points and box corners, with the empty point that the network expects at their end.

        ``xy``: float32 (n, points, 2) in 0..1 of the picture; ``labels``: int (n, points).
        """
        xy, labels = F.pad(xy, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=EMPTY)
        tokens = self.pe_layer(xy).to(self.no_mask_embed.weight.dtype)
        kinds = torch.cat([self.not_a_point_embed.weight, *self.point_embeddings.parameters()])
        tokens = tokens * (labels != EMPTY).unsqueeze(-1)
        return tokens + kinds[labels + 1]

    def mask(self, mask: Tensor | None) -> Tensor:
        """Dense prompt (n, width, 64, 64), or (1, width, 1, 1) for no mask; ``mask`` (n, 1, 256, 256)."""
        if mask is None:
            return self.no_mask_embed.weight[:, :, None, None]
        return self.mask_downscaling(mask.to(self.no_mask_embed.weight.dtype))

    def grid(self, side: int) -> Tensor:
        """Encoding of the coarse grid's pixel centres, (1, grid, width)."""
        at = (torch.arange(side, device=self.no_mask_embed.weight.device) + 0.5) / side
        xy = torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1).reshape(1, -1, 2)
        return self.pe_layer(xy).to(self.no_mask_embed.weight.dtype)


class TwoWayBlock(nn.Module):
    """Tokens (n, prompts, width) attend to themselves and the image (n, grid, width), then the image to them."""

    def __init__(self, g: Geometry, heads: int, first: bool) -> None:
        super().__init__()
        half = g.width // 2
        self.first = first
        self.self_attn = Attention(g.width, heads)
        self.norm1 = nn.LayerNorm(g.width)
        self.cross_attn_token_to_image = Attention(g.width, heads, inner=half)
        self.norm2 = nn.LayerNorm(g.width)
        self.mlp = MLP([g.width, g.decoder_feedforward, g.width])
        self.norm3 = nn.LayerNorm(g.width)
        self.norm4 = nn.LayerNorm(g.width)
        self.cross_attn_image_to_token = Attention(g.width, heads, inner=half)

    def forward(self, tokens: Tensor, image: Tensor, token_pos: Tensor, image_pos: Tensor) -> tuple[Tensor, Tensor]:
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            q = tokens + token_pos
            tokens = tokens + self.self_attn(q, q, tokens)
        tokens = self.norm1(tokens)
        k = image + image_pos
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + token_pos, k, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(k, tokens + token_pos, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    def __init__(self, g: Geometry, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(g, heads, first=i == 0) for i in range(g.decoder_layers))
        self.final_attn_token_to_image = Attention(g.width, heads, inner=g.width // 2)
        self.norm_final_attn = nn.LayerNorm(g.width)

    def forward(self, prompts: Tensor, image: Tensor, image_pos: Tensor) -> tuple[Tensor, Tensor]:
        tokens = prompts
        for layer in self.layers:
            tokens, image = layer(tokens, image, prompts, image_pos)
        tokens = tokens + self.final_attn_token_to_image(tokens + prompts, image + image_pos, image)
        return self.norm_final_attn(tokens), image


@dataclass(frozen=True)
class Candidates:
    """What the decoder says of n objects: candidate 0 is the single mask, 1 to 3 the alternatives.

    ``masks``: float32 logits (n, 4, 256, 256); ``iou``: predicted IoU in 0..1, float32 (n, 4); ``presence``: logit
    that the object is visible, float32 (n,); ``tokens``: (n, 4, width).
    """

    masks: Tensor
    iou: Tensor
    presence: Tensor
    tokens: Tensor


class MaskDecoder(nn.Module):
    """Prompts and one picture's features to masks, with how good they are and whether the object is there."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        w, masks = g.width, 4
        self.transformer = TwoWayTransformer(g, heads=8)
        self.iou_token = nn.Embedding(1, w)
        self.mask_tokens = nn.Embedding(masks, w)
        self.obj_score_token = nn.Embedding(1, w)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(w, w // 4, 2, stride=2),
            LayerNorm2d(w // 4),
            nn.GELU(),
            nn.ConvTranspose2d(w // 4, w // 8, 2, stride=2),
            nn.GELU(),
        )
        self.conv_s0 = nn.Conv2d(w, w // 8, kernel_size=1)
        self.conv_s1 = nn.Conv2d(w, w // 4, kernel_size=1)
        self.output_hypernetworks_mlps = nn.ModuleList(MLP([w, w, w, w // 8]) for _ in range(masks))
        self.iou_prediction_head = MLP([w, g.iou_hidden, g.iou_hidden, masks])
        self.pred_obj_score_head = MLP([w, w, w, 1])

    def forward(
        self, coarse: Tensor, middle: Tensor, fine: Tensor, grid: Tensor, sparse: Tensor, dense: Tensor
    ) -> Candidates:
        """Masks of n objects of one picture, or of one object each in n pictures.

        ``coarse`` (n, width, 64, 64), ``middle`` and ``fine`` (n or 1, ...) as conv_s1 and conv_s0 gave them, ``grid``
        (1, 4096, width), ``sparse`` (n, prompts, width), ``dense`` as :meth:`PromptEncoder.mask` gives it.
        """
        n, side = len(coarse), coarse.shape[-1]
        own = torch.cat([self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight])
        prompts = torch.cat([own.expand(n, -1, -1), sparse], dim=1)
        image = (coarse + dense).flatten(2).transpose(1, 2)
        tokens, image = self.transformer(prompts, image, grid)
        presence, iou, mask_tokens = tokens[:, 0], tokens[:, 1], tokens[:, 2:6]
        up = self.output_upscaling
        x = up[0](image.transpose(1, 2).unflatten(2, (side, side)))
        x = up[2](up[1](x + middle))
        x = up[4](up[3](x) + fine)
        kernels = torch.stack([mlp(mask_tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1)
        masks = (kernels @ x.flatten(2)).unflatten(2, x.shape[-2:])
        return Candidates(
            masks.float(),
            self.iou_prediction_head(iou).float().sigmoid(),
            self.pred_obj_score_head(presence).float()[:, 0],
            mask_tokens,
        )
