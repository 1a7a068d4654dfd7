"""Memory of the Sa2VA engine over a long shot, on the CPU with a tiny network: it must not grow with the shot.

    python benchmarks/engine_memory.py FOLDER [--frames 10000]

Writes FOLDER/engine_memory.csv (frame, resident MiB) and, where matplotlib is there, FOLDER/engine_memory.png.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
from sa2va_plugin.jobspec import EngineSpec, ObjectSpec  # noqa: E402

from benchmarks import random_sa2va  # noqa: E402
from sa2va_core.engines.sa2va.engine import Sa2vaEngine  # noqa: E402
from sa2va_core.media.frames import Picture  # noqa: E402


class Made:
    """Frames that exist only while they are looked at, uint8 (180, 320, 3)."""

    def __init__(self, count: int) -> None:
        self.frames: Sequence[int] = range(count)
        self.size = (320, 180)

    def read(self, frame: int) -> Picture:
        rng = np.random.default_rng(frame)
        return Picture(frame, rng.integers(0, 255, (180, 320, 3), dtype=np.uint8))

    def stream(self, frames: Sequence[int]) -> Iterator[Picture]:
        return map(self.read, frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=10_000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = args.folder / "tiny"
    random_sa2va.write(model, random_sa2va.SIZES["tiny"])
    engine = Sa2vaEngine(model, EngineSpec("sa2va", str(model), "cpu"))
    process = psutil.Process()
    rows: list[tuple[int, float]] = []
    start = time.perf_counter()
    objects = [ObjectSpec("one", "the one"), ObjectSpec("two", "the two")]
    for count, _ in enumerate(engine.open_shot(Made(args.frames), objects).run(), 1):
        if count % max(1, args.frames // 200) == 0:
            rows.append((count, process.memory_info().rss / 2**20))
    seconds = time.perf_counter() - start
    with open(args.folder / "engine_memory.csv", "w", newline="") as file:
        csv.writer(file).writerows([("frame", "resident_mib"), *((n, round(m, 1)) for n, m in rows)])
    early, late = rows[len(rows) // 10][1], rows[-1][1]
    print(f"{args.frames} frames in {seconds:.0f} s; {early:.0f} MiB after a tenth, {late:.0f} MiB at the end")
    _plot(rows, args.folder / "engine_memory.png")


def _plot(rows: list[tuple[int, float]], path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3))
    axes.plot(*zip(*rows, strict=True))
    axes.set(xlabel="frames done", ylabel="resident memory, MiB", ylim=(0, 1.25 * max(m for _, m in rows)))
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
