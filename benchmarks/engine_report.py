"""The one table of the Sa2VA engine on a GPU: cold and warm, where the time goes against the card's limits, compiled.

    python benchmarks/engine_report.py FOLDER [--sizes qwen3-vl-4b,4b] [--frames 300] [--seconds 480] [--device cpu]

Runs in about seven minutes on an H100, writing checkpoints of random weights to FOLDER included (10 and 8 GB, kept).
What would begin after ``--seconds`` is left out and said so. Every figure is printed as a JSON line when it is taken;
the table (Markdown) is printed last and written to FOLDER/engine_report.md. What the cases are is said in
engine_gpu.py, which runs them one by one. ``--device cpu --sizes tiny --frames 10`` tries the script itself.

Limits are measured on the card, not taken from its data sheet: a large bfloat16 matrix product, a copy within the
card's memory, and copies from and to pinned host memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import torch  # noqa: E402
from sa2va_plugin.jobspec import EngineSpec  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from benchmarks import random_sa2va  # noqa: E402
from benchmarks.engine_gpu import CUDA, Forced, Noise, gib, language_cost, run, say, synchronize, timed  # noqa: E402
from sa2va_core.engines.recording import Replay  # noqa: E402
from sa2va_core.engines.sa2va.engine import Sa2vaEngine  # noqa: E402
from sa2va_core.engines.sa2va.sam2.memory import Maps  # noqa: E402
from sa2va_core.engines.sa2va.sam2.model import Masks  # noqa: E402
from sa2va_core.engines.sa2va.tracker import Conditioning, Tracker  # noqa: E402

START = time.perf_counter()


class Table:
    """Rows by name, a column for each model."""

    def __init__(self, sizes: list[str]) -> None:
        self._sizes = sizes
        self._rows: dict[str, dict[str, str]] = {}
        self.size = ""

    def put(self, row: str, value: float | str) -> None:
        say(row, size=self.size, value=value)
        self._rows.setdefault(row, {})[self.size] = value if isinstance(value, str) else f"{value:.4g}"

    def text(self) -> str:
        lines = [["", *self._sizes], ["---"] * (1 + len(self._sizes))]
        lines += [[row, *(values.get(size, "") for size in self._sizes)] for row, values in self._rows.items()]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def limits(table: Table, device: torch.device) -> float:
    """What the card can do; returns TFLOP/s of a bfloat16 matrix product."""
    side = 8192 if CUDA else 512
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    tflops = 2 * side**3 / timed(lambda: a @ a, 20) / 1e9
    table.put("limit: bfloat16 matrix product, TFLOP/s", tflops)
    block = torch.empty((1 << 30) if CUDA else (1 << 24), dtype=torch.uint8, device=device)
    other = torch.empty_like(block)
    table.put("limit: copy within the device, GB/s", 2 * block.nbytes / timed(lambda: other.copy_(block), 10) / 1e6)
    host = torch.empty(1 << 27, dtype=torch.uint8, pin_memory=CUDA)
    part = block[: len(host)]
    host = host[: len(part)]
    table.put("limit: host to device, GB/s", host.nbytes / timed(lambda: part.copy_(host), 10) / 1e6)
    table.put("limit: device to host, GB/s", host.nbytes / timed(lambda: host.copy_(part), 10) / 1e6)
    return tflops


def part(table: Table, name: str, work: Callable[[], Any], limit: float, per: int = 1) -> None:
    """One part of a frame: its time and, where it computes, the share of the card's limit that it reaches."""
    ms = timed(work, 10) / per
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    tflop = counter.get_total_flops() / per / 1e12
    share = f" ({tflop:.3f} TFLOP, {100 * tflop / (ms / 1000) / limit:.0f} % of the limit)" if tflop else ""
    table.put(name, f"{ms:.2f}{share}")


def parts(engine: Sa2vaEngine, table: Table, limit: float, tag: str) -> None:
    """Where a frame's time goes, kernels launched one by one."""
    sam2, pixels = engine.network.sam2, engine.encoder.pixels
    source = Noise(8, 1920, 1080)
    shown = [source.read(i).rgb for i in range(8)]
    if not tag:
        table.put("copy to the device and resize, ms a frame", timed(lambda: pixels(shown)) / 8)
    with torch.inference_mode():
        squares = pixels(shown)
        features = sam2.encode(squares)[0]
    part(table, f"image encoder, batch 8, ms a frame{tag}", lambda: sam2.encode(squares), limit, 8)
    for count in (1, 8):
        with torch.inference_mode():
            embeddings = torch.randn(count, sam2.geometry.width, device=squares.device, dtype=squares.dtype)
            masks = sam2.ground(features, embeddings)
            maps = sam2.remember(features, masks.logits)
            pointers = masks.pointer[:, None].expand(-1, 18, -1)
            coarse = sam2.without_memory(features).expand(count, -1, -1, -1)
        slots = [6, 6, 6, 0, 1, 2, 3, 4, 5]
        seen, what = [maps] * len(slots), f"{count} object{'s' if count > 1 else ''}, ms{tag}"
        prompts = sam2.no_prompt(count)
        part(table, f"memory attention, {what}", partial(sam2.attend, features, seen, slots, pointers), limit)
        part(table, f"mask decoder, {what}", partial(sam2.decode, features, coarse, prompts), limit)
        part(table, f"memory encoder, {what}", partial(sam2.remember, features, masks.logits), limit)
        if not tag:
            table.put(f"logits to the host, {what}", timed(masks.logits.cpu))
            table.put(f"a tracked frame after its encoder, as run, {what}", tracked(engine, masks, maps))
    if not tag:
        replay = Replay()

        def recorded() -> object:
            return replay(lambda tensors: sam2.encode(tensors[0]).tensors, [squares])

        table.put("image encoder, batch 8, as run (recorded), ms a frame", timed(recorded, 8) / 8)


