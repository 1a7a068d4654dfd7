"""Mattes against the ground truth: plain bilinear upsampling and this project's stage, from the same logits.

    python benchmarks/mattes/quality.py [--half "held out"] [--size hd uhd] [--frames 5] [--device cuda]
                                       [--pictures FOLDER]

Prints a Markdown table for each plate size and logit scale. ``--pictures`` also writes crops of each scene: the
picture, the truth, bilinear, ours. Needs scikit-image. About five minutes on two cores for both sizes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from sa2va_plugin.jobspec import MatteSettings  # noqa: E402

from benchmarks.mattes import logits, metrics, scenes  # noqa: E402
from sa2va_core.engines.base import FrameResult, ObjectTrack  # noqa: E402
from sa2va_core.mattes.logits import Logits  # noqa: E402
from sa2va_core.mattes.stage import MatteStage  # noqa: E402
from sa2va_core.media.frames import Picture  # noqa: E402

SIZES = {"hd": scenes.HD, "uhd": scenes.UHD, "720p": (1280, 720)}
SCALES = {"256 x 256": (256, 256), "960 x 540": (960, 540)}
Mattes = list[NDArray[np.float32]]


def ours(frames: Sequence[scenes.Frame], tracks: Sequence[ObjectTrack], settings: MatteSettings, device: str) -> Mattes:
    size = frames[0].alpha.shape[1], frames[0].alpha.shape[0]
    stage = MatteStage(settings, size, device)
    looks = [
        stage.look(FrameResult(Picture(i, frame.rgb), {"": track}))
        for i, (frame, track) in enumerate(zip(frames, tracks, strict=True))
    ]
    return [
        stage.finish(look, [looks[j] for j in (i - 1, i + 1) if 0 <= j < len(looks)])[""]
        for i, look in enumerate(looks)
    ]


def measure(mattes: Mattes, truths: Mattes) -> list[float]:
    pairs = list(zip(mattes, truths, strict=True))
    borders = [metrics.boundary(m, t) for m, t in pairs]
    return [
        float(np.mean([f for f, _ in borders])),
        float(np.mean([distance for _, distance in borders])),
        float(np.mean([metrics.sad(m, t) for m, t in pairs])),
        float(np.mean([metrics.mse(m, t) for m, t in pairs])),
        float(np.mean([metrics.gradient_error(m, t) for m, t in pairs])),
        metrics.dtssd(mattes, truths),
    ]


def row(name: str, plain: list[float], fitted: list[float]) -> str:
    digits = (3, 2, 1, 1, 3, 2)
    cells = [f"{a:.{d}f} → {b:.{d}f}" for a, b, d in zip(plain, fitted, digits, strict=True)]
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", default="held out", choices=scenes.HALVES)
    parser.add_argument("--size", nargs="+", default=["hd", "uhd"], choices=list(SIZES))
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-steady", action="store_true")
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    settings = MatteSettings(steady=not arguments.no_steady)
    for name in arguments.size:
        rows: dict[str, list[tuple[str, list[float], list[float]]]] = {scale: [] for scale in SCALES}
        for scene in scenes.scenes(arguments.half):
            frames = list(scenes.render(scene, SIZES[name], arguments.frames))
            truths = [frame.alpha for frame in frames]
            for scale, size in SCALES.items():
                tracks = [ObjectTrack(found, 1.0) for found in logits.simulate(truths, size, scene.seed)]
                plain = [Logits.of(track.logits, SIZES[name]).enlarged() for track in tracks]
                fitted = ours(frames, tracks, settings, arguments.device)
                rows[scale].append((scene.kind, measure(plain, truths), measure(fitted, truths)))
                if arguments.pictures and scale == "256 x 256":
                    picture(arguments.pictures / f"{name}-{scene.kind.replace(' ', '-')}.png", frames, plain, fitted)
        for scale, lines in rows.items():
            print(f"\n{name}, {arguments.half}, logits {scale}, bilinear → ours\n")
            print(
                "| scene | boundary F at 2 px | boundary error, px | SAD, k | MSE, 1e-4 | gradient, k | dtSSD, 1e-2 |"
            )
            print("|---|---|---|---|---|---|---|")
            for line in lines:
                print(row(*line))
            plain_mean, our_mean = (np.mean([pair[i] for _, *pair in lines], axis=0).tolist() for i in (0, 1))
            print(row("**mean**", plain_mean, our_mean), flush=True)


def picture(path: Path, frames: Sequence[scenes.Frame], plain: Mattes, fitted: Mattes) -> None:
    """The busiest 240 x 240 pixels of the middle frame's edge: picture, truth, bilinear, ours."""
    at = len(frames) // 2
    truth = frames[at].alpha
    soft = cv2.blur(((truth > 0.05) & (truth < 0.95)).astype(np.float32), (240, 240))
    y, x = np.unravel_index(int(soft[120:-120, 120:-120].argmax()), soft[120:-120, 120:-120].shape)
    crop = np.s_[y : y + 240, x : x + 240]
    grey = [
        np.repeat((matte[crop] * 255 + 0.5).astype(np.uint8)[..., None], 3, 2)
        for matte in (truth, plain[at], fitted[at])
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.hstack([frames[at].rgb[crop][..., ::-1], *grey]))


if __name__ == "__main__":
    main()
