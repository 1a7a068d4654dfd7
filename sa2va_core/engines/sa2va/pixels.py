"""Frames on their way to SAM 2: from uint8 on the host to normalised squares on the device, several at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

RGB = NDArray[np.uint8]

#: ImageNet statistics as the weights saw them: rounded to bfloat16 in training, at any later precision.
MEAN = torch.tensor([0.485, 0.456, 0.406]).bfloat16().float()
STD = torch.tensor([0.229, 0.224, 0.225]).bfloat16().float()


class Pixels:
    """Makes SAM 2's input. Pictures are squeezed to squares of ``side`` (1024), as in training.

    On the CPU by Pillow, to the bit; on other devices by two matrix products with the same filter, which differ from
    Pillow by at most one of 255 levels and cost the host nothing but a copy.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, side: int) -> None:
        self.device, self.dtype, self.side = device, dtype, side
        self._mean, self._std = (v[:, None, None].to(device) for v in (MEAN, STD))
        self._filters: dict[int, Tensor] = {}
        self._upload = _PinnedUpload(device) if device.type == "cuda" else None

    def __call__(self, pictures: Sequence[RGB]) -> Tensor:
        """uint8 (height, width, 3) each, all of one size -> (n, 3, 1024, 1024) in the network's dtype."""
        if self.device.type == "cpu":
            side = (self.side, self.side)
            small = np.stack([np.asarray(Image.fromarray(p).resize(side)) for p in pictures])
            pixels = torch.from_numpy(small).permute(0, 3, 1, 2).contiguous().float()
        else:
            whole = self._upload(pictures) if self._upload else torch.from_numpy(np.stack(pictures)).to(self.device)
            pixels = self._resize(whole)
        return ((pixels / 255.0 - self._mean) / self._std).to(self.dtype)

    def _resize(self, pictures: Tensor) -> Tensor:
        dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        height, width = pictures.shape[1:3]
        x = pictures.permute(0, 3, 1, 2).to(dtype)
        # Like Pillow: columns first, and whole levels in between.
        x = _levels(x @ self._filter(width, dtype).T)
        return _levels(self._filter(height, dtype) @ x).float()

    def _filter(self, size: int, dtype: torch.dtype) -> Tensor:
        if size not in self._filters:
            self._filters[size] = bicubic_matrix(size, self.side).to(self.device, dtype)
        return self._filters[size]


def _levels(x: Tensor) -> Tensor:
    """Whole levels, halves rounded up as Pillow does."""
    return (x + 0.5).floor().clamp(0, 255)


def bicubic_matrix(size: int, out: int) -> Tensor:
    """Pillow's bicubic filter (a = -0.5, widened when it shrinks) from ``size`` to ``out`` samples, (out, size)."""
    scale = size / out
    widen = max(scale, 1.0)
    matrix = np.zeros((out, size))
    for i in range(out):
        centre = (i + 0.5) * scale
        first = max(int(centre - 2 * widen + 0.5), 0)
        last = min(int(centre + 2 * widen + 0.5), size)
        x = np.abs((np.arange(first, last) + 0.5 - centre) / widen)
        near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
        matrix[i, first:last] = weights / math.fsum(weights)
    return torch.from_numpy(matrix).float()


class _PinnedUpload:
    """Copies to a CUDA device through page-locked memory on a stream of their own, two batches in flight."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._slots: list[tuple[Tensor, torch.cuda.Event]] = []
        self._turn = 0

    def __call__(self, pictures: Sequence[RGB]) -> Tensor:
        shape = (len(pictures), *pictures[0].shape)
        if not self._slots or self._slots[0][0].shape[1:] != shape[1:] or len(self._slots[0][0]) < shape[0]:
            self._slots = [
                (torch.empty(shape, dtype=torch.uint8, pin_memory=True), torch.cuda.Event()) for _ in range(2)
            ]
        self._turn = 1 - self._turn
        host, copied = self._slots[self._turn]
        copied.synchronize()
        for place, picture in zip(host, pictures, strict=False):
            place.copy_(torch.from_numpy(picture))
        with torch.cuda.stream(self._stream):
            there = host[: len(pictures)].to(self._device, non_blocking=True)
            copied.record(self._stream)
        current = torch.cuda.current_stream(self._device)
        current.wait_event(copied)
        there.record_stream(current)
        return there
