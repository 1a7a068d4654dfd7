"""Crops of real footage before and after the matte stage: plate, bilinear, ours, and both over green.

    python benchmarks/mattes/footage.py CLIP FIRST-LAST OUT.png NAME=PHRASE:X,Y,SIDE ...

Each crop is a square of the middle frame of the range, in plate pixels. The starter engine looks at the range from its
first frame on; the same logits go both ways.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from sa2va_plugin.jobspec import EngineSpec, MatteSettings, ObjectSpec, Shot  # noqa: E402

from sa2va_core.engines import registry  # noqa: E402
from sa2va_core.mattes.logits import Logits  # noqa: E402
from sa2va_core.mattes.stage import MatteStage  # noqa: E402
from sa2va_core.media.clip import open_clip  # noqa: E402

_SIDE = 240
_GREEN = np.array([60, 180, 60])


def strip(rgb: NDArray[np.uint8], mattes: list[NDArray[np.float32]]) -> NDArray[np.uint8]:
    bgr = rgb[..., ::-1]
    greys = [np.repeat((matte * 255 + 0.5).astype(np.uint8)[..., None], 3, 2) for matte in mattes]
    over = [(bgr * matte[..., None] + _GREEN * (1 - matte[..., None])).astype(np.uint8) for matte in mattes]
    tiles = [cv2.resize(tile, (_SIDE, _SIDE), interpolation=cv2.INTER_NEAREST) for tile in (bgr, *greys, *over)]
    return np.asarray(np.hstack(tiles), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip")
    parser.add_argument("range")
    parser.add_argument("out", type=Path)
    parser.add_argument("crops", nargs="+")
    arguments = parser.parse_args()
    first, last = (int(part) for part in arguments.range.split("-"))
    crops = [(text.rpartition(":")[0].split("=", 1), text.rpartition(":")[2]) for text in arguments.crops]
    phrases = {name: phrase for (name, phrase), _ in crops}
    with open_clip(Shot(arguments.clip, range=(first, last))) as clip:
        engine = registry.create(EngineSpec())
        objects = [ObjectSpec(name, phrase) for name, phrase in phrases.items()]
        results = {result.picture.frame: result for result in engine.open_shot(clip, objects).run()}
        middle = clip.frames[len(clip.frames) // 2]
        size = clip.facts.size
    stage = MatteStage(MatteSettings(), size, "cpu")
    looks = {frame: stage.look(results[frame]) for frame in (middle - 1, middle, middle + 1) if frame in results}
    ours = stage.finish(looks.pop(middle), list(looks.values()))
    rows = []
    for (name, _), place in crops:
        x, y, side = (int(part) for part in place.split(","))
        box = np.s_[y : y + side, x : x + side]
        plain = Logits.of(results[middle].objects[name].logits, size).enlarged()
        rows.append(strip(results[middle].picture.rgb[box], [plain[box], ours[name][box]]))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), np.vstack(rows))


if __name__ == "__main__":
    main()
