"""Memory: attention of a frame to what earlier frames remembered, and the encoder that makes those memories."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .geometry import Geometry
from .layers import Attention, LayerNorm2d, rotate

Table = tuple[Tensor, Tensor]


class MemoryAttentionLayer(nn.Module):
    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.self_attn = Attention(g.width, heads=1)
        self.cross_attn_image = Attention(g.width, heads=1, key_width=g.memory_width)
        self.linear1 = nn.Linear(g.width, g.memory_feedforward)
        self.linear2 = nn.Linear(g.memory_feedforward, g.width)
        self.norm1 = nn.LayerNorm(g.width)
        self.norm2 = nn.LayerNorm(g.width)
        self.norm3 = nn.LayerNorm(g.width)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, turning: int, table: Table) -> Tensor:
        y, attn = self.norm1(x), self.self_attn
        x = x + attn.attend(rotate(attn.q_proj(y), table), rotate(attn.k_proj(y), table), attn.v_proj(y))
        y, attn = self.norm2(x), self.cross_attn_image
        k = attn.k_proj(keys)
        # Maps turn with their place in the picture; object pointers have no place.
        k = torch.cat([rotate(k[:, :turning], table), k[:, turning:]], dim=1)
        x = x + attn.attend(rotate(attn.q_proj(y), table), k, attn.v_proj(values))
        return x + self.linear2(F.relu(self.linear1(self.norm3(x))))


class MemoryAttention(nn.Module):
    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryAttentionLayer(g) for _ in range(g.memory_layers))
        self.norm = nn.LayerNorm(g.width)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, turning: int, table: Table) -> Tensor:
        """``x`` (objects, grid, width); ``keys`` and ``values`` (objects, tokens, memory width), of which the first
        ``turning`` come from maps."""
        for layer in self.layers:
            x = layer(x, keys, values, turning, table)
        return self.norm(x)


class MaskDownSampler(nn.Module):
    """Mask at picture scale (n, 1, 1024, 1024) -> (n, width, 64, 64)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential()
        for i in range(4):
            a, b = 4**i, 4 ** (i + 1)
            self.encoder.extend([nn.Conv2d(a, b, 3, stride=2, padding=1), LayerNorm2d(b), nn.GELU()])
        self.encoder.append(nn.Conv2d(256, width, kernel_size=1))

    def forward(self, mask: Tensor) -> Tensor:
        return self.encoder(mask)


class FuserBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022, arXiv 2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = LayerNorm2d(width)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)
        self.g_weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        y = self.g_weight * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class Fuser(nn.Module):
    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FuserBlock(g.width) for _ in range(g.fuser_layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownSampler(g.width)
        self.pix_feat_proj = nn.Conv2d(g.width, g.width, kernel_size=1)
        self.fuser = Fuser(g)
        self.out_proj = nn.Conv2d(g.width, g.memory_width, kernel_size=1)

    def forward(self, coarse: Tensor, mask: Tensor) -> Tensor:
        """``coarse`` (1 or n, width, 64, 64), ``mask`` (n, 1, 1024, 1024) -> (n, memory width, 64, 64)."""
        return self.out_proj(self.fuser(self.pix_feat_proj(coarse) + self.mask_downsampler(mask)))
