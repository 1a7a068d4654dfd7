"""How often the QC report ranks a planted fault first, and how often it blames true mattes, on shots it never saw.

    python benchmarks/qc_faults.py            the held-out set
    python benchmarks/qc_faults.py --set 3    another one; any number makes its own
    python benchmarks/qc_faults.py JOB...     on top of an engine's mattes: folders of finished EXR jobs

The report's numbers were set on the textured discs of ``tests/mattes/scene.py``. These shots share nothing with them:
photos (scikit-image's own, CC0 or public domain), other shapes, motions, sizes and seeds, shutter blur, camera moves.
With jobs, the middle of each shot is taken and each object gets its faults in turn; the engine's own faults compete.
A fault of one frame is ranked first when the first line of the report names that frame and object; a swap when it names
the frame of the swap and one of the two; jitter when it names the object and a frame of the stretch.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from sa2va_plugin.jobspec import JobSpec, ObjectSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sa2va_core.engines.base import Verdict
from sa2va_core.mattes.qc import result
from sa2va_core.mattes.qc.record import load, measure, save
from sa2va_core.mattes.qc.score import GOOD, Judge
from sa2va_core.mattes.qc.timeline import Timeline
from sa2va_core.media.clip import open_clip
from sa2va_core.media.frames import Picture, PlateFacts
from sa2va_core.media.mattes import read_matte

Matte = NDArray[np.float32]
Frames = list[dict[str, Matte]]
Random = np.random.Generator

WIDTH, HEIGHT, COUNT = 960, 540, 28
PHOTOS = ("coffee", "astronaut", "chelsea", "rocket", "brick", "gravel", "grass", "retina", "hubble_deep_field")
MOTIONS = ("slow", "turning", "walking", "nearing", "shaken", "fast", "entering", "leaving", "occluded")
SHOTS_EACH = 2


@dataclass(frozen=True)
class Scene:
    """``pictures``: uint8 RGB; ``mattes``: the truth, the object with the fault first."""

    name: str
    pictures: list[NDArray[np.uint8]]
    mattes: Frames


def scenes(number: int) -> Iterator[Scene]:
    for kind, motion in enumerate(MOTIONS):
        for take in range(SHOTS_EACH):
            yield _scene(motion, np.random.default_rng([number, kind, take]))


def scenes_of(folder: Path) -> Iterator[Scene]:
    """The middle of a finished job's shot, once for each of its objects, with one more object where there is one."""
    data = json.loads((folder / "manifest.json").read_text("utf-8"))
    spec = JobSpec.from_dict(data["job"])
    start = max(0, (len(data["frames"]) - COUNT) // 2)
    records = data["frames"][start : start + COUNT]
    names = [item["name"] for item in data["objects"]]
    pictures: list[NDArray[np.uint8]] = []
    mattes: list[dict[str, Matte]] = []
    with open_clip(spec.shot) as clip:
        for record in records:
            rgb = clip.read(record["frame"]).rgb
            size = WIDTH, round(WIDTH * rgb.shape[0] / rgb.shape[1])
            pictures.append(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8))
            path = next(folder / name for name in record["files"] if name.startswith("mattes/"))
            whole = [read_matte(path, name) for name in names]
            small = [np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32) for one in whole]
            mattes.append(dict(zip(names, small, strict=True)))
    for name in names:
        beside = [other for other in names if other != name][:1]
        roles = dict(zip([name, *beside], ("first", "second"), strict=False))
        frames = [{role: frame[its] for its, role in roles.items()} for frame in mattes]
        yield Scene(f"{folder.name}, {name}", pictures, frames)


