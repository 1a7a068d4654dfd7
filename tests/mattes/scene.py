"""Rendered shots of known truth: textured blobs that move and change shape over a textured, panning ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.engines.base import Verdict
from sa2va_core.mattes.qc import result
from sa2va_core.mattes.qc.writer import QcWriter
from sa2va_core.media.frames import Picture, PlateFacts
from sa2va_core.media.overlay import OverlayWriter

WIDTH, HEIGHT = 480, 270
FIRST = 1001

Mattes = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Blob:
    """Where its centre is at a time 0..1, in pixels, and its radius."""

    path: Callable[[float], tuple[float, float]]
    radius: float
    hue: int


def texture(seed: int, size: tuple[int, int], grain: float = 6.0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).random((size[1], size[0], 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain) * 0.7 + cv2.GaussianBlur(noise, (0, 0), grain / 4) * 0.3
    return np.asarray((smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255.0, np.float32)


def disc(x: float, y: float, radius: float, phase: float = 0.0) -> NDArray[np.float32]:
    """A rounded shape with an edge two pixels soft; ``phase`` turns its bumps."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    angle = np.arctan2(rows - y, columns - x)
    r = radius * (1 + 0.12 * np.sin(3 * angle + phase))
    return np.clip((r - np.hypot(columns - x, rows - y)) / 2 + 0.5, 0, 1).astype(np.float32)


BLOBS = {
    "man": Blob(lambda t: (110 + 90 * t, 140 + 20 * np.sin(4 * t)), 42, 20),
    "boy": Blob(lambda t: (360 - 60 * t, 130 + 25 * t), 36, 110),
}


def render(count: int, blobs: Mapping[str, Blob] = BLOBS) -> tuple[list[NDArray[np.uint8]], list[Mattes]]:
    """Pictures, uint8 RGB, and the true mattes."""
    ground = texture(1, (WIDTH + 200, HEIGHT))
    skins = {name: texture(2 + i, (160, 160), 4.0) for i, name in enumerate(blobs)}
    pictures, truths = [], []
    for i in range(count):
        t = i / max(1, count - 1)
        pan = np.array([[1, 0, -40 * t], [0, 1, 0]], np.float32)
        picture = np.asarray(cv2.warpAffine(ground, pan, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR), np.float32) * 0.7
        truth: Mattes = {}
        for name, blob in blobs.items():
            x, y = blob.path(t)
            matte = disc(x, y, blob.radius, phase=2 * t)
            tint = np.asarray(cv2.cvtColor(np.uint8([[[blob.hue, 140, 255]]]), cv2.COLOR_HSV2RGB), np.float32) / 255  # type: ignore[call-overload]
            move = np.array([[1, 0, x - 80], [0, 1, y - 80]], np.float32)
            skin = cv2.warpAffine(
                skins[name], move, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
            )
            picture += matte[..., None] * (np.asarray(skin) * tint - picture)
            truth = {other: np.asarray(m * (1 - matte), np.float32) for other, m in truth.items()} | {name: matte}
        noise = np.random.default_rng(100 + i).normal(0, 2, picture.shape)
        pictures.append(np.clip(picture + noise, 0, 255).astype(np.uint8))
        truths.append(truth)
    return pictures, truths


def shifted(matte: NDArray[np.float32], dx: float, dy: float) -> NDArray[np.float32]:
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return np.asarray(cv2.warpAffine(matte, move, (matte.shape[1], matte.shape[0])), np.float32)


def qc(
    folder: Path,
    pictures: Sequence[NDArray[np.uint8]],
    mattes: Sequence[Mattes],
    presence: Callable[[int, str], float] = lambda i, name: 0.95,
    objects: Sequence[ObjectSpec] | None = None,
    verdicts: Mapping[str, Verdict] | None = None,
) -> dict:
    """The ``qc.json`` of these mattes, made as a job makes it; frames arrive in an odd order."""
    objects = objects or [ObjectSpec(name, f"the {name}") for name in mattes[0]]
    height, width = pictures[0].shape[:2]
    facts = PlateFacts("shot_010", (width, height), 1.0, Fraction(24), "sRGB", "job")
    frames = range(FIRST, FIRST + len(pictures))
    provenance = {"software": "test", "engine": "truth"}
    writer = QcWriter(folder, facts, objects, provenance, frames, lambda stage, done, total: None)
    overlays = OverlayWriter(folder, facts, objects)
    order = np.random.default_rng(5).permutation(len(pictures))
    for i in order:
        picture = Picture(FIRST + int(i), pictures[i])
        scores = {
            name: {"presence": presence(int(i), name), "coverage": float(matte.mean()), "peak": float(matte.max())}
            for name, matte in mattes[i].items()
        }
        overlays.write(picture, mattes[i])
        writer.write(picture, mattes[i], scores)
    found = {item.name: Verdict("found", "It is there.") for item in objects}
    writer.finish(verdicts or found)
    data = result.read(folder)
    assert data is not None
    return data
