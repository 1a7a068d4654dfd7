"""Pictures for the vision towers, resized by the very rules of training: bit-equal to the official preprocessing.

All of it runs on the CPU: a handful of key frames a shot.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from sa2va_plugin.errors import MediaError
from torch import Tensor

RGB = NDArray[np.uint8]

TILE = 448
MAX_TILES = 12
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: Qwen pictures hold between 512 and 2048 squares of 28 pixels, whatever the patch size.
MIN_PIXELS, MAX_PIXELS = 512 * 28 * 28, 2048 * 28 * 28


def tile_grid(width: int, height: int) -> tuple[int, int]:
    """Columns and rows of InternVL's tiling: the grid of at most 12 tiles nearest in aspect ratio.

    On a tie the larger grid wins if the picture has more than half of its pixels.
    """
    # Built and walked as the official code does: between mirrored grids of one area the order decides.
    grids = {
        (i, j) for n in range(1, MAX_TILES + 1) for i in range(1, n + 1) for j in range(1, n + 1) if i * j <= MAX_TILES
    }
    best, nearest = (1, 1), math.inf
    for i, j in sorted(grids, key=lambda g: g[0] * g[1]):
        distance = abs(width / height - i / j)
        if distance < nearest or (distance == nearest and width * height > 0.5 * TILE * TILE * i * j):
            best, nearest = (i, j), distance
    return best


def tiles(picture: RGB) -> Tensor:
    """A still for InternVL: its tiles row by row and, if there are several, a thumbnail. float32 (n, 3, 448, 448)."""
    image = Image.fromarray(picture)
    columns, rows = tile_grid(*image.size)
    whole = np.asarray(image.resize((columns * TILE, rows * TILE)))
    parts = [whole[y * TILE :, x * TILE :][:TILE, :TILE] for y in range(rows) for x in range(columns)]
    if len(parts) > 1:
        parts.append(np.asarray(image.resize((TILE, TILE))))
    return torch.stack([_imagenet(part) for part in parts])


def squashed(picture: RGB) -> Tensor:
    """A video frame for InternVL, its aspect ratio not kept. float32 (3, 448, 448)."""
    return _imagenet(np.asarray(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.BICUBIC)))


def _imagenet(pixels: RGB) -> Tensor:
    mean, std = (torch.tensor(v)[:, None, None] for v in _IMAGENET)
    return (torch.tensor(pixels).permute(2, 0, 1).float() / 255 - mean) / std


def fit(width: int, height: int, factor: int, least: int, most: int) -> tuple[int, int]:
    """Qwen's "smart resize": sides that are multiples of ``factor``, with an area between ``least`` and ``most``.

    Raises MediaError for a picture more than 200 times as long as wide, which the models refuse.
    """
    if max(width, height) > 200 * min(width, height):
        raise MediaError(
            f"A picture of {width} x {height} pixels is too narrow for this model.", "Crop the plate, or pad it."
        )
    w, h = (max(factor, round(side / factor) * factor) for side in (width, height))
    if w * h > most:
        shrink = math.sqrt(width * height / most)
        w, h = (max(factor, math.floor(side / shrink / factor) * factor) for side in (width, height))
    elif w * h < least:
        grow = math.sqrt(least / (width * height))
        w, h = (math.ceil(side * grow / factor) * factor for side in (width, height))
    return w, h


def qwen_pixels(picture: RGB, factor: int) -> Tensor:
    """A picture for Qwen, uint8 (3, height, width), sides multiples of ``factor`` (patch size times merge size).

    It is resized twice, as in training: to multiples of 28 by one library, then to the final size by another.
    """
    image = Image.fromarray(picture)
    image = image.resize(fit(*image.size, factor=28, least=4 * 28 * 28, most=16384 * 28 * 28))
    width, height = fit(*image.size, factor=factor, least=MIN_PIXELS, most=MAX_PIXELS)
    pixels = torch.tensor(np.asarray(image)).permute(2, 0, 1)
    if (width, height) == image.size:
        return pixels
    return F.interpolate(pixels[None], size=(height, width), mode="bicubic", antialias=True)[0]


def qwen_patches(pixels: Tensor, patch: int, merge: int, mean: list[float], std: list[float]) -> tuple[Tensor, Tensor]:
    """Normalised patches float32 (patches, 2 * 3 * patch * patch) and their grid (1, rows, columns).

    Patches that will be merged into one token follow each other; each stands twice, as two equal moments.
    """
    scale = torch.tensor(255.0)
    m, s = (torch.tensor(v) * scale for v in (mean, std))
    x = (pixels.float() - m[:, None, None]) / s[:, None, None]
    rows, columns = x.shape[1] // patch, x.shape[2] // patch
    x = x.reshape(3, rows // merge, merge, patch, columns // merge, merge, patch)
    x = x.permute(1, 4, 2, 5, 0, 3, 6).unsqueeze(5).expand(-1, -1, -1, -1, -1, 2, -1, -1)
    return x.reshape(rows * columns, -1), torch.tensor([1, rows, columns])
