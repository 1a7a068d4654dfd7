"""Where the edge step runs: on the CPU, or on the engine's GPU when it has one. The arithmetic is the same."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from . import edges
from .window import Map


class Device(Protocol):
    """Runs :func:`edges.fit` and :func:`edges.apply`."""

    def run(
        self,
        around: NDArray[np.uint8],
        coarse: Map,
        logits: Map,
        band: Map,
        weight: float,
        inner: tuple[slice, slice],
        cell: int,
    ) -> NDArray[np.float32]:
        """Alpha on the pixels of ``inner``'s cells.

        ``around``: uint8 (h * cell, w * cell, 3), the picture over all cells that are looked at. ``coarse``,
        ``band``: (h, w), and ``weight``: see :mod:`edges`. ``inner``: rows and columns of the cells that are wanted.
        ``logits``: at the pixels of ``inner``.
        """
        ...


def device(name: str) -> Device:
    """The device for an engine that runs on ``name``, such as ``cpu`` or ``cuda:0``."""
    return _on_cuda(name) if name.startswith("cuda") else _Cpu()


@lru_cache
def _on_cuda(name: str) -> Device:
    return TorchDevice(name)


class _Cpu:
    def run(
        self,
        around: NDArray[np.uint8],
        coarse: Map,
        logits: Map,
        band: Map,
        weight: float,
        inner: tuple[slice, slice],
        cell: int,
    ) -> NDArray[np.float32]:
        # As floats: the mean of a cell is finer than 8 bits, and the same as in torch.
        small = cv2.resize(around.astype(np.float32), coarse.shape[::-1], interpolation=cv2.INTER_AREA) / 255.0
        guide = np.ascontiguousarray(small.transpose(2, 0, 1))
        found = edges.fit(np, edges.box, guide, coarse, band, weight)
        return edges.apply(_ringed(found, inner), _pixels(around, inner, cell), logits, weight, cell)


class TorchDevice:
    """The same on a torch device. Needs torch, which an engine that runs there has loaded already."""

    def __init__(self, name: str) -> None:
        import torch

        self._torch, self._name = torch, name

    def run(
        self,
        around: NDArray[np.uint8],
        coarse: Map,
        logits: Map,
        band: Map,
        weight: float,
        inner: tuple[slice, slice],
        cell: int,
    ) -> NDArray[np.float32]:
        torch, functional = self._torch, self._torch.nn.functional
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(around)).to(self._name).permute(2, 0, 1).float() / 255.0
            small = functional.avg_pool2d(pixels[None], cell)[0]
            known, open_to = (torch.from_numpy(plane).to(self._name) for plane in (coarse, band))
            found = edges.fit(torch, self._box, small, known, open_to, weight)
            rows, columns = inner
            padded = functional.pad(found[None], (1, 1, 1, 1), mode="replicate")
            ringed = padded[:, :, rows.start : rows.stop + 2, columns.start : columns.stop + 2]
            large = functional.interpolate(ringed, scale_factor=cell, mode="bilinear", align_corners=False)[0]
            large = large[:, cell:-cell, cell:-cell]
            seen = pixels[:, rows.start * cell : rows.stop * cell, columns.start * cell : columns.stop * cell]
            said = torch.from_numpy(np.ascontiguousarray(logits)).to(self._name) + large[4]
            alpha = (large[:3] * seen).sum(0) + large[3] + large[5] * torch.sigmoid(said)
            return edges.bounded(torch, alpha, said, weight).cpu().numpy()

    def _box(self, planes: Any, reach: int) -> Any:
        pool, size = self._torch.nn.functional.avg_pool2d, 2 * reach + 1
        across = pool(planes[None], (1, size), stride=1, padding=(0, reach))
        return pool(across, (size, 1), stride=1, padding=(reach, 0))[0]


def _ringed(found: NDArray[np.float32], inner: tuple[slice, slice]) -> NDArray[np.float32]:
    """The cells of ``inner`` and one more on each side, repeated where there is none."""
    rows, columns = inner
    padded = np.pad(found, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return np.ascontiguousarray(padded[:, rows.start : rows.stop + 2, columns.start : columns.stop + 2])


def _pixels(around: NDArray[np.uint8], inner: tuple[slice, slice], cell: int) -> NDArray[np.uint8]:
    rows, columns = (slice(part.start * cell, part.stop * cell) for part in inner)
    return around[rows, columns]
