"""The image encoder: a Hiera trunk (Ryali et al. 2023, arXiv 2306.00989) and a feature pyramid neck."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .geometry import Geometry
from .layers import MLP


class Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=7, stride=4, padding=3)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.proj(pixels).permute(0, 2, 3, 1)


class BlockAttention(nn.Module):
    """Self-attention within windows; ``pool`` halves the queries' grid, and with it the output's."""

    def __init__(self, width: int, out: int, heads: int, pool: bool) -> None:
        super().__init__()
        self.heads, self.pool = heads, pool
        self.qkv = nn.Linear(width, 3 * out)
        self.proj = nn.Linear(out, out)

    def forward(self, x: Tensor) -> Tensor:
        """(windows, height, width, channels) -> the same, or half as high and wide."""
        n, h, w, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        if self.pool:
            q, h, w = halve(q), h // 2, w // 2
        q, k, v = (t.reshape(n, -1, self.heads, t.shape[-1] // self.heads).transpose(1, 2) for t in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(n, h, w, -1))


class Block(nn.Module):
    """``window`` 0: attention over the whole picture."""

    def __init__(self, width: int, out: int, heads: int, window: int, pool: bool) -> None:
        super().__init__()
        self.window, self.pool = window, pool
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = BlockAttention(width, out, heads, pool)
        self.norm2 = nn.LayerNorm(out, eps=1e-6)
        self.mlp = MLP([out, 4 * out, out], nn.GELU)
        if width != out:
            self.proj = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        shortcut, x = x, self.norm1(x)
        if self.pool:
            shortcut = halve(self.proj(x))
        h, w = shortcut.shape[1:3]
        if self.window:
            n, side = len(x), self.window // 2 if self.pool else self.window
            x = self.attn(split_windows(x, self.window))
            x = join_windows(x, n, side, h, w)
        else:
            x = self.attn(x)
        x = shortcut + x
        return x + self.mlp(self.norm2(x))


class Hiera(nn.Module):
    """The trunk: four stages of attention in windows, each at half the size and twice the width of the one before."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.ends = [sum(g.stages[: i + 1]) - 1 for i in range(len(g.stages))]
        self.patch_embed = Patches(g.embed)
        self.pos_embed = nn.Parameter(torch.zeros(1, g.embed, g.position_grid, g.position_grid))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, g.embed, g.layout.windows[0], g.layout.windows[0]))
        self.blocks = nn.ModuleList()
        width, heads = g.embed, g.layout.heads
        for stage, count in enumerate(g.stages):
            for i in range(count):
                index, first = len(self.blocks), stage > 0 and i == 0
                out = 2 * width if first else width
                heads = 2 * heads if first else heads
                # The block that enters a stage still works in windows of the stage before.
                window = g.layout.windows[stage - 1 if first else stage]
                self.blocks.append(
                    Block(width, out, heads, 0 if index in g.layout.global_blocks else window, pool=first)
                )
                width = out

    def positions(self, h: int, w: int) -> Tensor:
        """Of ``h`` by ``w`` patches: a coarse map made larger plus one of a window, repeated; (1, h, w, width)."""
        tile = self.pos_embed_window.shape[-1]
        spread = F.interpolate(self.pos_embed.float(), size=(h, w), mode="bicubic").to(self.pos_embed.dtype)
        return (spread + self.pos_embed_window.tile(1, 1, h // tile, w // tile)).permute(0, 2, 3, 1)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(n, 3, 1024, 1024) -> features of the four stages, fine to coarse, (n, channels, side, side)."""
        x = self.patch_embed(pixels)
        x = x + self.positions(*x.shape[1:3])
        out = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.ends:
                out.append(x.permute(0, 3, 1, 2))
        return out


class Lateral(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Neck(nn.Module):
    """Brings three stages to one width; the coarse one also hears the coarsest stage, which is then dropped."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Lateral(g.embed * 2**i, g.width) for i in reversed(range(4)))

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        coarsest, coarse, middle, fine = (conv(x) for conv, x in zip(self.convs, reversed(stages), strict=True))
        coarse = coarse + F.interpolate(coarsest.float(), scale_factor=2.0, mode="nearest").to(coarse.dtype)
        return [fine, middle, coarse]


class ImageEncoder(nn.Module):
    """(n, 3, 1024, 1024) normalised pixels -> features at strides 4, 8 and 16, (n, width, side, side)."""

    def __init__(self, g: Geometry) -> None:
        super().__init__()
        self.trunk = Hiera(g)
        self.neck = Neck(g)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return self.neck(self.trunk(pixels))


def halve(x: Tensor) -> Tensor:
    """2x2 max pooling of (n, height, width, channels)."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def split_windows(x: Tensor, side: int) -> Tensor:
    """(n, h, w, c) -> (n * windows, side, side, c), with zeros beyond the right and lower edges."""
    _, h, w, c = x.shape
    x = F.pad(x, (0, 0, 0, -w % side, 0, -h % side)) if w % side or h % side else x
    x = x.unflatten(2, (-1, side)).unflatten(1, (-1, side))
    return x.transpose(2, 3).reshape(-1, side, side, c)


def join_windows(x: Tensor, n: int, side: int, h: int, w: int) -> Tensor:
    """Back from :func:`split_windows` to (n, h, w, c)."""
    rows, columns = -(-h // side), -(-w // side)
    x = x.reshape(n, rows, columns, side, side, -1).transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return x[:, :h, :w]
