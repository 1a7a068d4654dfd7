"""Time of the matte stage a frame, for one object with default settings.

    python benchmarks/mattes/speed.py [--device cuda] [--threads 2] [--plot FILE.png]

An object half as high as the picture, then objects of several sizes at three plate sizes, which shows that time grows
with the object and not with the plate. ``look`` is one frame by itself, ``finish`` the flicker step and the controls,
with two neighbours, ``frame`` both, timed as one: from a picture and logits on the host to a matte on the host. With
``--device cuda`` ``look`` alone returns before the GPU has done it. Medians; run it on a machine with nothing else to
do. Every line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from sa2va_plugin.jobspec import MatteSettings  # noqa: E402

from benchmarks.mattes.scenes import HD, UHD  # noqa: E402
from sa2va_core.engines.base import FrameResult, ObjectTrack  # noqa: E402
from sa2va_core.mattes.stage import MatteStage  # noqa: E402
from sa2va_core.media.frames import Picture  # noqa: E402

SIZES = {"720p": (1280, 720), "1080p": HD, "2160p": UHD}
#: Height of the object, in plate pixels, that is the same at every plate size.
HEIGHTS = (90, 180, 270, 360, 540, 700)


def results(size: tuple[int, int], height: float, count: int = 3) -> list[FrameResult]:
    """A textured disc, ``height`` pixels high, before a textured wall, moving 4 pixels a frame; logits of 256."""
    random = np.random.default_rng(1)
    wall = cv2.resize(random.integers(0, 255, (size[1] // 6, size[0] // 6, 3), np.uint8), size)
    skin = cv2.resize(random.integers(100, 255, (size[1] // 6, size[0] // 6, 3), np.uint8), size)
    made = []
    for t in range(count):
        mask = np.zeros(size[::-1], np.uint8)
        centre = round(size[0] / 2 + 4 * t), size[1] // 2
        cv2.circle(mask, centre, round(height / 2), (255,), -1, cv2.LINE_AA)
        share = cv2.GaussianBlur(
            cv2.resize(mask / np.float32(255), (256, 256), interpolation=cv2.INTER_AREA), (0, 0), 0.8
        )
        share = np.clip(share, 3e-4, 1 - 3e-4)
        rgb = np.where(mask[..., None] > 127, np.roll(skin, 4 * t, 1), wall)
        track = ObjectTrack(np.asarray(np.log(share / (1 - share)), np.float32), 1.0)
        made.append(FrameResult(Picture(t, rgb), {"": track}))
    return made


def median(work: Callable[[], object], least: int = 7, seconds: float = 1.0) -> float:
    """Milliseconds."""
    work()
    times: list[float] = []
    while len(times) < least or sum(times) < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def measure(name: str, height: float, device: str) -> dict[str, object]:
    size = SIZES[name]
    stage = MatteStage(MatteSettings(), size, device)
    frames = results(size, height)
    looks = [stage.look(frame) for frame in frames]
    window = looks[1].mattes[""].window
    assert window is not None
    x0, y0, x1, y1 = window.box
    look = median(lambda: stage.look(frames[1]))
    finish = median(lambda: stage.finish(looks[1], [looks[0], looks[2]]))
    frame = median(lambda: stage.finish(stage.look(frames[1]), [looks[0], looks[2]]))
    line = {
        "plate": name,
        "device": device,
        "object_height_px": height,
        "window_megapixels": round((x1 - x0) * (y1 - y0) / 1e6, 3),
        "look_ms": round(look, 1),
        "finish_ms": round(finish, 1),
        "frame_ms": round(frame, 1),
    }
    print(json.dumps(line), flush=True)
    return line


def plot(lines: list[dict[str, object]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4), dpi=110)
    for name in SIZES:
        points = [(line["window_megapixels"], line["frame_ms"]) for line in lines if line["plate"] == name]
        axes.plot(*zip(*points, strict=True), marker="o", label=f"{name} plate")
    axes.set(xlabel="window around the object, megapixels", ylabel="ms a frame", xlim=(0, None), ylim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    for name, size in SIZES.items():
        measure(name, size[1] / 2, arguments.device)
    if arguments.plot:
        plot([measure(name, height, arguments.device) for name in SIZES for height in HEIGHTS], arguments.plot)


if __name__ == "__main__":
    main()
