"""Small pictures of a running job for hosts to show."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
from sa2va_plugin.errors import OutputError

from sa2va_core.media.atomic import write_bytes
from sa2va_core.media.stills import encoded

LONG_SIDE = 480
EVERY = 0.5


class Previews:
    """PNGs, which every toolkit shows, at most one in ``EVERY`` seconds, at most ``LONG_SIDE`` pixels on a side."""

    def __init__(self) -> None:
        self._last = -EVERY

    def make(self, picture: Path, frame: int) -> Path | None:
        """The preview of result frame ``frame`` made from ``picture``, in a folder beside that one's; None when it is
        too early for another or it cannot be made: a job does not fail for a preview."""
        now = time.monotonic()
        if now - self._last < EVERY:
            return None
        image = cv2.imread(str(picture), cv2.IMREAD_COLOR)
        if image is None:
            return None
        scale = min(1.0, LONG_SIDE / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        path = picture.parents[1] / "preview" / f"preview.{frame:04d}.png"
        try:
            write_bytes(path, encoded(".png", small))
        except OutputError:
            return None
        self._last = now
        return path