def tracked(engine: Sa2vaEngine, masks: Masks, maps: Maps) -> float:
    """Milliseconds of a whole step of the tracker with a full bank, recorded where the device can."""
    sam2 = engine.network.sam2
    with torch.inference_mode():
        features = sam2.encode(engine.encoder.pixels([Noise(1, 1920, 1080).read(0).rgb]))
        given = [Conditioning((-1,) * len(masks.logits), masks, maps) for _ in range(3)]
        tracker = Tracker(sam2, given, direction=1, hide=True, official=False)
        frames = iter(range(10_000))
        for _ in range(24):
            tracker.step(features, next(frames))
    return timed(lambda: tracker.step(features, next(frames)))


def compiled(engine: Sa2vaEngine, table: Table, limit: float, frames: int) -> None:
    """The same parts and one phrase through torch.compile, and what compiling costs."""
    start = time.perf_counter()
    try:
        engine.compile()
        run(engine, Noise(30, 1920, 1080), 1)
        table.put("torch.compile, first shot of 30 frames, s", time.perf_counter() - start)
        table.put("one phrase, frames/s, compiled", run(engine, Noise(frames, 1920, 1080), 1)["frames_per_second"])
        parts(engine, table, limit, ", compiled")
    except Exception as error:  # noqa: BLE001 - a compiler has a hundred ways to fail; the other figures are worth keeping.
        table.put("torch.compile", f"failed: {type(error).__name__}")
        print(error, file=sys.stderr)


def model(table: Table, size: str, args: argparse.Namespace, *, whole: bool) -> None:
    folder = args.folder / size
    if not (folder / "model.safetensors.index.json").is_file():
        start = time.perf_counter()
        random_sa2va.write(folder, random_sa2va.SIZES[size], device=args.device)
        if CUDA:
            torch.cuda.empty_cache()
        say("written", size=size, seconds=time.perf_counter() - start)
    start = time.perf_counter()
    engine = Sa2vaEngine(folder, EngineSpec("sa2va", str(folder), args.device))
    synchronize()
    table.put("load from disk, s", time.perf_counter() - start)
    table.put("weights, GiB", gib("memory_allocated"))
    Forced(engine.network.language, drafts=True)
    for turn, figures in language_cost(engine).items():
        for what, seconds in figures.items():
            table.put(f"language, {turn}: {what}, s", seconds)
    cold = run(engine, Noise(min(60, args.frames), 1920, 1080), 1)
    table.put("first shot after loading, until its first result, s", cold["until_first_result"])
    table.put("first shot after loading, frames/s over 60 frames", cold["frames_per_second"])
    five = [run(engine, Noise(5, 448, 448), 1)["seconds"] for _ in range(7)]
    table.put("five 448 x 448 frames, s: first, median of the next six", f"{five[0]:.3f}, {median(five[1:]):.3f}")
    one = 0.0
    for name, count in (("one phrase", 1), ("four phrases", 4), ("eight phrases", 8)):
        run(engine, Noise(min(40, args.frames), 1920, 1080), count)
        found = run(engine, Noise(args.frames, 1920, 1080), count)
        one = one or found["seconds"]
        table.put(f"{name}, frames/s", found["frames_per_second"])
        table.put(f"{name}, frames/s in tracking alone", found["tracking_frames_per_second"])
        table.put(f"{name}, time over that of one", found["seconds"] / one)
        table.put(f"{name}, peak memory, GiB", found["peak_gib"])
    limit = limits(table, engine.network.device)
    parts(engine, table, limit, "")
    if whole and enough(args, 60, table, "3,000 frames"):
        found = run(engine, Noise(10 * args.frames, 1920, 1080), 1)
        table.put("one phrase, ten times the frames, peak memory, GiB", found["peak_gib"])
        table.put("one phrase, ten times the frames, frames/s", found["frames_per_second"])
    if whole and enough(args, 240, table, "compiled"):
        compiled(engine, table, limit, args.frames)
    engine.close()


def enough(args: argparse.Namespace, needed: float, table: Table, what: str) -> bool:
    there = time.perf_counter() - START + needed < args.seconds
    if not there:
        table.put(what, "left out: no time")
    return there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default="qwen3-vl-4b,4b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=480)
    args = parser.parse_args()
    sizes = args.sizes.split(",")
    table = Table(sizes)
    try:
        for size in sizes:
            table.size = size
            # The last model also gets the long shot and the compiler, whose time is hard to foresee.
            model(table, size, args, whole=size == sizes[-1])
    finally:
        name = torch.cuda.get_device_name() if CUDA else "CPU"
        text = f"{name}, torch {torch.__version__}, random weights\n\n{table.text()}\n"
        (args.folder / "engine_report.md").write_text(text, encoding="utf-8")
        print(text)


if __name__ == "__main__":
    main()