def _scene(motion: str, random: Random) -> Scene:
    ground, *skins = (_photo(name) for name in random.choice(PHOTOS, 4, replace=False))
    sizes = random.uniform(45, 90) * (0.5 if motion == "fast" else 1.0), random.uniform(40, 80)
    shapes = [_shape(random) for _ in sizes]
    at = [(random.uniform(200, 330), random.uniform(200, 340)), (random.uniform(640, 760), random.uniform(200, 340))]
    phases = random.uniform(0, 2 * math.pi, 4)
    drift = random.uniform(-2.5, 2.5, 2)
    shake = np.cumsum(random.normal(0, 3.0, (COUNT, 2)), axis=0) if motion == "shaken" else np.zeros((COUNT, 2))
    speed, turn = random.uniform(22, 40), random.uniform(0.05, 0.12)

    def place(index: int, t: float) -> tuple[float, float, float, float, float]:
        """x, y, size, angle and how far limbs have swung."""
        x, y = at[index]
        size, angle, swing = sizes[index], 0.02 * t, 0.15 * math.sin(0.5 * t + phases[index])
        x, y = x + 14 * math.sin(0.13 * t + phases[index]), y + 10 * math.cos(0.11 * t + phases[index + 2])
        if index:
            return x, y, size, angle, swing
        if motion == "turning":
            angle = turn * t
        elif motion == "walking":
            x, swing = x + 4.0 * t, 0.6 * math.sin(0.7 * t)
        elif motion == "nearing":
            size *= 1 + 0.02 * t
        elif motion == "fast":
            x = 480 + 380 * math.sin(speed * t / 380)
        elif motion == "entering":
            x += -420 + 16 * t
        elif motion == "leaving":
            x -= 16 * t
        elif motion == "occluded":
            x += -60 + 14 * t
        return x, y, size, angle, swing

    pictures, mattes = [], []
    wall = _ellipse(at[0][0] + 140, 270, 45, 230) if motion == "occluded" else None
    for frame in range(COUNT):
        dx, dy = drift * frame + shake[frame]
        picture = _slid(ground, dx, dy)
        layers: list[Matte] = []
        for index, skin in enumerate(skins[:2]):
            # Half of the shutter is open.
            moments = [place(index, frame + s) for s in (-0.25, 0.0, 0.25)]
            matte = np.mean([shapes[index](*moment) for moment in moments], axis=0).astype(np.float32)
            x, y, size, angle, _ = moments[1]
            inside = _turned(skin, x, y, angle, size / sizes[index])
            picture = picture + matte[..., None] * (inside - picture)
            layers = [*(m * (1 - matte) for m in layers), matte]
        if wall is not None:
            cover = _slid(wall, dx, dy)
            picture = picture + cover[..., None] * (_slid(skins[2], dx, dy) - picture)
            layers = [m * (1 - cover) for m in layers]
        noisy = picture + random.normal(0, 2.5, picture.shape)
        pictures.append(np.clip(noisy, 0, 255).astype(np.uint8))
        mattes.append({"first": layers[0], "second": layers[1]})
    return Scene(motion, pictures, mattes)


def _photo(name: str) -> NDArray[np.float32]:
    image = getattr(skimage.data, name)()
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image[..., :3]
    scale = max((WIDTH + 320) / image.shape[1], (HEIGHT + 320) / image.shape[0])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.float32)


def _slid(image: NDArray[np.float32], dx: float, dy: float) -> NDArray[np.float32]:
    offset = 160 if image.ndim == 3 else 0
    move = np.array([[1, 0, dx - offset], [0, 1, dy - offset]], np.float32)
    border = cv2.BORDER_REFLECT if image.ndim == 3 else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(image, move, (WIDTH, HEIGHT), borderMode=border), np.float32)


