"""Bare skin that fills a good part of the picture, found by its colour: what this engine can do for "hand"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .networks import Detection
from .sheet import Map, Sheet

#: Skin in Cr and Cb whatever its tone (Chai and Ngan 1999, "Face segmentation using skin-color map").
_CR, _CB = (135, 173), (77, 127)
#: Smallest region that counts, as a share of the picture: this is for close-ups.
SMALLEST = 0.008


@dataclass(frozen=True)
class Skin:
    """The skin colour of one shot. ``mean`` (2,) and ``inverse`` (2, 2): a normal distribution of Cr and Cb."""

    mean: NDArray[np.float64]
    inverse: NDArray[np.float64]

    def probability(self, sheet: Sheet) -> Map:
        luma, chroma = _split(sheet)
        away = chroma.astype(np.float64) - self.mean
        distance = np.einsum("hwi,ij,hwj->hw", away, self.inverse, away)
        # Squared Mahalanobis distance 9 is the 99 % ellipse. In the middle it must be all but 1: mattes are no firmer.
        probability = 1 / (1 + np.exp(np.minimum(distance, 90) - 9))
        return (probability * (luma > 45)).astype(np.float32)

    def regions(self, sheet: Sheet) -> list[Detection]:
        """Connected regions of skin, largest first, as detections of kind 0."""
        mask = _solid(self.probability(sheet) > 0.5, sheet)
        return [Detection(0, score, box) for score, box, _ in _components(mask)]


def learn(sheets: Iterable[Sheet]) -> Skin | None:
    """Fit the shot's skin colour to its largest skin-coloured regions; None when there is no such region."""
    samples = []
    for sheet in sheets:
        luma, chroma = _split(sheet)
        cr, cb = chroma[..., 0], chroma[..., 1]
        seed = (cr >= _CR[0]) & (cr <= _CR[1]) & (cb >= _CB[0]) & (cb <= _CB[1]) & (luma > 60)
        labels = _components(_solid(seed, sheet))
        for _, _, region in labels:
            inner = cv2.erode((region & seed).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
            samples.append(chroma[inner][::7])
    pixels = np.concatenate(samples).astype(np.float64) if samples else np.zeros((0, 2))
    if len(pixels) < 50:
        return None
    first = _fit(pixels)
    away = pixels - first.mean
    # The second fit leaves out what the first shows not to belong.
    return _fit(pixels[np.einsum("ni,ij,nj->n", away, first.inverse, away) < 6])


def _fit(pixels: NDArray[np.float64]) -> Skin:
    spread = np.cov(pixels.T) + 4 * np.eye(2)
    return Skin(pixels.mean(0), np.asarray(np.linalg.inv(spread), np.float64))


def _split(sheet: Sheet) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(luma, (Cr, Cb)) of the working picture."""
    smooth = cv2.GaussianBlur(sheet.work, (0, 0), 1.0)
    ycc = np.asarray(cv2.cvtColor(smooth, cv2.COLOR_RGB2YCrCb), np.uint8)
    return ycc[..., 0], ycc[..., 1:]


def _solid(mask: NDArray[np.bool_], sheet: Sheet) -> NDArray[np.uint8]:
    size = max(3, round(0.006 * max(sheet.shape)) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    return np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel), np.uint8)


def _components(mask: NDArray[np.uint8]) -> list[tuple[float, NDArray[np.float64], NDArray[np.bool_]]]:
    """(score by size 0..1, box, region) of every region that is large enough, largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    found = []
    for label in range(1, count):
        x, y, w, h, size = (int(value) for value in stats[label])
        share = size / mask.size
        if share >= SMALLEST:
            score = min(0.99, 0.5 + 10 * share)
            found.append((score, np.array([x, y, x + w, y + h], np.float64), labels == label))
    return sorted(found, key=lambda item: -item[2].sum())
