"""Alpha to outlines: the closed curves on which coverage is one half, with sub-pixel accuracy."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import cv2
import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray
from sa2va_plugin.errors import OutputError

from sa2va_core.media.atomic import writing

LEVEL = 0.5
#: How far outlines go on beyond the plate's border, so that a curve that is a little off still covers the border.
BEYOND = 2
#: Standard deviation of the blur before outlines that splines are fitted to, in tolerances.
_EASE = 0.375
#: The overlap (intersection over union) with the matte that splines are to have on every frame.
LEAST = 0.98
Vertices = NDArray[np.float64]


@dataclass(frozen=True)
class Outline:
    """One closed curve. ``points``: float64 (n, 2), x and y in plate pixels, centres at .5, the last not repeated.
    ``parent``: for a hole, the position in its frame's list of the outline around it; -1 for an outer one. ``area``
    in square pixels, positive."""

    points: Vertices
    parent: int
    area: float

    @property
    def hole(self) -> bool:
        return self.parent >= 0


def outlines(alpha: NDArray[np.float32]) -> list[Outline]:
    """The outlines of ``alpha``, float32 (H, W), 0..1: each outer one, then its holes.

    Marching squares with linear interpolation between pixel centres. Where the object meets the plate's border, the
    border's values go on outside it and the outline closes two pixels out.
    """
    height, width = alpha.shape
    x, y, w, h = cv2.boundingRect((alpha > 0).astype(np.uint8))
    if w == 0:
        return []
    # One more pixel each way, so that outlines close where the plate goes on.
    x0, y0, x1, y1 = max(0, x - 1), max(0, y - 1), min(width, x + w + 1), min(height, y + h + 1)
    near = tuple(BEYOND if flag else 0 for flag in (y0 == 0, y1 == height, x0 == 0, x1 == width))
    patch = np.pad(alpha[y0:y1, x0:x1], (near[:2], near[2:]), mode="edge")
    generator = contour_generator(z=patch, fill_type=FillType.OuterOffset)
    # With OuterOffset: for each outer polygon, its points and those of its holes, and where each ring begins.
    polygons, offsets = cast("tuple[list[Vertices], list[NDArray[np.uint32]]]", generator.filled(LEVEL, np.inf))
    shift = np.array([x0 - near[2] + 0.5, y0 - near[0] + 0.5])
    found: list[Outline] = []
    for points, starts in zip(polygons, offsets, strict=True):
        outer = len(found)
        for number, (a, b) in enumerate(itertools.pairwise(starts)):
            ring = points[a : b - 1] + shift
            if len(ring) >= 3:
                found.append(Outline(ring, outer if number else -1, abs(signed_area(ring))))
    return found


def signed_area(points: Vertices) -> float:
    x, y = points[:, 0], points[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def perimeter(points: Vertices) -> float:
    return float(np.hypot(*(points - np.roll(points, 1, axis=0)).T).sum())


def eased(alpha: NDArray[np.float32], tolerance: float) -> NDArray[np.float32]:
    """``alpha`` without what is finer than splines of ``tolerance`` pixels are to show: rags, slits, single hairs."""
    x, y, w, h = cv2.boundingRect((alpha > 0).astype(np.uint8))
    blur = _EASE * tolerance
    out = int(np.ceil(3 * blur))
    near = np.s_[max(0, y - out) : y + h + out, max(0, x - out) : x + w + out]
    smooth = np.zeros_like(alpha)
    if w:
        # The plate's border is no edge: what touches it goes on.
        smooth[near] = cv2.GaussianBlur(alpha[near], (0, 0), blur, borderType=cv2.BORDER_REPLICATE)
    return smooth


def _lost(smooth: NDArray[np.float32], alpha: NDArray[np.float32]) -> int:
    """The number of pixels that are on another side of one half in ``smooth``."""
    return int(np.count_nonzero((smooth > LEVEL) != (alpha > LEVEL)))


def store(path: Path, alpha: NDArray[np.float32], tolerance: float) -> None:
    """Keep a frame's outlines, those of the matte and those that are fitted, in a file of numbers. Raises
    OutputError."""
    smooth, allowed = eased(alpha, tolerance), (1 - LEAST) * np.count_nonzero(alpha > LEVEL)
    lost = _lost(smooth, alpha)
    if allowed / 2 < lost <= allowed:
        # Ragged. What loses still more is hair, which no curve is to follow.
        smooth = eased(alpha, tolerance / 2)
    arrays: dict[str, NDArray[np.generic]] = {"lost": np.array(_lost(smooth, alpha))}
    for part, found in (("matte", outlines(alpha)), ("eased", outlines(smooth))):
        arrays[f"{part}_points"] = np.concatenate([np.zeros((0, 2)), *(item.points for item in found)]).astype(
            np.float32
        )
        arrays[f"{part}_ends"] = np.cumsum([len(item.points) for item in found], dtype=np.int64)
        arrays[part] = np.array(
            [(item.parent, item.area, perimeter(item.points), *item.points.mean(0)) for item in found], np.float64
        ).reshape(-1, 5)
    with writing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


class StoredOutlines:
    """A frame's outlines as :func:`store` left them, the ``matte``'s or the ``eased`` ones, read when asked for."""

    def __init__(self, path: Path, part: Literal["matte", "eased"] = "matte") -> None:
        self._path, self._part = path, part

    @property
    def eased(self) -> StoredOutlines:
        return StoredOutlines(self._path, "eased")

    def lost(self) -> float:
        """The area, in square pixels, by which the eased outlines differ from the matte's."""
        return float(self._read("lost"))

    def facts(self) -> NDArray[np.float64]:
        """(n, 5): parent, area, length, and the mean of the points in x and y, of each outline."""
        return self._read(self._part)

    def ring(self, index: int) -> Vertices:
        return self.rings()[index]

    def layers(self) -> list[tuple[Vertices, bool]]:
        """The points of each outline, and whether it is a hole."""
        return [(ring, parent >= 0) for ring, parent in zip(self.rings(), self.facts()[:, 0].tolist(), strict=True)]

    def rings(self) -> list[Vertices]:
        """The points of each outline."""
        points, ends = self._read(f"{self._part}_points"), self._read(f"{self._part}_ends")
        return np.split(points.astype(np.float64), ends.tolist())[:-1]

    def _read(self, name: str) -> NDArray[np.float64]:
        try:
            with np.load(self._path, allow_pickle=False) as data:
                return data[name]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise OutputError(
                f"The outlines of a frame are gone or damaged: {self._path}", "Run the job again with --overwrite."
            ) from error