def _turned(image: NDArray[np.float32], x: float, y: float, angle: float, scale: float) -> NDArray[np.float32]:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    mx, my = image.shape[1] / 2, image.shape[0] / 2
    move = np.array([[c, -s, x - c * mx + s * my], [s, c, y - s * mx - c * my]], np.float32)
    return np.asarray(cv2.warpAffine(image, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.float32)


def _shape(random: Random) -> Callable[[float, float, float, float, float], Matte]:
    """One of: a body with limbs, a star, a ring with a bar across its hole."""
    kind, count = int(random.integers(3)), int(random.integers(3, 6))
    start, depth = random.uniform(0, 2 * math.pi), random.uniform(0.25, 0.45)

    def body(x: float, y: float, size: float, angle: float, swing: float) -> Matte:
        parts = [_ellipse(x, y, 0.5 * size, size, angle), _ellipse(x, y - 1.25 * size, 0.35 * size, 0.4 * size)]
        for side in (-1, 1):
            direction = math.pi / 2 + side * (0.5 + swing) + angle
            hx, hy = x + 1.2 * size * math.cos(direction), y + 1.2 * size * math.sin(direction)
            parts.append(_ellipse(hx, hy, 0.18 * size, 0.8 * size, direction - math.pi / 2))
        return np.maximum.reduce(parts)

    def star(x: float, y: float, size: float, angle: float, swing: float) -> Matte:
        turns = np.linspace(0, 2 * math.pi, 8 * count, endpoint=False)
        radius = size * (1 + depth * np.cos(count * turns + start + swing))
        points = np.stack([x + radius * np.cos(turns + angle), y + radius * np.sin(turns + angle)], axis=1)
        return _drawn(lambda out: cv2.fillPoly(out, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4))

    def ring(x: float, y: float, size: float, angle: float, swing: float) -> Matte:
        hole = _ellipse(x, y, 0.45 * size, 0.6 * size, angle + swing)
        bar = _ellipse(x, y, 0.08 * size, 0.7 * size, angle + start)
        return np.maximum(_ellipse(x, y, size, 1.1 * size, angle) - hole, bar)

    return (body, star, ring)[kind]


def _ellipse(x: float, y: float, a: float, b: float, angle: float = 0.0) -> Matte:
    centre, axes = (round(x * 16), round(y * 16)), (round(a * 16), round(b * 16))
    return _drawn(lambda out: cv2.ellipse(out, centre, axes, math.degrees(angle), 0, 360, 255, -1, cv2.LINE_AA, 4))


def _drawn(draw: Callable[[Any], Any]) -> Matte:
    out = np.zeros((HEIGHT, WIDTH), np.uint8)
    draw(out)
    return np.multiply(cv2.GaussianBlur(out, (0, 0), 0.8), 1 / 255, dtype=np.float32)


# Faults. Each changes the mattes of "first" in place and returns (frames, objects) that may be named first.

Planted = tuple[set[int], set[str]]
Fault = Callable[[Frames, int, Random], Planted]


def _glitch(change: Callable[[Matte, Random], Matte]) -> Fault:
    def plant(mattes: Frames, t: int, random: Random) -> Planted:
        mattes[t]["first"] = np.clip(change(mattes[t]["first"], random), 0, 1).astype(np.float32)
        return {t}, {"first"}

    return plant


def _centre(matte: Matte) -> tuple[float, float, float]:
    """And the radius of a disc of the same area."""
    moments = cv2.moments(matte)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"], math.sqrt(moments["m00"] / math.pi)


def _disc(matte: Matte, x: float, y: float, radius: float) -> Matte:
    rows, columns = np.mgrid[0 : matte.shape[0], 0 : matte.shape[1]].astype(np.float32)
    return np.clip((radius - np.hypot(columns - x, rows - y)) / 2 + 0.5, 0, 1).astype(np.float32)


def _half(matte: Matte, random: Random) -> Matte:
    x, y, _ = _centre(matte)
    rows, columns = np.mgrid[0 : matte.shape[0], 0 : matte.shape[1]].astype(np.float32)
    angle = random.uniform(0, 2 * math.pi)
    return matte * ((columns - x) * math.cos(angle) + (rows - y) * math.sin(angle) > 0)


def _beside(share: float) -> Callable[[Matte, Random], Matte]:
    def change(matte: Matte, random: Random) -> Matte:
        x, y, radius = _centre(matte)
        angle = random.uniform(0, 2 * math.pi)
        way = 1.1 * radius
        return np.maximum(matte, _disc(matte, x + way * math.cos(angle), y + way * math.sin(angle), share * radius))

    return change


def _hole(matte: Matte, random: Random) -> Matte:
    solid = np.argwhere(matte > 0.9)
    y, x = solid[random.integers(len(solid))]
    return matte * (1 - _disc(matte, float(x), float(y), 0.4 * _centre(matte)[2]))


def _elsewhere(matte: Matte, random: Random) -> Matte:
    x, y, radius = _centre(matte)
    return _disc(matte, matte.shape[1] - x, matte.shape[0] - y, radius)


def _wider(pixels: float) -> Callable[[Matte, Random], Matte]:
    def change(matte: Matte, random: Random) -> Matte:
        size = round(abs(pixels) * matte.shape[1] / WIDTH) * 2 + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        return np.asarray((cv2.dilate if pixels > 0 else cv2.erode)(matte, kernel), np.float32)

    return change


def _moved(matte: Matte, dx: float, dy: float, scale: float = 1.0) -> Matte:
    if not matte.any():
        return matte
    x, y, _ = _centre(matte)
    move = np.array([[scale, 0, x - scale * x + dx], [0, scale, y - scale * y + dy]], np.float32)
    return np.asarray(cv2.warpAffine(matte, move, matte.shape[::-1]), np.float32)


def _warped(matte: Matte, random: Random, pixels: float) -> Matte:
    """The outline bent by smooth noise."""
    unit = matte.shape[1] / WIDTH
    rows, columns = np.mgrid[0 : matte.shape[0], 0 : matte.shape[1]].astype(np.float32)
    coarse = random.normal(0, 1, (2, *(round(side / (24 * unit)) for side in matte.shape))).astype(np.float32)
    dx, dy = (cv2.resize(noise, matte.shape[::-1], interpolation=cv2.INTER_CUBIC) * pixels for noise in coarse)
    return np.asarray(cv2.remap(matte, columns + dx, rows + dy, cv2.INTER_LINEAR), np.float32)


def _jitter(change: Callable[[Matte, Random], Matte], length: int) -> Fault:
    def plant(mattes: Frames, t: int, random: Random) -> Planted:
        start = max(1, min(t - length // 2, len(mattes) - length))
        span = range(start, min(start + length, len(mattes)))
        for i in span:
            mattes[i]["first"] = change(mattes[i]["first"], random)
        return {*span, span.stop}, {"first"}

    return plant


def _place_jitter(pixels: float, length: int = 8) -> Fault:
    def change(matte: Matte, random: Random) -> Matte:
        return _moved(matte, *(random.normal(0, pixels, 2) * matte.shape[1] / WIDTH))

    return _jitter(change, length)


def _exchange(mattes: Frames, t: int, random: Random) -> Planted:
    for frame in mattes[t:]:
        frame["first"], frame["second"] = frame["second"], frame["first"]
    return {t}, {"first", "second"}


def _visit(mattes: Frames, t: int, random: Random) -> Planted:
    for frame in mattes[t : t + 4]:
        frame["first"], frame["second"] = frame["second"], frame["first"]
    return {t, t + 4}, {"first", "second"}


def _jump(mattes: Frames, t: int, random: Random) -> Planted:
    for frame in mattes[t:]:
        frame["first"] = frame["second"]
    return {t}, {"first"}


FAULTS: dict[str, Fault] = {
    "one frame: nothing": _glitch(lambda matte, random: np.zeros_like(matte)),
    "one frame: half": _glitch(_half),
    "one frame: hole": _glitch(_hole),
    "one frame: small piece more": _glitch(_beside(0.4)),
    "one frame: large piece more": _glitch(_beside(0.9)),
    "one frame: elsewhere": _glitch(_elsewhere),
    "one frame: 8 px wider": _glitch(_wider(8)),
    "one frame: 6 px narrower": _glitch(_wider(-6)),
    "swap: for good": _exchange,
    "swap: for 4 frames": _visit,
    "swap: one jumps to the other": _jump,
    "jitter: place 2 px": _place_jitter(2),
    "jitter: place 4 px": _place_jitter(4),
    "jitter: place 4 px, all along": _place_jitter(4, COUNT),
    "jitter: size 4 %": _jitter(lambda m, random: _moved(m, 0, 0, random.normal(1, 0.04)), 8),
    "jitter: outline 3 px": _jitter(lambda m, random: _warped(m, random, 3 * m.shape[1] / WIDTH), 8),
    "jitter: outline 6 px": _jitter(lambda m, random: _warped(m, random, 6 * m.shape[1] / WIDTH), 8),
}


def judged(pictures: Sequence[NDArray[np.uint8]], mattes: Frames) -> dict[str, Any]:
    """The ``qc.json`` of these mattes. Every object is as sure as any engine can be."""
    names = list(mattes[0])
    frames = range(len(pictures))
    with tempfile.TemporaryDirectory() as folder:
        timeline = Timeline(frames, lambda frame: load(Path(folder) / str(frame)), 2)
        for i in frames:
            here = [mattes[i][name] for name in names]
            scores = [{"presence": 1.0, "coverage": float(m.mean()), "peak": float(m.max())} for m in here]
            record = measure(Picture(i, pictures[i]), here, scores)
            timeline.add(save(record, Path(folder) / str(i)))
        tracks = [timeline.track(index) for index in range(len(names))]
        judges = [Judge(track, names, timeline.scale) for track in tracks]
        timeline.compare(sorted({(t - 1, t + 1) for judge in judges for t in judge.suspects}), lambda *_: None)
    judgements = [
        judge.judge({t: timeline.link(t - 1, t + 1, index) for t in judge.suspects})
        for index, judge in enumerate(judges)
    ]
    height, width = pictures[0].shape[:2]
    facts = PlateFacts("shot", (width, height), 1.0, Fraction(24), "sRGB", "job")
    objects = [ObjectSpec(name, name) for name in names]
    found = {name: Verdict("found", "x") for name in names}
    return result.build(facts, objects, found, {}, frames, tracks, judgements, timeline.scale)


def _frame_for_fault(mattes: Frames, random: Random) -> int:
    """One on which all objects are well in view, and on the frames beside it."""
    areas = {name: np.array([frame[name].sum() for frame in mattes]) for name in mattes[0]}
    seen = np.logical_and.reduce([area > 0.5 * area.max() for area in areas.values()])
    good = [t for t in range(3, len(mattes) - 6) if seen[t - 1 : t + 6].all()]
    return int(random.choice(good or [int(areas["first"].argmax())]))


def plant_all(scene: Scene, seed: int, tally: dict[str, list[bool]], verbose: bool) -> None:
    clean = judged(scene.pictures, scene.mattes)
    below = [item for item in clean["worst"] if item["score"] < GOOD]
    tally[f"clean: {scene.name}"].append(not below)
    for item in below if verbose else ():
        print(f"  false alarm, {scene.name}: {item['object']} {item['frame']} {item['score']:.2f} {item['reasons']}")
    for number, (name, fault) in enumerate(FAULTS.items()):
        if name.startswith("swap") and "second" not in scene.mattes[0]:
            continue
        random = np.random.default_rng([seed, number])
        mattes = [dict(frame) for frame in scene.mattes]
        t = _frame_for_fault(mattes, random)
        where, whose = fault(mattes, t, random)
        first = judged(scene.pictures, mattes)["worst"][:1]
        hit = bool(first) and first[0]["frame"] in where and first[0]["object"] in whose
        tally[name].append(hit)
        if verbose and not hit:
            print(f"  missed, {scene.name}: {name} on {sorted(where)[0]}; first is {first}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", type=Path, metavar="JOB", help="finished jobs to plant the faults in")
    parser.add_argument("--set", type=int, default=2, help="which set of shots (default: 2)")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell of each miss")
    arguments = parser.parse_args()
    tally: dict[str, list[bool]] = defaultdict(list)
    shots = (scene for job in arguments.jobs for scene in scenes_of(job)) if arguments.jobs else scenes(arguments.set)
    for number, scene in enumerate(shots):
        plant_all(scene, 1000 * arguments.set + number, tally, arguments.verbose)
    for name, hits in tally.items():
        what = "no false alarm" if name.startswith("clean") else "ranked first"
        print(f"{name:34} {what:15} {sum(hits):3d} of {len(hits)}")


if __name__ == "__main__":
    main()
