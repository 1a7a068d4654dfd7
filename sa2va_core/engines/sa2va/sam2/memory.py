"""Memory: attention of a frame to what earlier frames remembered, and the encoder that makes those memories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .geometry import Geometry
from .layers import Attention, LayerNorm2d, rotate

Table = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Maps:
    """What n objects left behind on one frame each: ``tokens`` (n, grid, memory width) bfloat16, and what the memory
    attention makes of them, (n, grid, width) a layer: ``keys``, still without the offset of their age, and ``values``.

    Every later frame attends to the same keys and values, so they are projected and turned once.
    """

    tokens: Tensor
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def __getitem__(self, rows: slice | Tensor) -> Maps:
        return self._each(lambda t: t[rows])

    @staticmethod
    def cat(parts: Sequence[Maps]) -> Maps:
        layers = range(len(parts[0].keys))
        return Maps(
            torch.cat([p.tokens for p in parts]),
            tuple(torch.cat([p.keys[i] for p in parts]) for i in layers),
            tuple(torch.cat([p.values[i] for p in parts]) for i in layers),
        )

    @property
    def tensors(self) -> list[Tensor]:
        return [self.tokens, *self.keys, *self.values]

    @staticmethod
    def of(tensors: Sequence[Tensor]) -> Maps:
        """The inverse of :attr:`tensors`."""
        layers = len(tensors) // 2
        return Maps(tensors[0], tuple(tensors[1 : 1 + layers]), tuple(tensors[1 + layers :]))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Maps:
        return Maps(change(self.tokens), tuple(map(change, self.keys)), tuple(map(change, self.values)))


class MemoryAttentionLayer(nn.Module):
    """A frame attends to itself, then to the memory, whose keys and values come projected."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.self_attn = Attention(g.width, heads=1)
        self.cross_attn_image = Attention(g.width, heads=1, key_width=g.memory_width)
        self.linear1 = nn.Linear(g.width, g.memory_feedforward)
        self.linear2 = nn.Linear(g.memory_feedforward, g.width)
        self.norm1 = nn.LayerNorm(g.width)
        self.norm2 = nn.LayerNorm(g.width)
        self.norm3 = nn.LayerNorm(g.width)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, table: Table) -> Tensor:
        """``keys`` and ``values`` (objects, tokens, width): projected, and turned where they have a place."""
        y, attn = self.norm1(x), self.self_attn
        x = x + attn.attend(rotate(attn.q_proj(y), table), rotate(attn.k_proj(y), table), attn.v_proj(y))
        y, attn = self.norm2(x), self.cross_attn_image
        x = x + attn.attend(rotate(attn.q_proj(y), table), keys, values)
        return x + self.linear2(F.relu(self.linear1(self.norm3(x))))


class MemoryAttention(nn.Module):
    """A frame's features conditioned on what earlier frames left behind."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemoryAttentionLayer(g) for _ in range(g.memory_layers))
        self.norm = nn.LayerNorm(g.width)

    def project(self, tokens: Tensor, places: Tensor, table: Table) -> Maps:
        """Memory maps as this module reads them. ``places``: (grid, memory width), added to the keys' side alone."""
        own = tokens.to(places.dtype)
        attns = [self._cross(i) for i in range(len(self.layers))]
        keys = tuple(rotate(a.k_proj(own + places), table) for a in attns)
        return Maps(tokens, keys, tuple(a.v_proj(own) for a in attns))

    def ages(self, times: Tensor, grid: int, table: Table) -> list[Tensor]:
        """What the age of a map adds to its keys, a layer: (ages, grid, width) for ``times`` (ages, memory width)."""
        # The projection is linear and the turn as well, so place and age can be added after them, one by one.
        turned = []
        for i in range(len(self.layers)):
            shift = F.linear(times, self._cross(i).k_proj.weight)
            turned.append(rotate(shift[:, None].expand(-1, grid, -1), table))
        return turned

    def forward(
        self, x: Tensor, maps: Sequence[Maps], ages: Sequence[Sequence[Tensor]], pointers: Tensor, table: Table
    ) -> Tensor:
        """``x`` (objects, grid, width). ``ages``: for each layer what is added to each map's keys. ``pointers``
        (objects, tokens, memory width), which have no place and no age."""
        for i, layer in enumerate(self.layers):
            attn = self._cross(i)
            own_keys, own_values = attn.k_proj(pointers), attn.v_proj(pointers)
            values = torch.cat([*(m.values[i] for m in maps), own_values], dim=1)
            keys = torch.empty_like(values)
            grid = x.shape[1]
            for n, (m, age) in enumerate(zip(maps, ages[i], strict=True)):
                torch.add(m.keys[i], age, out=keys[:, n * grid : (n + 1) * grid])
            keys[:, len(maps) * grid :] = own_keys
            x = layer(x, keys, values, table)
        return self.norm(x)

    def _cross(self, layer: int) -> Attention:
        attn = self.layers[layer].cross_attn_image
        assert isinstance(attn, Attention)
        return attn


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
    """A frame's features and its mask, fused into what later frames remember."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownSampler(g.width)
        self.pix_feat_proj = nn.Conv2d(g.width, g.width, kernel_size=1)
        self.fuser = Fuser(g)
        self.out_proj = nn.Conv2d(g.width, g.memory_width, kernel_size=1)

    def forward(self, coarse: Tensor, mask: Tensor) -> Tensor:
        """``coarse`` (1 or n, width, 64, 64), ``mask`` (n, 1, 1024, 1024) -> (n, memory width, 64, 64)."""
        return self.out_proj(self.fuser(self.pix_feat_proj(coarse) + self.mask_downsampler(mask)))
