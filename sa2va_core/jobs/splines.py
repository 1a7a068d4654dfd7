"""``splines.json`` and ``splines.nk``: the outlines of a job's mattes as few Bézier points and few keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin import nuke_roto
from sa2va_plugin.jobspec import ObjectSpec
from sa2va_plugin.naming import layer_name
from sa2va_plugin.splines import NAME, SplineSet

from sa2va_core.mattes.splines.outline import LEAST, StoredOutlines, store
from sa2va_core.mattes.splines.shapes import object_splines
from sa2va_core.media.atomic import remove_strays, write_bytes
from sa2va_core.media.frames import PlateFacts
from sa2va_core.media.write import SCRATCH

NUKE_NAME = "splines.nk"
#: Told the stage, and how many of how many steps are done; may raise Cancelled.
Step = Callable[[str, int, int], None]


class SplineWriter:
    """Writes the splines of one job into ``folder``, fitted to ``tolerance`` pixels.

    :meth:`write` may be called by several threads at once. The outlines of each frame wait in ``.sa2va/splines`` until
    :meth:`finish` fits them in order, so a job that was killed goes on with a new writer. While it fits, it keeps some
    two kilobytes of each frame. ``warnings``: sentences for the user, after :meth:`finish`.
    """

    def __init__(
        self, folder: Path, facts: PlateFacts, objects: Sequence[ObjectSpec], tolerance: float, step: Step
    ) -> None:
        self._folder, self._facts, self._objects = folder, facts, tuple(objects)
        self._tolerance, self._step = tolerance, step
        self.warnings: list[str] = []

    def paths(self, frame: int) -> list[Path]:
        return [self._path(item, frame) for item in self._objects]

    def remove_strays(self, frames: Iterable[int]) -> None:
        """Clear what a killed run left half-written. Call it before the first of these frames is written."""
        final = [self._folder / NAME, self._folder / NUKE_NAME]
        remove_strays([*final, *(path for frame in frames for path in self.paths(frame))])

    def write(self, frame: int, alphas: Mapping[str, NDArray[np.float32]]) -> list[Path]:
        """Keep one frame's outlines; ``alphas``: object name to (H, W), 0..1. Raises OutputError."""
        for item in self._objects:
            store(self._path(item, frame), alphas[item.name], self._tolerance)
        return self.paths(frame)

    def finish(self, frames: Sequence[int]) -> list[Path]:
        """Fit all frames, rising; returns the two files made. Raises OutputError, and what ``step`` raises."""
        frames = sorted(frames)
        objects = []
        total = len(self._objects) * len(frames)
        for number, item in enumerate(self._objects):

            def step(done: float, number: int = number) -> None:
                self._step("fitting splines", round((number + done) * len(frames)), total)

            def stored(frame: int, item: ObjectSpec = item) -> StoredOutlines:
                return StoredOutlines(self._path(item, frame))

            size = self._facts.size
            fitted = object_splines(item.name, item.phrase, frames, stored, size, self._tolerance, step)
            if fitted.fit.worst_iou < LEAST:
                self.warnings.append(
                    f"The splines of {item.name!r} overlap its matte by less than {LEAST:g} on some frames, at "
                    f"worst by {fitted.fit.worst_iou:.3f}. Use the matte there, or mend it and run `sa2va splines`."
                )
            objects.append(fitted)
        fps = Fraction(self._facts.fps)
        splines = SplineSet(
            width=self._facts.size[0],
            height=self._facts.size[1],
            pixel_aspect=float(self._facts.pixel_aspect),
            fps=f"{fps.numerator}/{fps.denominator}",
            first=frames[0],
            last=frames[-1],
            tolerance=self._tolerance,
            objects=tuple(objects),
        )
        write_bytes(self._folder / NAME, splines.to_json().encode())
        write_bytes(self._folder / NUKE_NAME, nuke_roto.nodes(splines).encode())
        return [self._folder / NAME, self._folder / NUKE_NAME]

    def _path(self, item: ObjectSpec, frame: int) -> Path:
        return self._folder / SCRATCH / "splines" / f"{layer_name(item.name)}.{frame:04d}.npz"
