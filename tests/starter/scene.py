"""A clip with exact ground truth: cut-outs of two real photographs gliding over a third.

The outlines were drawn by hand around the astronaut and the coffee cup in scikit-image's sample photographs and
softened by about a pixel. How well they fit the true outline does not matter: the pasted cut-out is the object, and the
alpha that pasted it is the truth. Backdrop: the launch site photograph, blurred as a lens would. What such a clip
cannot show: articulated motion, motion blur, changing light, touching objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from sa2va_core.media.frames import Picture

WIDTH, HEIGHT, LENGTH = 640, 360, 24
FIRST = 1001

# fmt: off
_ASTRONAUT = [
    (28, 512), (22, 440), (20, 420), (24, 370), (28, 320), (40, 270), (62, 245), (90, 225), (115, 208), (118, 190),
    (130, 168), (150, 152), (172, 148), (186, 150), (180, 132), (170, 118), (158, 105), (153, 85), (155, 65), (165, 52),
    (180, 43), (200, 28), (220, 18), (240, 15), (262, 20), (280, 30), (295, 50), (302, 80), (300, 100), (290, 115),
    (275, 128), (270, 135), (262, 150), (256, 172), (275, 185), (293, 205), (304, 235), (325, 245), (342, 262),
    (352, 295), (362, 345), (335, 360), (305, 385), (288, 415), (278, 450), (278, 512),
]
_CUP = [
    (173, 108), (180, 80), (200, 52), (235, 30), (285, 18), (335, 25), (375, 45), (400, 75), (407, 110), (402, 140),
    (392, 175), (380, 215), (360, 248), (325, 272), (285, 285), (250, 282), (222, 305), (203, 300), (198, 280),
    (205, 245), (192, 205), (180, 160),
]
# fmt: on


def _cut_out(photo: NDArray[np.uint8], outline: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """float32 (h, w, 4): RGB 0..255 and alpha 0..1."""
    alpha = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(alpha, [np.array(outline, np.int32)], 255, cv2.LINE_AA)
    soft = cv2.GaussianBlur(alpha.astype(np.float32) / 255, (0, 0), 1.2)
    return np.asarray(np.dstack([photo, soft]), np.float32)


class Scene:
    """A FrameSource of ``LENGTH`` frames; :meth:`truth` gives the alpha of "person" or "cup"."""

    frames = tuple(range(FIRST, FIRST + LENGTH))
    size = (WIDTH, HEIGHT)

    @cached_property
    def _layers(self) -> dict[str, NDArray[np.float32]]:
        return {
            "person": _cut_out(skimage.data.astronaut(), _ASTRONAUT),
            "cup": _cut_out(skimage.data.coffee(), _CUP),
        }

    @cached_property
    def _backdrop(self) -> NDArray[np.float32]:
        photo = cv2.resize(skimage.data.rocket(), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return cv2.GaussianBlur(photo, (0, 0), 1.0).astype(np.float32)

    def _placed(self, name: str, frame: int) -> NDArray[np.float32]:
        """The cut-out where it is on this frame, premultiplied by its alpha: float32 (HEIGHT, WIDTH, 4)."""
        t = (frame - FIRST) / (LENGTH - 1)
        scale, x, y = {
            "person": (0.62, 20 + 130 * t, 360 - 0.62 * 512 + 1.5 * np.sin(9 * t)),
            "cup": (0.42 - 0.04 * t, 430 - 25 * t, 150 + 45 * t),
        }[name]
        matrix = np.array([[scale, 0, x], [0, scale, y]])
        layer = self._layers[name]
        pre = np.dstack([layer[..., :3] * layer[..., 3:], layer[..., 3]])
        smooth = cv2.GaussianBlur(pre, (0, 0), 0.5 / scale)
        return np.asarray(cv2.warpAffine(smooth, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR), np.float32)

    def read(self, frame: int) -> Picture:
        rgb = self._backdrop
        for name in self._layers:
            layer = self._placed(name, frame)
            rgb = rgb * (1 - layer[..., 3:]) + layer[..., :3]
        return Picture(frame, np.clip(rgb + 0.5, 0, 255).astype(np.uint8))

    def stream(self, frames: Sequence[int]) -> Iterator[Picture]:
        for frame in frames:
            yield self.read(frame)

    def truth(self, name: str, frame: int) -> NDArray[np.float32]:
        """Alpha 0..1, (HEIGHT, WIDTH)."""
        return self._placed(name, frame)[..., 3]


def intersection_over_union(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float((mask & truth).sum() / max((mask | truth).sum(), 1))
