"""The matte stage's steps in torch, for an engine's GPU.

Launching some hundred small kernels takes the host far longer than they take the device, so most of each step is one
function of tensors of few shapes (windows are rounded up) and is recorded as a CUDA graph. All work goes through one
stream, and all memory that is free between two frames belongs to that stream: threads need no more than a lock around
launching.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sa2va_core.engines.recording import Recording, Work
from sa2va_core.media.frames import Picture

from . import edges, steady
from .cpu import Cpu
from .device import Seen
from .flow import flow
from .logits import SUREST, Patch
from .matte import Matte, Plane
from .window import EMPTY, POINTS, Map, Size, Window, at_plate, cell_size, guide

log = logging.getLogger(__name__)
T = TypeVar("T")

# Shapes of which recordings are kept.
_KEPT = 16
# Weights of BT.601, as OpenCV has them.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114


@dataclass(frozen=True)
class _OnDevice:
    """``pixels``: uint8 (h * cell, w * cell, 3), the plate in whole cells; ``grey``: its grey levels on the lattice
    that flow is found on, float32. Both None where memory had run out."""

    picture: Picture
    pixels: Tensor | None
    grey: Tensor | None


class TorchDevice:
    """Edges and steadiness on the torch device ``name``. What it has no memory for goes through the CPU instead."""

    step = 32

    def __init__(self, name: str) -> None:
        self._device = torch.device(name)
        self._cuda = self._device.type == "cuda"
        self._stream = torch.cuda.Stream(self._device) if self._cuda else None
        self._lock = threading.Lock()
        self._recordings = _Recordings()
        self._cpu = Cpu()

    def hold(self, picture: Picture, size: Size) -> Seen:
        cell, picture = cell_size(size), at_plate(picture, size)
        across, down = (-(-side // cell) for side in size)
        rgb = guide(picture, Window(0, 0, across, down, cell, size))

        def held() -> _OnDevice:
            pixels = self._sent(rgb)
            red, green, blue = pixels.permute(2, 0, 1).float()
            grey = _RED * red + _GREEN * green + _BLUE * blue
            return _OnDevice(picture, pixels, _at_points(grey[None], cell)[0])

        return self._work(held, lambda: _OnDevice(picture, None, None))

    def edges(self, seen: Seen, outer: Window, inner: Window, prior: edges.Prior) -> Plane:
        assert isinstance(seen, _OnDevice)
        lattices = [prior.logits.patches(outer, times) for times in (outer.cell, POINTS)]
        maps = [part.logits for part in prior.logits.parts]
        places = [place for lattice in lattices for patch in lattice for place in patch.places()]

        def found() -> Tensor:
            pixels = _pixels(seen, outer)
            coverage, band, *sent = self._sent_together([prior.coverage, prior.band, *maps, *places])
            planes, at = sent[: len(maps)], iter(sent[len(maps) :])
            logits, points = (_samples(lattice, planes, at) for lattice in lattices)
            work = partial(_edges, prior.weight, outer.cell)
            kind = ("edges", prior.weight, outer.cell)
            alpha = self._recordings(work, [pixels, logits, points, coverage, band], kind)
            return alpha[_within(inner, outer)]

        return self._work(found, lambda: self._cpu.edges(seen, outer, inner, prior))

    def steady(self, now: Matte, seen: Seen, beside: Sequence[tuple[Matte, Seen]]) -> Matte:
        if now.pinned or now.window is None or not beside or not (now.band > steady.OPEN).any():
            return now
        window = now.window
        outer = window.padded(steady.REACH).rounded(self.step)

        def steadied() -> Matte:
            tensors = [
                plane
                for matte, there in ((now, seen), *beside)
                for plane in (_pixels(there, outer), _grey(there, outer), self._alpha(matte, outer))
            ]
            tensors.append(_around(self._tensor(now.band), window, outer))
            alpha = self._recordings(partial(_steady, outer.cell), tensors, ("steady", outer.cell))
            return Matte(window, alpha[_within(window, outer)], now.band)

        def on_cpu() -> Matte:
            others = [(self.fetched(matte), there) for matte, there in beside]
            return self._cpu.steady(self.fetched(now), seen, others)

        return self._work(steadied, on_cpu)

    def fetched(self, matte: Matte) -> Matte:
        if isinstance(matte.alpha, np.ndarray):
            return matte
        with self._turn():
            host = torch.empty(matte.alpha.shape, dtype=torch.float32, pin_memory=self._cuda)
            host.copy_(matte.alpha, non_blocking=True)
            arrived = self._stream.record_event() if self._stream is not None else None
        if arrived is not None:
            arrived.synchronize()
        return Matte(matte.window, host.numpy(), matte.band, matte.pinned)

    def _work(self, on_device: Callable[[], T], on_cpu: Callable[[], T]) -> T:
        try:
            with self._turn():
                return on_device()
        except torch.OutOfMemoryError:
            pass
        with self._lock:
            self._recordings.clear()
            torch.cuda.empty_cache()
        log.warning("Memory ran out on %s; a step of a matte goes through the CPU.", self._device)
        return on_cpu()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._lock, torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else nullcontext():
            yield

    def _sent(self, values: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        # From memory that the device can read by itself.
        return (tensor.pin_memory() if self._cuda else tensor).to(self._device, non_blocking=True)

    def _sent_together(self, arrays: Sequence[Map]) -> list[Tensor]:
        """Of float32, in one piece."""
        flat = torch.empty(sum(array.size for array in arrays), dtype=torch.float32, pin_memory=self._cuda)
        np.concatenate([array.reshape(-1) for array in arrays], out=flat.numpy())
        parts = flat.to(self._device, non_blocking=True).split([array.size for array in arrays])
        return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]

    def _tensor(self, plane: Plane) -> Tensor:
        return plane if isinstance(plane, Tensor) else self._sent(plane)

    def _alpha(self, matte: Matte, outer: Window) -> Tensor:
        """Alpha on the pixels of ``outer``, 0 outside the matte's own window."""
        cell = outer.cell
        result = torch.zeros(
            ((outer.y1 - outer.y0) * cell, (outer.x1 - outer.x0) * cell), dtype=torch.float32, device=self._device
        )
        if matte.window is None:
            return result
        x0, y0, x1, y1 = matte.window.box
        left, top = outer.x0 * cell, outer.y0 * cell
        x2, y2 = max(x0, left), max(y0, top)
        x3, y3 = min(x1, outer.x1 * cell), min(y1, outer.y1 * cell)
        if x2 < x3 and y2 < y3:
            result[y2 - top : y3 - top, x2 - left : x3 - left] = self._tensor(matte.alpha)[
                y2 - y0 : y3 - y0, x2 - x0 : x3 - x0
            ]
        return result


