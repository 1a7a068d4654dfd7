"""One sheet on one GPU and on all of them, through the same queue: ``python benchmarks/batch_gpus.py FOLDER``.

Writes a Sa2VA checkpoint of random weights (``--size``), plates of 1920 x 1080 (``--shots``, ``--frames``) and a sheet
to FOLDER, then runs ``sa2va batch`` on it once with the first GPU alone and once with every GPU, each in a worker of
its own that has loaded its engines before. Prints which lane ran which shot, how busy each GPU was (nvidia-smi), the
time, and whether the results are the same bytes; where mattes are not, how far they are off.

``--prepare`` writes what is needed and stops. ``--device cpu --size tiny --frames 4`` tries the script itself, with one
and two engines on a CPU. The weights being random, the mattes are of nothing; the work is that of real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks import random_sa2va  # noqa: E402

SIZE = (1920, 1080)
SA2VA = (sys.executable, "-m", "sa2va_core.cli")
HEAD = "shot,engine,model,device,fps,plate,range,name,phrase"


def plate(folder: Path, seed: int, frames: int) -> None:
    """Smooth noise with a disc that crosses it, JPEG, from 1001 on."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = SIZE
    coarse = np.random.default_rng(seed).integers(40, 160, (height // 40, width // 40, 3), dtype=np.uint8)
    field = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    for i in range(frames):
        picture = field.copy()
        cv2.circle(picture, (200 + 12 * i, 400 + 20 * seed), 160, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.imwrite(str(folder / f"plate.{1001 + i}.jpg"), picture)


def prepare(args: argparse.Namespace) -> None:
    model = args.folder / args.size
    if not (model / "model.safetensors.index.json").is_file():
        random_sa2va.write(model, random_sa2va.SIZES[args.size], device="cpu" if args.device == "cpu" else "cuda")
    with ProcessPoolExecutor(min(args.shots, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(plate, args.folder / f"sh{i:03d}", i, args.frames) for i in range(args.shots)]
        for job in jobs:
            job.result()


def sheet(args: argparse.Namespace, name: str, shots: int, frames: int) -> Path:
    path = args.folder / f"{name}.csv"
    rows = [
        f"{name}{i},sa2va,{args.folder / args.size},{args.device},24,sh{i:03d}/plate.####.jpg,1001-{1000 + frames},"
        f"thing,the thing on the left"
        for i in range(shots)
    ]
    path.write_text("\n".join([HEAD, *rows]) + "\n")
    return path


class Busy:
    """How busy each GPU is, once a second, by index."""

    def __init__(self) -> None:
        self.use: dict[str, list[int]] = {}
        self.memory: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Busy:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        query = "--query-gpu=index,utilization.gpu,memory.used"
        while not self._over.wait(1):
            try:
                command = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
                told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            except (OSError, subprocess.CalledProcessError):
                return
            for line in told.splitlines():
                index, use, memory = (part.strip() for part in line.split(","))
                self.use.setdefault(index, []).append(int(use))
                self.memory[index] = max(self.memory.get(index, 0), int(memory))

    def __str__(self) -> str:
        told = (f"GPU {i}: {mean(use):.0f} % busy, {self.memory[i]:,} MiB" for i, use in sorted(self.use.items()))
        return "; ".join(told) or "no nvidia-smi here"


@contextmanager
def worker(args: argparse.Namespace, lanes: int, folder: str) -> Iterator[dict[str, str]]:
    """The environment of a worker with so many lanes; it ends afterwards."""
    packages = os.pathsep.join([str(ROOT), str(ROOT / "plugin"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": packages, "SA2VA_WORKER_FOLDER": folder}
    command = [*SA2VA, "worker"]
    if args.device == "cpu":
        command += ["--engines", str(lanes)]
    elif lanes == 1:
        environment["CUDA_VISIBLE_DEVICES"] = "0"
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not (Path(folder) / "worker.json").exists() and process.poll() is None:
            time.sleep(0.1)
        yield environment
    finally:
        subprocess.run([*SA2VA, "worker", "--stop"], env=environment, stdout=subprocess.DEVNULL)
        process.wait()


def batch(path: Path, out: Path, environment: dict[str, str]) -> float:
    """Seconds of the whole command."""
    began = time.perf_counter()
    done = subprocess.run([*SA2VA, "batch", str(path), "-o", str(out)], env=environment, capture_output=True, text=True)
    if done.returncode:
        log = Path(environment["SA2VA_WORKER_FOLDER"], "worker.log").read_text()
        raise SystemExit(f"{done.stdout}\n{done.stderr}\n{log[-4000:]}")
    return time.perf_counter() - began


def lanes_of(environment: dict[str, str]) -> dict[str, str]:
    """By shot, the device that its job ran on, as the worker's log and its list of jobs have it."""
    told = subprocess.run([*SA2VA, "jobs", "-n", "1000", "--json"], env=environment, capture_output=True, text=True)
    log = "".join(path.read_text() for path in Path(environment["SA2VA_WORKER_FOLDER"]).glob("*.log*"))
    ran = dict(re.findall(r"job (\S+) runs on (\S+)", log))
    return {Path(job["folder"]).name: ran[job["job"]] for job in json.loads(told.stdout)}


def tree(folder: Path) -> dict[str, bytes]:
    """Every result file; the manifest without what names the folder or the device."""
    found: dict[str, bytes] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.name == "manifest.json":
            manifest = json.loads(data)
            manifest["job"]["outputs"]["folder"] = manifest["made_by"]["engine"]["device"] = ""
            data = json.dumps(manifest).encode()
        found[path.relative_to(folder).as_posix()] = data
    return found


def compare(one: Path, other: Path) -> str:
    a, b = tree(one), tree(other)
    if set(a) != set(b):
        return f"not the same files: {sorted(set(a) ^ set(b))[:5]}"
    odd = [name for name in a if a[name] != b[name]]
    if not odd:
        return f"all {len(a)} files equal byte for byte"
    off = max((difference(one / name, other / name) for name in odd if name.endswith(".exr")), default=0.0)
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in Counter(Path(name).suffix for name in odd).items())
    return f"{len(odd)} of {len(a)} files differ ({kinds}); mattes by {off:.3g} of 1 at most"


def difference(one: Path, other: Path) -> float:
    import OpenImageIO as oiio

    a, b = (np.asarray(oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT)) for path in (one, other))
    return float(np.abs(a - b).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=random_sa2va.SIZES, default="4b")
    parser.add_argument("--shots", type=int, default=8)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--prepare", action="store_true")
    args = parser.parse_args()
    args.folder = args.folder.absolute()
    began = time.perf_counter()
    prepare(args)
    print(f"checkpoint {args.size} and {args.shots} plates: {time.perf_counter() - began:.0f} s", flush=True)
    if args.prepare:
        return
    timed, outs = sheet(args, "shot", args.shots, args.frames), []
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        for lanes in (1, args.gpus):
            out = Path(scratch) / f"out{lanes}"
            with worker(args, lanes, f"{scratch}/worker{lanes}") as environment:
                first = batch(sheet(args, "warm", lanes, 3), out / "warm", environment)
                print(f"{lanes} lane(s): loaded, and first {lanes} shot(s) of 3 frames: {first:.1f} s", flush=True)
                with Busy() as busy:
                    seconds.append(batch(timed, out / "timed", environment))
                frames = args.shots * args.frames
                print(f"{lanes} lane(s): {seconds[-1]:.1f} s, {frames / seconds[-1]:.2f} frames/s; {busy}", flush=True)
                print("  ".join(f"{shot} {lane}" for shot, lane in lanes_of(environment).items()), flush=True)
            outs.append(out / "timed")
        print(f"{args.gpus} lanes over one: {seconds[0] / seconds[1]:.2f} times as fast")
        print(compare(*outs))


if __name__ == "__main__":
    main()
