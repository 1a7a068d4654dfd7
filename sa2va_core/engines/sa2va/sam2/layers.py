"""Small parts that several SAM 2 modules share."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with an activation between them."""

    def __init__(self, sizes: list[int], activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activation = activation()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of (batch, channels, height, width)."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Multi-head attention; ``key_width`` is the width of keys and values where it differs from the queries'."""

    def __init__(self, width: int, heads: int, inner: int | None = None, key_width: int | None = None) -> None:
        super().__init__()
        inner, key_width = inner or width, key_width or width
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(key_width, inner)
        self.v_proj = nn.Linear(key_width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(batch, tokens, width) each -> (batch, query tokens, width)."""
        return self.attend(self.q_proj(q), self.k_proj(k), self.v_proj(v))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The part after the projections."""
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(out.transpose(1, 2).flatten(2))


def rotary_table(width: int, side: int, device: torch.device, theta: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosines and sines of axial rotary encoding (Heo et al. 2024, arXiv 2403.13298) on a square grid.

    float32 (side * side, width / 2) each: the first half of the pairs turns with x, the second with y.
    """
    rates = theta ** -(torch.arange(0, width, 4, device=device, dtype=torch.float32) / width)
    at = torch.arange(side * side, device=device)
    angles = torch.cat([torch.outer(p.float(), rates) for p in (at % side, at // side)], dim=1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the channel pairs (2i, 2i+1) of (..., n * grid, width) by ``table``, repeated n times."""
    cos, sin = table
    pairs = x.float().reshape(*x.shape[:-2], -1, len(cos), cos.shape[1], 2)
    a, b = pairs.unbind(-1)
    turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1)
    return turned.reshape(x.shape).to(x.dtype)


def sine_positions(width: int, side: int, device: torch.device) -> Tensor:
    """Sine encoding of a square grid, float32 (side * side, width): rows in the first half, columns in the second."""
    at = torch.arange(1, side + 1, device=device, dtype=torch.float32) / (side + 1e-6) * 2 * math.pi
    rates = 10000.0 ** (2 * (torch.arange(width // 2, device=device) // 2).float() / (width // 2))
    angles = at[:, None] / rates
    line = torch.stack([angles[:, 0::2].sin(), angles[:, 1::2].cos()], dim=2).flatten(1)
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=2).reshape(side * side, width)