class _Recordings:
    """Runs work as it is, and from the second call of one kind on, on a CUDA device, from a recording."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Recording | None] = OrderedDict()
        self._pool: Any = None

    def __call__(self, work: Work, tensors: Sequence[Tensor], kind: Hashable) -> Tensor:
        if tensors[0].device.type != "cuda":
            return work(tensors)[0]
        kind = (kind, tuple(tensor.shape for tensor in tensors))
        again = kind in self._known
        recording = self._known.pop(kind, None)
        if again and recording is None:
            # Scratch memory is shared: recordings run one after the other, and what they return is copied.
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            recording = Recording(work, tensors, self._pool)
        self._known[kind] = recording
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
            if not any(self._known.values()):
                # Torch gives up a pool that nothing is recorded in.
                self._pool = None
        return (recording or work)(tensors)[0]

    def clear(self) -> None:
        self._known.clear()
        self._pool = None


def _pixels(seen: Seen, window: Window) -> Tensor:
    assert isinstance(seen, _OnDevice)
    return _cut(seen.pixels, window, window.cell)


def _grey(seen: Seen, window: Window) -> Tensor:
    assert isinstance(seen, _OnDevice)
    return _cut(seen.grey, window, POINTS)


def _cut(plane: Tensor | None, window: Window, per_cell: int) -> Tensor:
    if plane is None:
        raise torch.OutOfMemoryError("The picture did not go into memory.")
    return plane[window.y0 * per_cell : window.y1 * per_cell, window.x0 * per_cell : window.x1 * per_cell]


def _within(inner: Window, outer: Window) -> tuple[slice, slice]:
    """``inner``, cut to the plate, as an index into the pixels of ``outer``."""
    x0, y0, x1, y1 = inner.box
    left, top = outer.x0 * outer.cell, outer.y0 * outer.cell
    return slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)


def _around(plane: Tensor, inner: Window, outer: Window) -> Tensor:
    """A plane of ``inner``'s cells, its border repeated outwards over ``outer``."""
    pad = (inner.x0 - outer.x0, outer.x1 - inner.x1, inner.y0 - outer.y0, outer.y1 - inner.y1)
    return functional.pad(plane[None, None], pad, mode="replicate")[0, 0]


