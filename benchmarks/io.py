"""Frames per second of reading, colour and writing, against the same work done with the bare libraries.

    python benchmarks/io.py [--rounds 3] [--size 1080p] [--kind H.264] [--folder DIR]

"bare" is the shortest loop that does the same work: OpenImageIO or PyAV reads, OpenColorIO converts, OpenImageIO
writes, one frame after the other, with the libraries' own threads. "ours" is a Clip's stream and a MatteWriter, as a
job uses them. Rounds alternate between the two and the best of each counts, because other work on a machine only ever
slows a round down.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
import PyOpenColorIO
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec, Outputs, Shot

from sa2va_core.media.clip import open_clip
from sa2va_core.media.colour import BUILT_IN
from sa2va_core.media.readahead import cores
from sa2va_core.media.write import MatteWriter

ocio: Any = PyOpenColorIO
SIZES = {"1080p": (1920, 1080, 16), "4K": (3840, 2160, 5)}
SPACES = {"EXR half ZIP": "ACEScg", "DPX 10 bit": "ARRI LogC3 (EI800)", "H.264": ""}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", choices=[*SIZES], help="one size only")
    parser.add_argument("--kind", choices=[*SPACES], help="one kind of plate only")
    parser.add_argument("--folder", type=Path, help="where the plates go; a temporary folder if not given")
    options = parser.parse_args()
    print(f"{cores()} cores, best of {options.rounds}, frames per second\n")
    print("| plate | size | step | bare | ours | ratio |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for label in [options.size] if options.size else SIZES:
            for kind in [options.kind] if options.kind else SPACES:
                measure(Path(name), kind, label, options.rounds)


def measure(folder: Path, kind: str, label: str, rounds: int) -> None:
    width, height, count = SIZES[label]
    count *= 3 if kind == "H.264" else 1  # Movies are faster, and opening one takes a few frames' time.
    plate = make_plate(folder / f"{label} {kind}", kind, width, height, count)
    matte = soft_matte(width, height)
    steps: dict[str, list[Callable[[], int]]] = {
        "read, colour": [lambda: drain(bare_pictures(plate, kind)), lambda: our_pictures(plate, kind)],
        "read, colour, write": [
            lambda: bare_job(plate, kind, matte, folder / "bare"),
            lambda: our_job(plate, kind, matte, folder / "ours"),
        ],
    }
    for step, runs in steps.items():
        best = [0.0, 0.0]
        for _ in range(rounds):
            for index, run in enumerate(runs):
                start = time.perf_counter()
                done = run()
                best[index] = max(best[index], done / (time.perf_counter() - start))
                assert done == count
        bare, ours = best
        print(f"| {kind} | {label} | {step} | {bare:.1f} | {ours:.1f} | {ours / bare:.2f} |", flush=True)


# The plates


def make_plate(folder: Path, kind: str, width: int, height: int, count: int) -> Path:
    """Noisy frames, for noise is what compression spends its time on."""
    folder.mkdir()
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    clean = np.stack([0.3 + 0.15 * np.sin(x / 90 + y / 50), 0.4 + 0.2 * np.cos(x / 60), 0.3 + 0.1 * np.sin(y / 70)], -1)
    rng = np.random.default_rng(0)
    frames = (clean * (1 + 0.03 * rng.standard_normal((height, width, 1), np.float32)) for _ in range(count))
    if kind == "H.264":
        path = folder / "plate.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=24, options={"preset": "veryfast", "g": "48"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for frame in frames:
                codes = (frame * 255).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="rgb24")))
            container.mux(stream.encode(None))
        return path
    extension, form = ("exr", "half") if kind.startswith("EXR") else ("dpx", "uint16")
    for number, frame in enumerate(frames, 1001):
        spec = oiio.ImageSpec(width, height, 3, form)
        spec.attribute("compression", "zip")
        spec.attribute("oiio:BitsPerSample", 16 if form == "half" else 10)
        write_image(folder / f"plate.{number}.{extension}", spec, frame)
    return folder / f"plate.####.{extension}"


def soft_matte(width: int, height: int) -> NDArray[np.float32]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(x - width / 2, (y - height / 2) * 1.4) - height / 3
    return np.clip(0.5 - distance / 12, 0, 1)


def write_image(path: Path, spec: oiio.ImageSpec, pixels: NDArray[Any]) -> None:
    out = oiio.ImageOutput.create(str(path))
    assert out
    assert out.open(str(path), spec), out.geterror()
    assert out.write_image(pixels), out.geterror()
    out.close()


# The bare libraries


def bare_pictures(plate: Path, kind: str) -> Iterator[NDArray[np.uint8]]:
    if kind == "H.264":
        yield from bare_movie(plate)
        return
    half = kind.startswith("EXR")
    depth, size = (ocio.BIT_DEPTH_F16, 2) if half else (ocio.BIT_DEPTH_UINT16, 2)
    view = ocio.DisplayViewTransform(src=SPACES[kind], display="sRGB - Display", view="Un-tone-mapped")
    processor = ocio.Config.CreateFromFile(BUILT_IN).getProcessor(view)
    convert = processor.getOptimizedCPUProcessor(depth, ocio.BIT_DEPTH_UINT8, ocio.OPTIMIZATION_DEFAULT)
    for path in sorted(plate.parent.iterdir()):
        image = oiio.ImageInput.open(str(path))
        assert image
        pixels = image.read_image(0, 0, 0, 3, "half" if half else "uint16")
        image.close()
        assert pixels is not None
        height, width = pixels.shape[:2]
        out = np.empty((height, width, 3), np.uint8)
        convert.apply(
            ocio.PackedImageDesc(pixels, width, height, 3, depth, size, 3 * size, 3 * size * width),
            ocio.PackedImageDesc(out, width, height, 3, ocio.BIT_DEPTH_UINT8, 1, 3, 3 * width),
        )
        yield out


def bare_movie(path: Path) -> Iterator[NDArray[Any]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            yield frame.to_ndarray(
                format="rgb24",
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.MPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
            )


def bare_job(plate: Path, kind: str, matte: NDArray[np.float32], folder: Path) -> int:
    folder.mkdir(exist_ok=True)
    height, width = matte.shape
    count = 0
    for _ in bare_pictures(plate, kind):
        spec = oiio.ImageSpec(width, height, 2, "half")
        spec.channelnames = ("A", "disc.A")
        spec.attribute("compression", "zip")
        write_image(folder / f"mattes.{1001 + count}.exr", spec, np.stack([matte, matte], -1).astype(np.float16))
        count += 1
    return count


def drain(pictures: Iterator[Any]) -> int:
    return sum(1 for _ in pictures)


# The same through the clip and the writer


def our_pictures(plate: Path, kind: str) -> int:
    with open_clip(Shot(str(plate), colour_space=SPACES[kind])) as clip:
        return drain(clip.stream(clip.frames))


def our_job(plate: Path, kind: str, matte: NDArray[np.float32], folder: Path) -> int:
    """As the runner does it: frames go in order, their files are written by a few threads."""
    item = ObjectSpec("disc", "the disc")
    waiting: deque[Future[Any]] = deque()
    count = 0
    with open_clip(Shot(str(plate), colour_space=SPACES[kind])) as clip, ThreadPoolExecutor(min(4, cores())) as threads:
        writer = MatteWriter(Outputs(str(folder)), clip.facts, [item], {"engine": "none"})
        for picture in clip.stream(clip.frames):
            waiting.append(threads.submit(writer.write, clip.source_of(picture.frame), {"disc": matte}))
            if len(waiting) > 4:
                waiting.popleft().result()
            count += 1
        while waiting:
            waiting.popleft().result()
    return count


if __name__ == "__main__":
    main()
