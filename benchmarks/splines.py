"""What splines cost and how good they are: python benchmarks/splines.py [--hd]

Fits every scene of the tests' ground truth (640 x 480, or drawn again at 1920 x 1440 with --hd) at a tolerance of one
pixel and prints the table of docs/splines.md. Times are milliseconds a frame: outlines as a job's threads take them,
then fitting, which a job does once at its end. --picture FILE writes the scenes with their points.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from sa2va_plugin.splines import SplineObject

from sa2va_core.mattes.splines.outline import StoredOutlines, outlines, store
from sa2va_core.mattes.splines.shapes import object_splines
from tests.splines.scenes import FRAMES, SCENES, SIZE, coverage

_ROW = "| {:22s} | {:>6s} | {:>9s} | {:>9s} | {:>6s} | {:>9s} | {:>8s} | {:>7s} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hd", action="store_true")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    scale = 3 if arguments.hd else 1
    size = (SIZE[0] * scale, SIZE[1] * scale)
    print(_ROW.format("scene", "shapes", "points", "keys", "IoU", "worst px", "outlines", "fitting"))
    print("|---|---|---|---|---|---|---|---|")
    tiles = []
    for name, scene in SCENES.items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            spent = 0.0
            for frame in range(FRAMES):
                alpha = coverage([(polygon * scale, hole) for polygon, hole in scene(frame)], size)
                began = time.perf_counter()
                store(folder / f"{frame}.npz", outlines(alpha))
                spent += time.perf_counter() - began

            def stored(frame: int, folder: Path = folder) -> StoredOutlines:
                return StoredOutlines(folder / f"{frame}.npz")

            began = time.perf_counter()
            item = object_splines(name, name, range(FRAMES), stored, size, 1.0)
            fitting = time.perf_counter() - began
        points = ", ".join(str(len(shape.keys[0].points)) for shape in item.shapes)
        keys = ", ".join(f"{len(shape.keys)}/{shape.last - shape.first + 1}" for shape in item.shapes)
        fit = item.fit
        costs = (f"{spent / FRAMES * 1000:.1f}", f"{fitting / FRAMES * 1000:.0f}")
        figures = (str(len(item.shapes)), points, keys, f"{fit.worst_iou:.4f}", f"{fit.worst_px:.2f}")
        print(_ROW.format(name, *figures, *costs), flush=True)
        tiles.append(_tile(coverage(scene(FRAMES // 2), SIZE), item, scale))
    if arguments.picture:
        rows = [np.hstack(tiles[i : i + 5]) for i in range(0, len(tiles), 5)]
        cv2.imwrite(
            str(arguments.picture), cv2.resize(np.vstack(rows), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        )


def _tile(alpha: np.ndarray, item: SplineObject, scale: int) -> np.ndarray:
    """A scene's middle frame: the matte grey, curves, points and handles over it."""
    image = cv2.cvtColor((alpha * 90 + 20).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    for shape in item.shapes:
        points = shape.points_at(FRAMES // 2)
        if points is None:
            continue
        pose = np.array(points) / scale
        following = np.roll(pose, -1, axis=0)
        t = np.linspace(0, 1, 24)[:, None, None]
        s = 1 - t
        line = (
            s**3 * pose[:, :2] + 3 * s**2 * t * pose[:, 4:] + 3 * s * t**2 * following[:, 2:4] + t**3 * following[:, :2]
        )
        polygon = np.round(line.transpose(1, 0, 2).reshape(-1, 2) * 16).astype(np.int32)
        cv2.polylines(image, [polygon], True, (90, 110, 255) if shape.hole else (120, 255, 120), 2, cv2.LINE_AA, 4)
        for x, y, *handles in pose.round().astype(int).tolist():
            cv2.line(image, tuple(handles[:2]), tuple(handles[2:]), (255, 190, 80), 1, cv2.LINE_AA)
            cv2.circle(image, (x, y), 4, (255, 255, 255), -1, cv2.LINE_AA)
    return image


if __name__ == "__main__":
    main()