def _samples(patches: Sequence[Patch], maps: Sequence[Tensor], places: Iterator[Tensor]) -> Tensor:
    """:meth:`Logits.samples`. ``places``: of rows and of columns, patch by patch."""
    first, *others = (_bilinear(plane, next(places), next(places)) for plane in maps)
    for patch, samples in zip(patches[1:], others, strict=True):
        first[patch.into] = samples
    return first.clamp_(-SUREST, SUREST)


def _bilinear(plane: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    for axis, places in ((1, columns), (0, rows)):
        low = places.long()
        high = (low + 1).clamp_(max=plane.shape[axis] - 1)
        share = (places - low).unsqueeze(1 - axis)
        plane = torch.lerp(plane.index_select(axis, low), plane.index_select(axis, high), share)
    return plane


class _Everywhere:
    """:class:`edges.Cells` in torch: all of them, for recordings know no lists of varying length."""

    def near(self, planes: Tensor) -> Tensor:
        return planes

    def whole(self, values: Tensor, elsewhere: Tensor | float) -> Tensor:
        return values

    def box(self, values: Tensor, reach: int, times: int = 1) -> Tensor:
        size = 2 * reach + 1
        for _ in range(times):
            values = functional.avg_pool2d(values, (1, size), stride=1, padding=(0, reach))
            values = functional.avg_pool2d(values, (size, 1), stride=1, padding=(reach, 0))
        return values

    def sums(self, terms: Sequence[Tensor], samples: Tensor, reach: int, of_points: bool = False) -> Tensor:
        products = torch.stack([*terms])[:, None] * samples
        return self.box(functional.avg_pool2d(products, POINTS) if of_points else products, reach, 2)

    def means(self, points: Tensor) -> Tensor:
        return functional.avg_pool2d(points, POINTS)

    def points(self, values: Tensor) -> Tensor:
        return _enlarged(values, POINTS)


def _edges(weight: float, cell: int, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Alpha over all cells of: pixels, their logits, those of points, coverage, band."""
    given, logits, points, coverage, band = tensors
    pixels = (given.permute(2, 0, 1).float() / 255.0) ** edges.LIGHT
    found = edges.fit(torch, _Everywhere(), _at_points(pixels, cell), points, coverage, band, weight)
    alpha = edges.at(torch, _enlarged(found, cell), pixels, logits, weight)
    return [torch.where(alpha < EMPTY, 0.0, alpha)]


def _at_points(pixels: Tensor, cell: int) -> Tensor:
    """Planes of pixels averaged over points."""
    if cell % POINTS:
        return functional.avg_pool2d(pixels.repeat_interleave(POINTS, 1).repeat_interleave(POINTS, 2), cell)
    return functional.avg_pool2d(pixels, cell // POINTS)


def _enlarged(planes: Tensor, times: int) -> Tensor:
    size = [times * side for side in planes.shape[1:]]
    return functional.interpolate(planes[None], size, mode="bilinear", align_corners=False)[0]


def _steady(cell: int, tensors: Sequence[Tensor]) -> list[Tensor]:
    """What :mod:`steady` does, for every pixel of: pixels, grey, alpha, the same three of each neighbour, band."""
    *planes, band = tensors
    here, own = planes[0].permute(2, 0, 1).float(), planes[2]
    there = torch.stack(planes[3::3]).permute(0, 3, 1, 2).float()
    size = own.shape
    moved = flow(planes[1], torch.stack(planes[4::3]))
    moved = functional.interpolate(moved, size, mode="bilinear", align_corners=False) * (cell / POINTS)
    # As grid_sample wants them: -1 and 1 are the outer borders of the first and the last pixel.
    at = [
        (torch.arange(side, device=own.device).view(shape) + 0.5 + moved[:, i]) * (2.0 / side) - 1.0
        for i, (side, shape) in enumerate(((size[1], (1, -1)), (size[0], (-1, 1))))
    ]
    places = torch.stack(at, 3)
    sample = partial(functional.grid_sample, grid=places, mode="bilinear", align_corners=False)
    seen = sample(there, padding_mode="border")
    said = sample(torch.stack(planes[5::3])[:, None], padding_mode="zeros")[:, 0]
    believed = torch.exp(-((seen - here).abs().mean(1) / steady.DIFFERENCE).square())
    mean = (own + (believed * said).sum(0)) / (1.0 + believed.sum(0))
    open_to = functional.interpolate(band[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    changed = own + open_to * (mean - own)
    changed = torch.where(changed < EMPTY, 0.0, changed)
    return [torch.where(open_to > steady.OPEN, changed, own)]
