"""An object's logits, which an engine gives at its own scale, sampled at the plate's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sa2va_core.engines.base import Detail

from .window import EMPTY, Map, Size, Window, cell_size, sampled

#: exp of this stays far from float32's limits, and a sigmoid of minus this rounds to 0 in half precision.
SUREST = 20.0
# What is 1 in half precision, as most files have it.
_SOLID = 1.0 - 2.0**-12
_EMPTY_LOGIT = float(np.log(EMPTY / (1.0 - EMPTY)))


@dataclass(frozen=True)
class Patch:
    """Bilinear samples of one map, float32 (h, w). ``into``: which rows and columns of a lattice of samples they are;
    none where one of these is empty. In the map they are ``step`` pixels apart, the first in the middle of the step
    that begins at ``start``, both (x, y). Beyond the map its border is repeated."""

    logits: Map
    into: tuple[slice, slice]
    step: tuple[float, float]
    start: tuple[float, float]

    def samples(self) -> Map:
        rows, columns = self.into
        size = columns.stop - columns.start, rows.stop - rows.start
        if 0 in size:
            return np.zeros(size[::-1], np.float32)
        return np.asarray(sampled(self.logits, size, self.step, self.start), np.float32)

    def places(self) -> tuple[Map, Map]:
        """Where samples are taken, in pixels of the map from the middle of its first on: rows, columns, float32."""
        rows, columns = (
            (self.start[axis] + (np.arange(part.stop - part.start) + 0.5) * self.step[axis] - 0.5).clip(0, side - 1)
            for axis, part, side in zip((1, 0), self.into, self.logits.shape, strict=True)
        )
        return rows.astype(np.float32), columns.astype(np.float32)


@dataclass(frozen=True)
class Logits:
    """One object's logits over a plate of ``size``, (width, height) in pixels. ``parts``: the first covers all that is
    asked for, the others lie on top, later ones over earlier ones."""

    size: Size
    parts: Sequence[Detail]

    @classmethod
    def of(cls, logits: Map, size: Size, details: Sequence[Detail] = ()) -> Logits:
        """``logits`` that cover the plate, and ``details`` over them."""
        return cls(size, (Detail(logits, (0.0, 0.0, 1.0, 1.0)), *details))

    @property
    def pixel(self) -> float:
        """Side of a pixel of the logits in plate pixels, of the details where there are any."""
        return max(max(self._step(part)) for part in self.parts[1:] or self.parts)

    def around(self, reach: float) -> Window | None:
        """The window that holds all of the logits that is not empty, and ``reach`` plate pixels more; None where there
        is nothing."""
        boxes = [box for part in self.parts if (box := self._there(part)) is not None]
        if not boxes:
            return None
        cell = cell_size(self.size)
        left, top = (min(box[i] for box in boxes) - reach for i in (0, 1))
        right, bottom = (max(box[i] for box in boxes) + reach for i in (2, 3))
        across, down = (-(-side // cell) for side in self.size)
        return Window(
            max(0, int(left // cell)),
            max(0, int(top // cell)),
            min(across, int(-(-right // cell))),
            min(down, int(-(-bottom // cell))),
            cell,
            self.size,
        )

    def coverage(self, window: Window) -> Map:
        """The sigmoid of bilinear logits, averaged over each cell: float32 (cells down, cells across)."""
        scale = min(min(self._step(part)) for part in self.parts)
        # Logits finer than cells are looked at several times in each.
        times = max(1, int(np.ceil(window.cell / scale)))
        fine = _sigmoid(self.samples(window, times))
        if times == 1:
            return fine
        size = window.x1 - window.x0, window.y1 - window.y0
        return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), np.float32)

    def samples(self, window: Window, times: int) -> Map:
        """Bilinear logits over the cells of ``window``, ``times`` each way in each cell, float32, no further from 0
        than :data:`SUREST`."""
        first, *others = self.patches(window, times)
        samples = first.samples()
        for patch in others:
            samples[patch.into] = patch.samples()
        return np.clip(samples, -SUREST, SUREST, out=samples)

    def patches(self, window: Window, times: int) -> list[Patch]:
        """What :meth:`samples` is made of: one for each part, to be laid on top of those before."""
        shape = (window.y1 - window.y0) * times, (window.x1 - window.x0) * times
        return self._patches(shape, window.cell / times, (window.x0 * window.cell, window.y0 * window.cell))

    def enlarged(self) -> Map:
        """The sigmoid of bilinear logits over the whole plate, which the first part must cover and no more: float32
        (height, width). It never comes to 1, and is made that where it is all but that: a core is as solid in every
        kind of file."""
        width, height = self.size
        large = np.asarray(cv2.resize(self.parts[0].logits, self.size, interpolation=cv2.INTER_LINEAR), np.float32)
        for patch in self._patches((height, width), 1.0, (0, 0))[1:]:
            large[patch.into] = patch.samples()
        alpha = _sigmoid(np.clip(large, -SUREST, SUREST))
        alpha[alpha > _SOLID] = 1.0
        return alpha

    def _patches(self, shape: tuple[int, int], step: float, start: tuple[int, int]) -> list[Patch]:
        """Of a lattice of ``shape``, ``step`` plate pixels apart, from the plate's pixel ``start`` on, x before y."""
        everywhere = slice(0, shape[0]), slice(0, shape[1])
        return [
            self._patch(part, self._covered(part, shape, step, start) if over else everywhere, step, start)
            for over, part in enumerate(self.parts)
        ]

    def _covered(
        self, part: Detail, shape: tuple[int, int], step: float, start: tuple[int, int]
    ) -> tuple[slice, slice]:
        """Those samples whose middles ``part`` covers. Where it reaches to the right or lower side of the plate it goes
        on beyond."""
        spans = []
        for axis, count in zip((1, 0), shape, strict=True):
            low, high = part.box[axis], part.box[axis + 2]
            ends = ((share * self.size[axis] - start[axis]) / step - 0.5 for share in (low, high))
            first, last = (min(count, max(0, math.ceil(end))) for end in ends)
            spans.append(slice(first, max(first, count if high >= 1.0 else last)))
        rows, columns = spans
        return rows, columns

    def _patch(self, part: Detail, into: tuple[slice, slice], step: float, start: tuple[int, int]) -> Patch:
        rows, columns = into
        wide, high = self._step(part)
        left = start[0] + columns.start * step - part.box[0] * self.size[0]
        top = start[1] + rows.start * step - part.box[1] * self.size[1]
        return Patch(part.logits, into, (step / wide, step / high), (left / wide, top / high))

    def _step(self, part: Detail) -> tuple[float, float]:
        """Width and height of one of the part's pixels, in plate pixels."""
        x0, y0, x1, y1 = part.box
        height, width = part.logits.shape
        return (x1 - x0) * self.size[0] / width, (y1 - y0) * self.size[1] / height

    def _there(self, part: Detail) -> tuple[float, float, float, float] | None:
        """Where on the plate ``part`` is not empty: left, top, right, bottom in pixels."""
        x, y, width, height = cv2.boundingRect((part.logits > _EMPTY_LOGIT).astype(np.uint8))
        if width == 0:
            return None
        sx, sy = self._step(part)
        left, top = part.box[0] * self.size[0], part.box[1] * self.size[1]
        # Between two logits lie pixels that take part of both.
        return left + (x - 1) * sx, top + (y - 1) * sy, left + (x + width + 1) * sx, top + (y + height + 1) * sy


def _sigmoid(logits: Map) -> Map:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)), np.float32)
