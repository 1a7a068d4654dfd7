"""What splines cost and how good they are.

    python benchmarks/splines.py shapes [--tolerance 1]           moving shapes of known coverage (tests/splines)
    python benchmarks/splines.py mattes [--tolerance 2]           the held-out half of benchmarks/mattes at 1080p:
                                                                  true alphas, and mattes of imitated logits
    python benchmarks/splines.py folder OUT NAME [--tolerance 2]  an object's EXR or still mattes of a finished job

Prints a Markdown table of docs/splines.md. Times are milliseconds of CPU a frame: outlines as a job's threads take
them, then fitting, which a job does once at its end. --picture FILE writes frames one after the other with points
(white at keys, red between) and handles; --frames A-B says which, --box X0,Y0,X1,Y1 what part of the plate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from sa2va_plugin.jobspec import MatteSettings  # noqa: E402
from sa2va_plugin.naming import layer_name  # noqa: E402
from sa2va_plugin.splines import SplineObject  # noqa: E402

from benchmarks.mattes import logits, quality  # noqa: E402
from benchmarks.mattes import scenes as rendered  # noqa: E402
from sa2va_core.engines.base import ObjectTrack  # noqa: E402
from sa2va_core.mattes.splines.measure import drawn  # noqa: E402
from sa2va_core.mattes.splines.outline import StoredOutlines, store  # noqa: E402
from sa2va_core.mattes.splines.shapes import object_splines  # noqa: E402
from sa2va_core.media.mattes import read_matte  # noqa: E402
from tests.splines import scenes as moving  # noqa: E402

Alpha = NDArray[np.float32]
_HEAD = ("matte", "shapes", "points", "keys / frames", "IoU mean, worst", "worst px", "outlines ms", "fitting ms")
_SHOWN, _RENDERED = 6, 24


def shapes() -> Iterator[tuple[str, list[Alpha]]]:
    for name, scene in moving.SCENES.items():
        yield name, [moving.coverage(scene(frame), moving.SIZE) for frame in range(moving.FRAMES)]


def mattes() -> Iterator[tuple[str, list[Alpha]]]:
    for scene in rendered.scenes("held out"):
        frames = list(rendered.render(scene, rendered.HD, _RENDERED))
        truths = [frame.alpha for frame in frames]
        yield f"{scene.kind}, true", truths
        tracks = [ObjectTrack(found, 1.0) for found in logits.simulate(truths, (256, 256), scene.seed)]
        yield f"{scene.kind}, ours", quality.ours(frames, tracks, MatteSettings(), "cpu")


def finished(folder: Path, name: str) -> Iterator[tuple[str, list[Alpha]]]:
    records = json.loads((folder / "manifest.json").read_text())["frames"]
    files = [next(file for file in record["files"] if file.startswith("mattes/")) for record in records]
    yield name, [read_matte(folder / file, layer_name(name)) for file in files]


def fitted(name: str, alphas: Iterable[Alpha], tolerance: float) -> tuple[SplineObject, tuple[float, float], list[int]]:
    """Splines, milliseconds of CPU a frame of outlines and of fitting, and each shape's number of points."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        outlining, count, size = 0.0, 0, (0, 0)
        for count, alpha in enumerate(alphas, 1):
            began = time.process_time()
            store(folder / f"{count - 1}.npz", alpha, tolerance)
            outlining += time.process_time() - began
            size = alpha.shape[1], alpha.shape[0]
        began = time.process_time()
        item = object_splines(name, name, range(count), lambda f: StoredOutlines(folder / f"{f}.npz"), size, tolerance)
        fitting = time.process_time() - began
    return (
        item,
        (outlining / count * 1000, fitting / count * 1000),
        [len(shape.keys[0].points) for shape in item.shapes],
    )


def row(item: SplineObject, costs: tuple[float, float]) -> str:
    longest = sorted(item.shapes, key=lambda s: -(s.last - s.first + 1) * len(s.keys[0].points))
    more = f", {len(longest) - _SHOWN} more" if len(longest) > _SHOWN else ""
    points = ", ".join(str(len(s.keys[0].points)) for s in longest[:_SHOWN]) + more
    keys = ", ".join(f"{len(s.keys)}/{s.last - s.first + 1}" for s in longest[:_SHOWN])
    fit = item.fit
    cells = (item.name, str(len(longest)), points, keys, f"{fit.iou:.4f}, {fit.worst_iou:.4f}", f"{fit.worst_px:.2f}")
    return "| " + " | ".join((*cells, f"{costs[0]:.1f}", f"{costs[1]:.0f}")) + " |"


def tile(alpha: Alpha, item: SplineObject, frame: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    x0, y0, x1, y1 = box
    scale = 480 / max(x1 - x0, y1 - y0)
    grey = cv2.resize(alpha[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = np.repeat((grey * 90 + 20).astype(np.uint8)[..., None], 3, 2)
    for shape in item.shapes:
        points = shape.points_at(frame)
        if points is None:
            continue
        pose = (np.array(points).reshape(-1, 3, 2) - (x0, y0)) * scale
        line = np.round(drawn(pose.reshape(-1, 6)) * 16).astype(np.int32)
        cv2.polylines(image, [line], True, (120, 120, 255) if shape.hole else (120, 255, 120), 1, cv2.LINE_AA, 4)
        at_key = any(key.frame == frame for key in shape.keys)
        for (x, y), left, right in pose.round().astype(int).tolist():
            cv2.line(image, tuple(left), tuple(right), (255, 190, 80), 1, cv2.LINE_AA)
            cv2.circle(image, (x, y), 3, (255, 255, 255) if at_key else (90, 90, 255), -1, cv2.LINE_AA)
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("shapes", "mattes", "folder"))
    parser.add_argument("where", nargs="*")
    parser.add_argument("--tolerance", type=float, default=2.0)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--frames", default="8-15")
    parser.add_argument("--box", default="")
    arguments = parser.parse_args()
    sources = {
        "shapes": shapes,
        "mattes": mattes,
        "folder": lambda: finished(Path(arguments.where[0]), arguments.where[1]),
    }
    print("| " + " | ".join(_HEAD) + " |\n" + "|---" * len(_HEAD) + "|")
    counts: list[int] = []
    rows = []
    first, last = (int(part) for part in arguments.frames.split("-"))
    for name, alphas in sources[arguments.what]():
        item, costs, points = fitted(name, alphas, arguments.tolerance)
        counts += points
        print(row(item, costs), flush=True)
        height, width = alphas[0].shape
        x0, y0, x1, y1 = (int(part) for part in (arguments.box or f"0,0,{width},{height}").split(","))
        rows.append(
            np.hstack([tile(alphas[f], item, f, (x0, y0, x1, y1)) for f in range(first, min(last + 1, len(alphas)))])
        )
    print(f"\nThe median is {statistics.median(counts):g} points a shape, of {len(counts)} shapes.")
    if arguments.picture:
        cv2.imwrite(str(arguments.picture), np.vstack(rows))


if __name__ == "__main__":
    main()
