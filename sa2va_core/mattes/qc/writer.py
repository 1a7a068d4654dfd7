"""Writes ``qc.json`` and ``report.html`` of one job."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.media.atomic import remove_strays, write_bytes
from sa2va_core.media.contact_sheet import Judged
from sa2va_core.media.frames import Picture, PlateFacts
from sa2va_core.media.write import SCRATCH

from . import result
from .compare import Link, Shape, compare, shape
from .record import Record, load, measure, save
from .report import report
from .score import Track, judge


class QcWriter:
    """The QC of one job whose results lie in ``folder``.

    :meth:`write` may be called by several threads at once, in any order of frames; each frame's record waits in
    ``.sa2va/qc`` until :meth:`finish` goes through them in time order, a bounded number in memory.
    ``provenance`` as for MatteWriter.
    """

    def __init__(
        self, folder: Path, facts: PlateFacts, objects: Sequence[ObjectSpec], provenance: Mapping[str, str]
    ) -> None:
        self._folder, self._facts, self._objects, self._provenance = folder, facts, tuple(objects), provenance
        self._workers = min(8, os.cpu_count() or 1)

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
        name, ``presence`` and ``coverage``. Raises OutputError."""
        names = [item.name for item in self._objects]
        path = self.path(picture.frame)
        save(measure(picture, [mattes[name] for name in names], [scores[name] for name in names]), path)
        return path

    def finish(self, frames: Sequence[int], verdicts: Mapping[str, Judged]) -> list[Path]:
        """Judge the result frames ``frames``, in time order; returns the two files made. Raises OutputError."""
        tracks = [Track() for _ in self._objects]
        scale = 1.0
        for record, shapes, links in self._compared(frames):
            scale = record.scale
            for index, track in enumerate(tracks):
                _note(track, record, index, shapes[index], links[index])
        skipped: dict[tuple[int, int], list[Link | None]] = {}

        def links_of(a: int, b: int) -> list[Link | None]:
            if (a, b) not in skipped:
                links = compare(load(self.path(frames[a])), load(self.path(frames[b])))
                skipped[a, b] = links or [None] * len(tracks)
            return skipped[a, b]

        names = [item.name for item in self._objects]
        judgements = [
            judge(track, names, scale, lambda a, b, index=index: links_of(a, b)[index])
            for index, track in enumerate(tracks)
        ]
        data = result.build(self._facts, self._objects, verdicts, self._provenance, frames, tracks, judgements, scale)
        page = report(data, self._folder, lambda frame: load(self.path(frame)).mattes)
        made = [self._folder / result.NAME, self._folder / result.REPORT]
        write_bytes(made[0], result.encode(data))
        write_bytes(made[1], page.encode())
        return made

    def _compared(self, frames: Sequence[int]) -> Iterator[tuple[Record, list[Shape], list[Link | None]]]:
        """Every frame's record, shapes, and links with the frame before, made by threads a few frames ahead."""

        def read(frame: int) -> tuple[Record, list[Shape]]:
            record = load(self.path(frame))
            return record, [shape(matte) for matte in record.mattes]

        nothing: list[Link | None] = [None] * len(self._objects)
        with ThreadPoolExecutor(self._workers, thread_name_prefix="qc") as pool:
            waiting = deque()
            before = None
            for frame in frames:
                now = pool.submit(read, frame)
                # A comparison waits for reads that were submitted before it, so threads never wait in a circle.
                links = pool.submit(lambda a, b: compare(a.result()[0], b.result()[0]), before, now) if before else None
                waiting.append((now, links))
                before = now
                if len(waiting) > 2 * self._workers:
                    read_now, linked = waiting.popleft()
                    yield *read_now.result(), (linked.result() if linked else None) or nothing
            for read_now, linked in waiting:
                yield *read_now.result(), (linked.result() if linked else None) or nothing


def _note(track: Track, record: Record, index: int, its_shape: Shape, link: Link | None) -> None:
    track.shapes.append(its_shape)
    track.area.append(record.area[index])
    track.presence.append(record.presence[index])
    edge = its_shape.edge * record.scale
    track.band.append(record.soft[index] / edge if its_shape.present and edge > 1 else float("nan"))
    track.links.append(link)
