"""Rendered scenes whose alpha is exactly known: the ground truth behind every claim about mattes.

A small compositor: each object is a coverage mask, drawn with smooth edges at twice the plate's size, averaged over the
moments of the shutter where it moves, reduced by area, and laid over a photo **in linear light**, as a lens does; then
sensor noise is added and the picture is encoded as sRGB. The very alpha that was used for laying over is the truth.
Object and background each have the texture of a real photo (scikit-image's own, CC0 or public domain), so colours
overlap at the edge as they do on a set.

Every kind of scene comes in two halves that share no pair of photos, seed, speed or shape: ``tuning`` is what defaults
may be chosen on, ``held out`` is what figures are stated on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

Half = Literal["tuning", "held out"]
Size = tuple[int, int]
Draw = Callable[["Scene", NDArray[np.uint8], float, float], None]

HD: Size = (1920, 1080)
UHD: Size = (3840, 2160)
HALVES: tuple[Half, Half] = ("tuning", "held out")
_OVERSAMPLE = 2
_SHIFT = 4
_ONE = 1 << _SHIFT


@dataclass(frozen=True)
class Scene:
    """``seed`` decides shapes; ``speed`` is in 1080p pixels a frame; ``blur`` is the share of a frame that the shutter
    is open; ``defocus`` is the standard deviation of the lens blur in 1080p pixels."""

    kind: str
    half: Half
    draw: Draw
    photos: tuple[str, str]
    seed: int
    speed: tuple[float, float]
    blur: float = 0.0
    defocus: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.half}"


@dataclass(frozen=True)
class Frame:
    """``rgb``: uint8 (H, W, 3), sRGB. ``alpha``: float32 (H, W), 0..1, the coverage that was composited.
    ``foreground``: float32 (H, W, 3), linear light, the object's own colour everywhere."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    foreground: NDArray[np.float32]


def render(scene: Scene, size: Size, frames: int) -> Iterator[Frame]:
    """The first ``frames`` frames of a scene at ``size``; the same numbers on every run."""
    scale = size[1] / 1080.0
    front, back = (_photo(name, size) for name in scene.photos)
    noise = np.random.default_rng(scene.seed + 1000)
    for t in range(frames):
        alpha = _coverage(scene, size, scale, float(t))
        moved = np.asarray(scene.speed) * t * scale
        # The object carries its texture along; the camera pans slowly over the background.
        colour = _shifted(front, moved[0], moved[1])
        behind = _shifted(back, 0.7 * t * scale, 0.0)
        if scene.defocus:
            alpha = cv2.GaussianBlur(alpha, (0, 0), scene.defocus * scale)
            colour = cv2.GaussianBlur(colour, (0, 0), scene.defocus * scale)
        share = alpha[..., None]
        linear = np.asarray(share * colour + (1 - share) * behind, np.float32)
        encoded = _encoded(linear) * 255.0
        grain = noise.standard_normal((size[1], size[0], 1), np.float32) * 2.0
        rgb = np.clip(encoded + grain + 0.5, 0, 255).astype(np.uint8)
        yield Frame(rgb, np.asarray(alpha, np.float32), np.asarray(colour, np.float32))


def _coverage(scene: Scene, size: Size, scale: float, t: float) -> NDArray[np.float32]:
    large = size[0] * _OVERSAMPLE, size[1] * _OVERSAMPLE
    travel = float(np.hypot(*scene.speed)) * scene.blur * scale
    samples = max(1, min(24, round(travel / 1.5)))
    total = np.zeros((size[1], size[0]), np.float32)
    for i in range(samples):
        drawn = np.zeros((large[1], large[0]), np.uint8)
        moment = t + scene.blur * ((i + 0.5) / samples - 0.5)
        scene.draw(scene, drawn, moment, scale * _OVERSAMPLE)
        total += cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
    return total / np.float32(255 * samples)


# What is drawn. Coordinates are 1080p pixels; ``scale`` takes them to the drawing.


def _place(scene: Scene, t: float) -> NDArray[np.float64]:
    start = np.array([760.0, 520.0]) - 2 * np.asarray(scene.speed)
    return start + np.asarray(scene.speed) * t


