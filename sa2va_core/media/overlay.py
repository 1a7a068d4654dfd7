"""What people look at first: the mattes laid over the picture, as a movie and as one sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import OutputError
from sa2va_plugin.jobspec import ObjectSpec

from . import draw
from .atomic import remove_strays, write_bytes
from .contact_sheet import Judged, contact_sheet
from .encode import h264
from .frames import Picture, PlateFacts
from .stills import encoded
from .write import SCRATCH

LONG_SIDE = 960
_TINT = 0.42
_LETTERS = 20


class OverlayWriter:
    """Writes ``overlay.mp4`` and ``contact_sheet.png`` of one job into ``folder``.

    :meth:`write` may be called by several threads at once. Each frame waits in ``.sa2va/overlay`` until :meth:`finish`,
    so a job that was killed goes on with a new writer, and memory does not depend on the shot's length. ``warnings``:
    sentences for the user, after :meth:`finish`.
    """

    def __init__(self, folder: Path, facts: PlateFacts, objects: Sequence[ObjectSpec]) -> None:
        self._folder, self._facts, self._objects = folder, facts, tuple(objects)
        self.warnings: list[str] = []

    def path(self, frame: int) -> Path:
        """The picture that :meth:`write` makes of a result frame."""
        return waiting_picture(self._folder, frame)

    def remove_strays(self, frames: Sequence[int]) -> None:
        """Clear what a killed run left half-written. Call it before the first of these frames is written."""
        remove_strays([self._movie, self._sheet, *(self.path(frame) for frame in frames)])

    def write(self, picture: Picture, alphas: Mapping[str, NDArray[np.float32]]) -> Path:
        """Draw one frame; returns its path. ``alphas``: object name to (H, W), 0..1, over the whole picture, of any
        size (an anamorphic plate's mattes are stretched to the picture). Raises OutputError."""
        image = overlay(picture.rgb, [(item.name, alphas[item.name]) for item in self._objects])
        path = self.path(picture.frame)
        write_bytes(path, encoded(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), cv2.IMWRITE_JPEG_QUALITY, 95))
        return path

    def finish(
        self,
        frames: Sequence[int],
        verdicts: Mapping[str, Judged],
        step: Callable[[str, int, int], None] = lambda stage, done, total: None,
    ) -> list[Path]:
        """Make the movie and the sheet of the result frames ``frames``, in order; returns the two paths.

        ``step`` is told the stage, and how many of how many frames are done. The pictures stay in ``.sa2va``, which the
        caller removes when the job is over. Raises OutputError, and what ``step`` raises.
        """
        codec = h264(self._movie, self._numbered(frames, step), self._facts.fps)
        if codec != "libx264":
            self.warnings.append(f"This FFmpeg has no H.264 encoder; overlay.mp4 is {codec}.")
        sheet = contact_sheet(self._facts, self._objects, verdicts, frames, self._read)
        write_bytes(self._sheet, encoded(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)))
        return [self._movie, self._sheet]

    def _numbered(self, frames: Sequence[int], step: Callable[[str, int, int], None]) -> Iterator[draw.Image]:
        for done, frame in enumerate(frames):
            step("encoding the overlay", done, len(frames))
            image = self._read(frame)
            draw.label(image, str(frame), (12, image.shape[0] - 12 - round(_LETTERS * 1.5)), _LETTERS, draw.INK)
            yield image

    def _read(self, frame: int) -> draw.Image:
        image = cv2.imread(str(self.path(frame)), cv2.IMREAD_COLOR_RGB)
        if image is None:
            raise OutputError(
                f"A picture of the overlay is gone or damaged: {self.path(frame)}",
                "Run the job again with --overwrite.",
            )
        return np.asarray(image, np.uint8)

    @property
    def _movie(self) -> Path:
        return self._folder / "overlay.mp4"

    @property
    def _sheet(self) -> Path:
        return self._folder / "contact_sheet.png"


def waiting_picture(folder: Path, frame: int) -> Path:
    """Where the overlay of a result frame lies while the job that writes into ``folder`` runs."""
    return folder / SCRATCH / "overlay" / f"overlay.{frame:04d}.jpg"


def overlay(rgb: draw.Image, mattes: Sequence[tuple[str, NDArray[np.float32]]]) -> draw.Image:
    """``rgb`` (H, W, 3) scaled down to 960 on its long side (both sides even), each matte as a tint with an outline
    and its object's name."""
    height, width = rgb.shape[:2]
    scale = min(1.0, LONG_SIDE / max(width, height))
    size = max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
    image = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    small = [np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32) for _, alpha in mattes]
    for index, alpha in enumerate(small):
        tint = np.empty_like(image)
        tint[:] = draw.object_colour(index)
        amount = alpha * _TINT
        image = np.asarray(cv2.blendLinear(image, tint, 1 - amount, amount), np.uint8)
    shapes = [outlines(alpha) for alpha in small]
    for index, lines in enumerate(shapes):
        cv2.polylines(image, lines, True, draw.INK, 3, cv2.LINE_AA)
        cv2.polylines(image, lines, True, draw.object_colour(index), 2, cv2.LINE_AA)
    taken: list[tuple[int, int, int, int]] = []
    for index, ((name, _), lines) in enumerate(zip(mattes, shapes, strict=True)):
        if lines:
            words = draw.fitted(name, size[0] // 2, _LETTERS, 600)
            largest = max(lines, key=cv2.contourArea)[:, 0]
            box = _place(largest[largest[:, 1].argmin()], draw.label_size(words, _LETTERS), size, taken)
            taken.append(box)
            draw.label(image, words, box[:2], _LETTERS, draw.object_colour(index))
    return image


def outlines(alpha: NDArray[np.float32]) -> list[NDArray[np.int32]]:
    """Contours at one half of (H, W), as OpenCV draws them."""
    contours, _ = cv2.findContours((alpha > 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [np.asarray(contour, np.int32) for contour in contours]


def _place(
    top: NDArray[np.int32],
    size: tuple[int, int],
    frame: tuple[int, int],
    taken: Sequence[tuple[int, int, int, int]],
) -> tuple[int, int, int, int]:
    """Where a label (x0, y0, x1, y1) goes: over its object's highest point, inside the frame, off earlier labels."""
    width, height = size
    x = min(max(0, int(top[0]) - width // 2), max(0, frame[0] - width))
    start = min(max(0, int(top[1]) - height - 6), max(0, frame[1] - height))
    for y in [*range(start, frame[1] - height, height + 2), *range(start, 0, -height - 2)]:
        if not any(x < t[2] and t[0] < x + width and y < t[3] and t[1] < y + height for t in taken):
            return x, y, x + width, y + height
    return x, start, x + width, start + height
