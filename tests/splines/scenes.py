"""Moving shapes of known coverage: the ground truth that splines are held to.

Each scene gives polygons (outer ones and holes, finely sampled) for a frame; coverage is the share of a pixel's 8 x 8
sub-samples inside. Nothing here shares code with what is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
#: Outer polygons and holes of a frame.
Scene = Callable[[int], list[tuple[Polygon, bool]]]
_FINE = 8


def coverage(parts: list[tuple[Polygon, bool]], size: tuple[int, int]) -> NDArray[np.float32]:
    """Alpha of ``parts`` in order, holes clearing, on a plate of ``size`` (width, height)."""
    width, height = size
    fine = np.zeros((height * _FINE, width * _FINE), np.uint8)
    for polygon, hole in parts:
        # A fixed-point vertex of fillPoly at (i + .5) * FINE - .5 is the pixel position i + .5.
        points = np.round((polygon * _FINE - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(fine, [points], 0 if hole else 255, cv2.LINE_8, 4)
    return cv2.resize(fine, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def moved(shape: Polygon, x: float, y: float, degrees: float = 0.0, scale: float = 1.0) -> Polygon:
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return shape @ turn.T * scale + (x, y)


def ngon(corners: int, radius: float, inner: float | None = None) -> Polygon:
    """A regular polygon, or a star with every second corner at ``inner``."""
    a = np.arange(corners) * 2 * np.pi / corners - np.pi / 2
    r = np.where(np.arange(corners) % 2 == 1, radius if inner is None else inner, radius)
    return np.stack([np.cos(a) * r, np.sin(a) * r], 1)


def blob(radius: float, waves: Mapping[int, tuple[float, float]]) -> Polygon:
    """A round shape with ripples: wave number to (share of the radius, phase)."""
    a = np.arange(720) * 2 * np.pi / 720
    r = radius * (1 + sum((amount * np.cos(k * a + phase) for k, (amount, phase) in waves.items()), np.zeros(720)))
    return np.stack([np.cos(a) * r, np.sin(a) * r], 1)


def person(swing: float, scale: float = 1.0) -> Polygon:
    """A standing figure about 330 pixels high; ``swing`` -1..1 moves arms and legs."""
    fine = 4
    canvas = np.zeros((440 * fine, 360 * fine), np.uint8)

    def limb(a: tuple[float, float], b: tuple[float, float], wide: float) -> None:
        p, q = (tuple(round(v * fine) for v in point) for point in (a, b))
        cv2.line(canvas, p, q, 255, round(wide * fine), cv2.LINE_8)

    cv2.ellipse(canvas, (180 * fine, 70 * fine), (28 * fine, 36 * fine), 0, 0, 360, 255, -1)
    limb((180, 100), (180, 130), 24)
    limb((180, 150), (180, 220), 74)
    for side in (-1, 1):
        hip, shoulder = (180 + side * 18, 230), (180 + side * 34, 132)
        knee = (180 + side * (34 + 8 * swing), 300)
        limb(hip, knee, 34)
        limb(knee, (180 + side * (46 + 14 * swing), 380), 26)
        elbow = (180 + side * (78 + 8 * swing), 190)
        limb(shoulder, elbow, 26)
        limb(elbow, (180 + side * (100 + 14 * swing), 235 - side * 20 * swing), 20)
    soft = cv2.GaussianBlur(canvas, (0, 0), 3 * fine)
    rings, _ = cv2.findContours((soft > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    ring = max(rings, key=cv2.contourArea)[::2, 0].astype(np.float64)
    return ((ring + 0.5) / fine - (180, 230)) * scale


def sway(frame: int, frames: int) -> float:
    return float(np.sin(2 * np.pi * frame / frames))


SIZE = (640, 480)
FRAMES = 24


def _rigid(shape: Polygon, turn: float = 0.0, grow: float = 0.0) -> Scene:
    def at(frame: int) -> list[tuple[Polygon, bool]]:
        t = frame / (FRAMES - 1)
        return [(moved(shape, 200 + 240 * t, 240 - 40 * t, turn * frame, 1 + grow * t), False)]

    return at


def _breathing(frame: int) -> list[tuple[Polygon, bool]]:
    swing = sway(frame, FRAMES)
    waves = {2: (0.15 + 0.08 * swing, 0.4), 3: (0.12 - 0.06 * swing, 1.0), 5: (0.04, 2.0)}
    return [(moved(blob(110, waves), 300 + frame, 240), False)]


def _walking(frame: int) -> list[tuple[Polygon, bool]]:
    return [(moved(person(sway(frame, 24)), 200 + 4 * frame, 260), False)]


def _hole(frame: int) -> list[tuple[Polygon, bool]]:
    """A ring whose hole opens a third into the shot."""
    parts = [(moved(blob(120, {2: (0.1, 0)}), 260 + 2 * frame, 240), False)]
    opening = (frame - 8) * 4.0
    if opening > 3:
        parts.append((moved(blob(min(opening, 60), {3: (0.08, 1)}), 260 + 2 * frame, 240), True))
    return parts


def _split(frame: int) -> list[tuple[Polygon, bool]]:
    """Two discs that lie over each other and part."""
    apart = 40 + 6.0 * frame
    return [(moved(blob(80, {}), 320 + side * apart / 2, 240), False) for side in (-1, 1)]


#: What each scene shows. Rigid ones are known by their name's first word.
SCENES: dict[str, Scene] = {
    "rigid square": _rigid(ngon(4, 100)),
    "rigid star turning": _rigid(ngon(10, 130, 60), turn=1.5),
    "rigid hexagon growing": _rigid(ngon(6, 80), turn=0.5, grow=0.6),
    "rigid blob turning": _rigid(blob(110, {2: (0.2, 0.3), 3: (0.15, 1.1), 5: (0.05, 2.0)}), turn=1.2),
    "rigid person": _rigid(person(0.4)),
    "rigid disc": _rigid(blob(90, {})),
    "breathing blob": _breathing,
    "walking person": _walking,
    "opening hole": _hole,
    "parting discs": _split,
}