def _line(image: NDArray[np.uint8], a: NDArray, b: NDArray, width: float, scale: float) -> None:
    """A stroke with round ends and exact width: a polygon, for OpenCV's own lines have whole widths."""
    along = b - a
    length = float(np.hypot(*along))
    if length == 0:
        return
    side = np.array([-along[1], along[0]]) / length * width / 2
    _fill(image, np.stack([a + side, b + side, b - side, a - side]), scale)


def _fill(image: NDArray[np.uint8], points: NDArray, scale: float, value: int = 255) -> None:
    cv2.fillPoly(image, [np.round(points * scale * _ONE).astype(np.int32)], (value,), cv2.LINE_AA, _SHIFT)


def _blob(scene: Scene, centre: NDArray, radius: float, t: float = 0.0, rough: float = 0.12) -> NDArray:
    random = np.random.default_rng(scene.seed)
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    waves = np.zeros_like(angle)
    for k in range(2, 9):
        waves += random.normal(0, rough / k) * np.cos(k * angle + random.uniform(0, 6.28) + 0.05 * t)
    return centre + radius * (1 + waves)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _hair(scene: Scene, image: NDArray[np.uint8], t: float, scale: float) -> None:
    """A head with some seven hundred curved hairs of 0.8 to 2.2 pixels."""
    centre = _place(scene, t)
    _fill(image, _blob(scene, centre, 190, t, 0.06), scale)
    random = np.random.default_rng(scene.seed + 1)
    for angle in random.uniform(0, 2 * np.pi, 700):
        length, bend, width = random.uniform(30, 120), random.uniform(-0.9, 0.9), random.uniform(0.8, 2.2)
        sway = 0.06 * np.sin(0.7 * t + 3 * angle)
        point = centre + 170 * np.array([np.cos(angle), np.sin(angle)])
        heading = angle
        for step in range(6):
            heading += (bend + sway) / 6
            tip = point + length / 6 * np.array([np.cos(heading), np.sin(heading)])
            _line(image, point, tip, width * (1 - step / 7), scale)
            point = tip


def _limb(scene: Scene, image: NDArray[np.uint8], t: float, scale: float) -> None:
    """A body with an arm that swings, five fingers at its end."""
    centre = _place(scene, t)
    _fill(image, _blob(scene, centre, 170, t), scale)
    swing = 0.5 + 0.11 * t * (1 if scene.seed % 2 else -1)
    shoulder, reach = centre + np.array([90.0, -60.0]), np.array([np.cos(swing), np.sin(swing)])
    hand = shoulder + 330 * reach
    _line(image, shoulder, hand, 70, scale)
    _fill(image, _blob(scene, hand, 52, t, 0.04), scale)
    for k in range(5):
        heading = swing + (k - 2) * 0.28
        finger = np.array([np.cos(heading), np.sin(heading)])
        _line(image, hand + 30 * finger, hand + (110 - 8 * abs(k - 2)) * finger, 15, scale)


def _thin(scene: Scene, image: NDArray[np.uint8], t: float, scale: float) -> None:
    """A wheel: tyre, hub and spokes of 3 to 6 pixels."""
    centre, spokes = _place(scene, t), 9 + scene.seed % 4
    ring = np.stack([np.cos(np.linspace(0, 6.2832, 300)), np.sin(np.linspace(0, 6.2832, 300))], axis=1)
    _fill(image, centre + 260 * ring, scale)
    _fill(image, centre + 238 * ring, scale, 0)
    _fill(image, centre + 34 * ring, scale)
    for k in range(spokes):
        angle = 2 * np.pi * k / spokes + 0.03 * t
        _line(image, centre, centre + 250 * np.array([np.cos(angle), np.sin(angle)]), 3.0 + k % 4, scale)


def _holes(scene: Scene, image: NDArray[np.uint8], t: float, scale: float) -> None:
    """A solid with holes of 10 to 40 pixels through which the background shows."""
    centre = _place(scene, t)
    _fill(image, _blob(scene, centre, 260, t), scale)
    random = np.random.default_rng(scene.seed + 2)
    for row in range(-2, 3):
        for column in range(-2, 3):
            at = centre + 78 * np.array([column, row]) + random.uniform(-8, 8, 2)
            _fill(image, _blob(scene, at, random.uniform(10, 40), t), scale, 0)


