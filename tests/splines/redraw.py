"""An independent look at splines: drawn by OpenCV, outlined by scikit-image, compared by brute force."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.splines import SplineObject
from skimage.draw import polygon
from skimage.measure import find_contours


def mask_of(item: SplineObject, frame: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The object's shapes at ``frame``, drawn by OpenCV on a grid eight times as fine; a pixel is in by its centre."""
    fine = np.zeros((size[1] * 8 + 1, size[0] * 8 + 1), np.uint8)
    for line, hole in _lines(item, frame, 40):
        # Sub-sample (8 i + 4) lies on the centre of pixel i.
        cv2.fillPoly(fine, [np.round(line * 8 * 16).astype(np.int32)], (0 if hole else 255,), cv2.LINE_8, 4)
    return fine[4::8, 4::8] > 0


def alpha_of(item: SplineObject, frame: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Coverage of the object's shapes at ``frame``, by scikit-image's point-in-polygon on 4 x 4 sub-samples."""
    fine = np.zeros((size[1] * 4, size[0] * 4), np.float32)
    for line, hole in _lines(item, frame, 14):
        x, y = (line * 4 - 0.5).T
        rows, columns = polygon(y, x, fine.shape)
        fine[rows, columns] = 0 if hole else 1
    return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), np.float32)


def _lines(item: SplineObject, frame: int, steps: int) -> list[tuple[NDArray[np.float64], bool]]:
    lines = []
    for shape in item.shapes:
        points = shape.points_at(frame)
        if points is None:
            continue
        line = []
        for p, q in zip(points, points[1:] + points[:1], strict=True):
            for t in np.arange(steps) / steps:
                weights = np.array(((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3))
                line.append(weights @ np.array([(p.x, p.y), (p.right_x, p.right_y), (q.left_x, q.left_y), (q.x, q.y)]))
        lines.append((np.array(line), shape.hole))
    return lines


def iou(x: NDArray[np.bool_], y: NDArray[np.bool_]) -> float:
    return float((x & y).sum() / max(1, (x | y).sum()))


def worst(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The greatest distance between the half-way outlines of two alphas, either way, in pixels."""
    p, q = _dense(a), _dense(b)
    gaps = np.concatenate([np.sqrt(((part[:, None] - q) ** 2).sum(-1)) for part in np.array_split(p, 20)])
    return float(max(gaps.min(1).max(), gaps.min(0).max()))


def _dense(alpha: NDArray[np.float32]) -> NDArray[np.float64]:
    rings = find_contours(np.pad(alpha, 1), 0.5)
    steps = np.linspace(0, 1, 3)[None, :, None]
    return np.concatenate([(r[:-1, None] * (1 - steps) + r[1:, None] * steps).reshape(-1, 2) for r in rings])
