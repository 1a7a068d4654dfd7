"""The three networks, run by OpenCV: a detector, a person segmenter and a salient-object segmenter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import ModelError

from sa2va_core.models import catalogue, store

from .sheet import Box, Map, Sheet, area, iou, overlap, padded

#: Least detector score of anything that is not yet expected where it is found.
FLOOR = 0.3

_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Detection:
    """``kind``: COCO category, 0 for skin; ``score`` 0..1; ``window``: where it was looked for."""

    kind: int
    score: float
    box: Box
    window: tuple[float, ...] = ()


class Networks:
    """Loaded weights, hashes checked. Raises ModelError when a file is missing, altered or not readable.

    Sources: SSD (Liu et al. 2016) on MobileNetV2 (Sandler et al. 2018), TensorFlow detection zoo, input 300 x 300 RGB
    0..255; MediaPipe Selfie Segmentation, input 256 x 256 RGB 0..1, output the probability of person; U2-NetP (Qin et
    al. 2020), input RGB over its maximum, ImageNet mean and deviation.
    """

    def __init__(self) -> None:
        names = catalogue.NEEDED_BY["starter"]
        files = {name: store.load(name) for name in names}
        self.hashes = {catalogue.weight(name).file: catalogue.weight(name).sha256 for name in names}
        try:
            self._detector = cv2.dnn.readNetFromTensorflow(
                _buffer(files["ssd-mobilenet-v2-coco"]), _buffer(files["ssd-mobilenet-v2-coco-layout"])
            )
            self._person = cv2.dnn.readNetFromTFLite(_buffer(files["selfie-segmentation"]))
            self._thing = cv2.dnn.readNetFromONNX(_buffer(files["u2netp"]))
        except cv2.error as error:
            raise ModelError(
                f"OpenCV {cv2.__version__} cannot read the starter models: {error.err}",
                "Install opencv-contrib-python-headless 4.12 or newer.",
            ) from error

    def detect(self, sheet: Sheet, windows: Iterable[Box], kinds: frozenset[int], floor: float) -> list[Detection]:
        """Things of ``kinds`` scoring at least ``floor``, looked for in each window: one thing may come many times."""
        return [d for window in windows for d in self._look(sheet, window, kinds, floor)]

    def _look(self, sheet: Sheet, window: Box, kinds: frozenset[int], floor: float) -> list[Detection]:
        self._detector.setInput(cv2.dnn.blobFromImage(sheet.crop(window, 300, 300)))
        found = []
        for row in self._detector.forward()[0, 0]:
            if row[2] < floor or int(row[1]) not in kinds:
                continue
            box = np.clip(row[3:7], 0, 1) * np.tile(window[2:] - window[:2], 2) + np.tile(window[:2], 2)
            box = np.clip(box, 0, np.tile(sheet.frame_box[2:], 2))
            if area(box) > 16 and not _cut_off(box, window, sheet.frame_box):
                found.append(Detection(int(row[1]), float(row[2]), box, tuple(window)))
        return found

    def person(self, sheet: Sheet, box: Box) -> Map:
        """Probability of person around ``box``, as a map of the working picture.

        Two looks are averaged: one stretched to the box, which shows limbs largest, and one in true proportions.
        """
        view = padded(box, 0.15)
        stretched = self._person_in(sheet, view)
        square = self._person_in(sheet, padded(box, 0.15, square=True))
        return np.where(sheet.covers(view), 0.6 * stretched + 0.4 * square, np.float32(0))

    def _person_in(self, sheet: Sheet, view: Box) -> Map:
        self._person.setInput(cv2.dnn.blobFromImage(sheet.crop(view, 256, 256), 1 / 255))
        return sheet.paste(self._person.forward()[0, 0], view)

    def thing(self, sheet: Sheet, box: Box, side: int = 192) -> Map:
        """Probability of the main thing around ``box``, as a map of the working picture. ``side``: of the input."""
        view = padded(box, 0.25)
        pixels = sheet.crop(view, side, side).astype(np.float32)
        pixels = (pixels / max(float(pixels.max()), 1.0) - _MEAN) / _DEVIATION
        self._thing.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
        out = self._thing.forward().reshape(side, side)
        low, high = float(out.min()), float(out.max())
        return sheet.paste((out - low) / max(high - low, 1e-6), view)


def _buffer(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _cut_off(box: Box, window: Box, frame: Box) -> bool:
    """Whether a window's own border cuts the thing: then its box is wrong."""
    margin = 0.01 * (window[2:] - window[:2])
    low = (box[:2] < window[:2] + margin) & (window[:2] > frame[:2] + 1)
    high = (box[2:] > window[2:] - margin) & (window[2:] < frame[2:] - 1)
    return bool(low.any() or high.any())


def without_doubles(found: Iterable[Detection]) -> list[Detection]:
    """Best first, without those that repeat a better one. Two windows may show different parts of one thing."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda d: -d.score):
        for other in kept:
            inner = overlap(one.box, other.box) / min(area(one.box), area(other.box))
            if iou(one.box, other.box) > 0.55 or (one.window != other.window and inner > 0.8):
                break
        else:
            kept.append(one)
    return kept