def _solid(scene: Scene, image: NDArray[np.uint8], t: float, scale: float) -> None:
    """A rough blob with a corner."""
    centre = _place(scene, t)
    _fill(image, _blob(scene, centre, 180, t, 0.18), scale)
    _fill(image, centre + np.array([[60, -60], [330, -150], [140, 90]]), scale)


def scenes(half: Half) -> list[Scene]:
    """The scenes of one half: fourteen to tune on, one of each of the six kinds held out."""
    if half == "tuning":
        return [
            Scene("hair", half, _hair, ("coffee", "grass"), 11, (4.0, 1.0)),
            Scene("motion blur", half, _limb, ("astronaut", "gravel"), 12, (22.0, 5.0), blur=0.5),
            Scene("thin", half, _thin, ("brick", "coffee"), 13, (3.0, 0.0)),
            Scene("holes", half, _holes, ("rocket", "astronaut"), 14, (5.0, -2.0)),
            Scene("fast", half, _solid, ("chelsea", "rocket"), 15, (62.0, 12.0), blur=0.4),
            Scene("defocus", half, _solid, ("astronaut", "grass"), 16, (6.0, 2.0), defocus=6.0),
            Scene("hair", half, _hair, ("astronaut", "rocket"), 31, (4.0, -2.0)),
            Scene("hair", half, _hair, ("hubble", "grass"), 32, (-3.0, 1.0)),
            Scene("thin", half, _thin, ("rocket", "grass"), 33, (3.0, 1.0)),
            Scene("thin", half, _thin, ("hubble", "astronaut"), 34, (-4.0, 1.0)),
            Scene("holes", half, _holes, ("gravel", "chelsea"), 35, (5.0, 1.0)),
            Scene("motion blur", half, _limb, ("chelsea", "brick"), 36, (19.0, 6.0), blur=0.5),
            Scene("fast", half, _solid, ("coffee", "gravel"), 37, (50.0, 15.0), blur=0.4),
            Scene("defocus", half, _solid, ("rocket", "chelsea"), 38, (5.0, -3.0), defocus=5.0),
        ]
    return [
        Scene("hair", half, _hair, ("chelsea", "motorcycle"), 21, (3.0, 2.0)),
        Scene("motion blur", half, _limb, ("coffee", "motorcycle"), 23, (17.0, -8.0), blur=0.5),
        Scene("thin", half, _thin, ("hubble", "motorcycle"), 24, (4.0, 1.0)),
        Scene("holes", half, _holes, ("coffee", "chelsea"), 25, (6.0, 1.0)),
        Scene("fast", half, _solid, ("motorcycle", "astronaut"), 26, (55.0, -20.0), blur=0.4),
        Scene("defocus", half, _solid, ("chelsea", "coffee"), 27, (5.0, 3.0), defocus=5.0),
    ]


_PHOTOS: dict[str, Callable[[], NDArray]] = {
    "astronaut": data.astronaut,
    "brick": data.brick,
    "chelsea": data.chelsea,
    "coffee": data.coffee,
    "grass": data.grass,
    "gravel": data.gravel,
    "hubble": data.hubble_deep_field,
    "motorcycle": lambda: data.stereo_motorcycle()[0],
    "rocket": data.rocket,
}


@lru_cache(maxsize=4)
def _photo(name: str, size: Size) -> NDArray[np.float32]:
    """Linear light, filling ``size``, with the contrast of detail that upscaling takes away put back as fine grain."""
    pixels = np.asarray(_PHOTOS[name](), np.float32)
    if pixels.ndim == 2:
        # Grey textures get a tint each, as grass and gravel have.
        tint = {"grass": (0.75, 1.0, 0.5), "gravel": (1.0, 0.95, 0.85), "brick": (1.0, 0.75, 0.65)}[name]
        pixels = pixels[..., None] * np.asarray(tint, np.float32)
    encoded = np.clip(cv2.resize(pixels[..., :3] / 255.0, size, interpolation=cv2.INTER_CUBIC), 0.0, 1.0)
    return np.asarray(np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4), np.float32)


def _encoded(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    linear = np.clip(linear, 0, 1)
    return np.asarray(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055), np.float32)


def _shifted(image: NDArray[np.float32], x: float, y: float) -> NDArray[np.float32]:
    size = image.shape[1], image.shape[0]
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REFLECT), np.float32)
