"""Peak memory of `sa2va matte` against the length of the clip.

    python benchmarks/memory.py PLATE "PHRASE" [--frames 200 2000] [--plot memory.png]

The plate (a movie) is repeated, there and back, until it is long enough, at 640 pixels wide. The figure to read is the
ratio of the peaks, taken in one run on one machine.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import psutil

WIDTH = 640
KEPT = 120


def there_and_back(path: Path) -> Iterator[av.VideoFrame]:
    """The first frames of a movie, forwards and backwards, for ever."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        height = round(WIDTH * stream.height / stream.width / 2) * 2
        decoded = itertools.islice(container.decode(stream), KEPT)
        frames = [frame.reformat(WIDTH, height, "yuv420p") for frame in decoded]
    return itertools.cycle(frames + frames[-2:0:-1])


def make_clip(plate: Path, length: int, path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = None
        for index, frame in enumerate(itertools.islice(there_and_back(plate), length)):
            if stream is None:
                stream = container.add_stream("libx264", rate=24, options={"crf": "18", "preset": "veryfast"})
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
            frame.pts, frame.time_base = index, Fraction(1, 24)
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode())


def run(clip: Path, phrase: str, folder: Path) -> list[tuple[float, float]]:
    """(seconds, MiB of resident memory) twice a second while the job runs."""
    command = [sys.executable, "-m", "sa2va_core.cli", "matte", str(clip), phrase, "-o", str(folder)]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    samples = []
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            samples.append((time.monotonic() - start, watched.memory_info().rss / 2**20))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.5)
    if process.wait() != 0:
        sys.exit(f"the job on {clip.name} failed")
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plate", type=Path)
    parser.add_argument("phrase")
    parser.add_argument("--frames", type=int, nargs=2, default=(200, 2000))
    parser.add_argument("--plot", type=Path, help="PNG of memory over the share of frames done")
    arguments = parser.parse_args()

    curves = {}
    with tempfile.TemporaryDirectory() as scratch:
        for length in arguments.frames:
            clip = Path(scratch, f"clip_{length}.mp4")
            make_clip(arguments.plate, length, clip)
            curves[length] = run(clip, arguments.phrase, Path(scratch, f"out_{length}"))
            seconds, peak = curves[length][-1][0], max(memory for _, memory in curves[length])
            print(f"{length} frames: {seconds:.0f} s, peak {peak:.0f} MiB", flush=True)
    short, long = (max(memory for _, memory in curves[length]) for length in arguments.frames)
    print(f"ratio of peaks: {long / short:.3f}")
    if arguments.plot:
        plot(curves, arguments.plot)


def plot(curves: dict[int, list[tuple[float, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.5), layout="constrained")
    for length, samples in curves.items():
        end = samples[-1][0]
        axes.plot([100 * t / end for t, _ in samples], [memory for _, memory in samples], label=f"{length} frames")
    axes.set(xlabel="share of the job's time, %", ylabel="resident memory, MiB", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
