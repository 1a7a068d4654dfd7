"""Writes ``qc.json`` and ``report.html`` of one job."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.media.atomic import remove_strays, write_bytes
from sa2va_core.media.contact_sheet import Judged
from sa2va_core.media.frames import Picture, PlateFacts
from sa2va_core.media.write import SCRATCH

from . import result
from .record import load, measure, save
from .report import report
from .score import Judge
from .timeline import Timeline

#: Told the stage, and how many of how many steps are done; may raise to stop the work.
Step = Callable[[str, int, int], None]


class QcWriter:
    """The QC of one job whose results lie in ``folder`` and are the result frames ``frames``, in time order.

    :meth:`write` may be called by several threads at once, in any order of frames; mattes are compared as they come.
    Each frame's record waits in ``.sa2va/qc``, so a job that was stopped goes on with a new writer. ``step`` is told
    how far :meth:`finish` is. ``provenance`` as for MatteWriter; ``warnings``: sentences for the user, after
    :meth:`finish`.
    """

    def __init__(
        self,
        folder: Path,
        facts: PlateFacts,
        objects: Sequence[ObjectSpec],
        provenance: Mapping[str, str],
        frames: Sequence[int],
        step: Step,
    ) -> None:
        self._folder, self._facts, self._objects, self._provenance = folder, facts, tuple(objects), provenance
        self._step = step
        self.warnings: list[str] = []
        self._timeline = Timeline(frames, lambda frame: load(self.path(frame)), min(8, os.cpu_count() or 1))

    def path(self, frame: int) -> Path:
        """The record that :meth:`write` makes of a result frame."""
        return self._folder / SCRATCH / "qc" / f"qc.{frame:04d}.record"

    def remove_strays(self, frames: Sequence[int]) -> None:
        """Clear what a killed run left half-written. Call it before the first of these frames is written."""
        ends = [self._folder / result.NAME, self._folder / result.REPORT]
        remove_strays([*ends, *(self.path(frame) for frame in frames)])

    def write(
        self,
        picture: Picture,
        mattes: Mapping[str, NDArray[np.float32]],
        scores: Mapping[str, Mapping[str, float | None]],
    ) -> Path:
        """Note one frame; returns its path. ``mattes``: object name to float32 (H, W), 0..1; ``scores``: by object
        name, ``presence``, ``coverage`` and ``peak``. Raises OutputError."""
        names = [item.name for item in self._objects]
        path = self.path(picture.frame)
        record = measure(picture, [mattes[name] for name in names], [scores[name] for name in names])
        self._timeline.add(save(record, path))
        return path

    def finish(self, verdicts: Mapping[str, Judged]) -> list[Path]:
        """Judge all frames; returns the two files made. Raises OutputError, and what ``step`` raises."""
        timeline, frames = self._timeline, self._timeline.frames
        timeline.complete(lambda done, total: self._step("comparing frames", done, total))
        names = [item.name for item in self._objects]
        tracks = [timeline.track(index) for index in range(len(names))]
        judges = [Judge(track, names, timeline.scale) for track in tracks]
        suspects = sorted({t for judge in judges for t in judge.suspects})
        around = {t: (frames[t - 1], frames[t + 1]) for t in suspects}
        timeline.compare(list(around.values()), lambda done, total: self._step("judging the mattes", done, total))
        judgements = [
            judge.judge({t: timeline.link(*around[t], index) for t in judge.suspects})
            for index, judge in enumerate(judges)
        ]
        data = result.build(
            self._facts, self._objects, verdicts, self._provenance, frames, tracks, judgements, timeline.scale
        )
        self.warnings = [
            f"{name!r} was found, but its matte is {what}: the settings of edges may be too much for it, such as a "
            "grow below 0, or a softness or blur band wider than it is."
            for name, what in result.lost(data).items()
        ]
        self._step("drawing the QC report", 0, 1)
        page = report(data, self._folder, lambda frame: load(self.path(frame)))
        made = [self._folder / result.NAME, self._folder / result.REPORT]
        write_bytes(made[0], result.encode(data))
        write_bytes(made[1], page.encode())
        return made
