"""Measures of a matte against the truth. All take float32 (H, W) in 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Matte = NDArray[np.float32]
_WITHIN = 2.0


def sad(matte: Matte, truth: Matte) -> float:
    """Sum of absolute differences in thousands of pixels (Rhemann et al., CVPR 2009, over the whole frame)."""
    return float(np.abs(matte - truth).sum(dtype=np.float64)) / 1000.0


def mse(matte: Matte, truth: Matte) -> float:
    """Mean squared error over the frame, in units of 1e-4."""
    return float(np.square(matte - truth).mean(dtype=np.float64)) * 1e4


def gradient_error(matte: Matte, truth: Matte) -> float:
    """Sum of squared differences of gradient magnitudes, in thousands (Rhemann et al., sigma 1.4)."""
    return float(np.square(_gradient(matte) - _gradient(truth)).sum(dtype=np.float64)) / 1000.0


def _gradient(matte: Matte) -> Matte:
    sigma = 1.4
    reach = np.arange(-5, 6, dtype=np.float32)
    smooth = np.exp(-(reach**2) / (2 * sigma**2))
    slope = -reach * smooth
    smooth, slope = smooth / smooth.sum(), slope / np.abs(slope * reach).sum()
    gx, gy = cv2.sepFilter2D(matte, -1, slope, smooth), cv2.sepFilter2D(matte, -1, smooth, slope)
    return np.asarray(cv2.magnitude(gx, gy), np.float32)


def dtssd(mattes: Sequence[Matte], truths: Sequence[Matte]) -> float:
    """Flicker: root mean square, over the frame and then the mean over time, of the error's change from frame to
    frame, in units of 1e-2 (Erofeev et al., BMVC 2015)."""
    errors = [m - t for m, t in zip(mattes, truths, strict=True)]
    changes = [np.sqrt(np.square(b - a).mean(dtype=np.float64)) for a, b in pairwise(errors)]
    return float(np.mean(changes)) * 1e2


def boundary(matte: Matte, truth: Matte) -> tuple[float, float]:
    """(F measure at 2 pixels, mean distance in pixels) between the two 0.5 contours, both ways.

    Perazzi et al., CVPR 2016, with exact distances. A pixel is on the contour if it is inside and a neighbour is not.
    """
    found, wanted = _contour(matte), _contour(truth)
    if not found.any() or not wanted.any():
        same = bool(found.any()) == bool(wanted.any())
        return (1.0, 0.0) if same else (0.0, float("inf"))
    off_truth, off_matte = _distance(wanted)[found], _distance(found)[wanted]
    precision, recall = float((off_truth <= _WITHIN).mean()), float((off_matte <= _WITHIN).mean())
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return f, float(off_truth.mean() + off_matte.mean()) / 2


def _contour(matte: Matte) -> NDArray[np.bool_]:
    inside = (matte > 0.5).astype(np.uint8)
    return np.asarray(inside - cv2.erode(inside, np.ones((3, 3), np.uint8)), bool)


def _distance(contour: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.asarray(
        cv2.distanceTransform(1 - contour.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
    )
