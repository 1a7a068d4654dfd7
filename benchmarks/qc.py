"""What the QC report and the Cryptomatte cost: milliseconds a frame at 1080p, for 1, 3 and 10 objects.

    python benchmarks/qc.py

``note``: processor time of what each frame costs while the job runs, comparing it with its neighbours included (one
thread; the job has several, beside the engine). ``end``: what is left for the end of the job. ``resumed``: the same
where a stopped job went on and all frames are compared at the end, with all cores. ``page``: the report, once a job.
``cryptomatte``: one thread, with ``--cryptomatte`` only.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sa2va_plugin.jobspec import ObjectSpec, Outputs

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sa2va_core.engines.base import Verdict
from sa2va_core.mattes.cryptomatte import CryptomatteWriter
from sa2va_core.mattes.qc import writer as qc
from sa2va_core.media.frames import Picture, PlateFacts, SourceFrame
from sa2va_core.media.overlay import OverlayWriter
from tests.mattes.scene import Blob, render

FRAMES, SIZE = 48, (1920, 1080)


def main() -> None:
    print(f"{FRAMES} frames, {SIZE[0]} x {SIZE[1]}, {os.cpu_count()} cores; ms a frame, page in ms a job")
    print(f"{'objects':>8} {'note':>8} {'end':>8} {'resumed':>8} {'page':>8} {'cryptomatte':>12}")
    for count in (1, 3, 10):
        print(f"{count:8d} {'{:8.1f} {:8.1f} {:8.1f} {:8.0f} {:12.0f}'.format(*measured(count))}", flush=True)


def measured(count: int) -> tuple[float, float, float, float, float]:
    blobs = {
        f"o{i}": Blob(lambda t, i=i: (50 + 42 * i, 70 + 13 * i + 40 * t), 40 - 2 * i, 17 * i) for i in range(count)
    }
    small, truths = render(FRAMES, blobs)
    pictures = [np.asarray(cv2.resize(picture, SIZE), np.uint8) for picture in small]
    mattes = [{n: np.asarray(cv2.resize(m, SIZE), np.float32) for n, m in frame.items()} for frame in truths]
    objects = [ObjectSpec(name, name) for name in blobs]
    facts = PlateFacts("shot", SIZE, 1.0, Fraction(24), "sRGB", "job")
    scores = {name: {"presence": 1.0, "coverage": 0.1, "peak": 1.0} for name in blobs}
    with tempfile.TemporaryDirectory() as folder:

        def writer() -> qc.QcWriter:
            return qc.QcWriter(Path(folder), facts, objects, {"engine": "none"}, range(FRAMES), lambda *_: None)

        noted = writer()
        overlays = OverlayWriter(Path(folder), facts, objects)
        cryptomatte = CryptomatteWriter(Outputs(folder), facts, objects, {})
        for i in range(FRAMES):
            overlays.write(Picture(i, pictures[i]), mattes[i])
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        start = time.thread_time()
        for i in range(FRAMES):
            noted.write(Picture(i, pictures[i]), mattes[i], scores)
        note = (time.thread_time() - start) / FRAMES
        start = time.thread_time()
        for i in range(4):
            cryptomatte.write(SourceFrame(i, i, Path("x")), mattes[i])
        written = (time.thread_time() - start) / 4
        cv2.setNumThreads(threads)
        end, page = finished(noted, objects)
        resumed, _ = finished(writer(), objects)
    return 1000 * note, 1000 * end / FRAMES, 1000 * resumed / FRAMES, 1000 * page, 1000 * written


def finished(writer: qc.QcWriter, objects: Sequence[ObjectSpec]) -> tuple[float, float]:
    """Seconds that it takes to judge all frames, and to draw the page."""
    drawn = 0.0
    plain = qc.report

    def timed(*arguments: Any) -> str:
        nonlocal drawn
        start = time.perf_counter()
        page = plain(*arguments)
        drawn = time.perf_counter() - start
        return page

    qc.report = timed
    start = time.perf_counter()
    writer.finish({item.name: Verdict("found", "x") for item in objects})
    qc.report = plain
    return time.perf_counter() - start - drawn, drawn


if __name__ == "__main__":
    main()
