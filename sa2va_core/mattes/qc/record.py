"""What the report needs of one frame, small enough to keep one for every frame of a long shot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import OutputError

from sa2va_core.media.atomic import write_bytes
from sa2va_core.media.frames import Picture
from sa2va_core.media.stills import encoded

#: Long side, in pixels, at which frames are compared.
LONG_SIDE = 640
# Alpha, of 255, from and to which a pixel counts as soft edge.
_SOFT = 13, 242


@dataclass(frozen=True)
class Record:
    """One frame at working scale.

    ``picture``: uint8 (h, w, 3), the display picture, BGR. ``mattes``: uint8 (N, h, w), 255 is solid, in the order
    of the job's objects. ``scale``: picture pixels per working pixel. ``area``: each matte's mean
    alpha over the frame, 0..1;
    ``soft``: how many plate pixels of each matte are neither solid nor empty; ``presence``: how sure the engine was of
    each object, 0..1.
    """

    frame: int
    picture: NDArray[np.uint8]
    mattes: NDArray[np.uint8]
    scale: float
    area: Sequence[float]
    soft: Sequence[int]
    presence: Sequence[float]


def measure(
    picture: Picture, mattes: Sequence[NDArray[np.float32]], scores: Sequence[Mapping[str, float | None]]
) -> Record:
    """The record of one frame. ``mattes``: float32 (H, W) at plate size; ``scores``: ``presence`` and ``coverage``."""
    height, width = picture.rgb.shape[:2]
    scale = max(1.0, max(width, height) / LONG_SIDE)
    size = max(1, round(width / scale)), max(1, round(height / scale))
    view = cv2.cvtColor(cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    coarse = [cv2.convertScaleAbs(matte, alpha=255.0) for matte in mattes]
    small = [np.asarray(cv2.resize(matte, size, interpolation=cv2.INTER_AREA), np.uint8) for matte in coarse]
    soft = [cv2.countNonZero(cv2.inRange(matte, *_SOFT)) for matte in coarse]  # pyright: ignore[reportArgumentType, reportCallIssue]
    return Record(
        picture.frame,
        np.asarray(view, np.uint8),
        np.stack(small),
        scale,
        [float(score["coverage"] or 0.0) for score in scores],
        soft,
        [float(score["presence"] or 0.0) for score in scores],
    )


def save(record: Record, path: Path) -> None:
    """Write a record: a line of JSON, a JPEG of the picture, a PNG of all mattes. Raises OutputError."""
    count, height, width = record.mattes.shape
    jpeg = encoded(".jpg", record.picture, cv2.IMWRITE_JPEG_QUALITY, 95)
    facts = {
        "jpeg": len(jpeg),
        "frame": record.frame,
        "shape": [count, height, width],
        "scale": record.scale,
        "area": list(record.area),
        "soft": list(record.soft),
        "presence": list(record.presence),
    }
    png = encoded(".png", record.mattes.reshape(-1, width), cv2.IMWRITE_PNG_COMPRESSION, 1)
    write_bytes(path, json.dumps(facts).encode() + b"\n", jpeg, png)


def load(path: Path) -> Record:
    """Read a record back. Raises OutputError when it is gone or damaged."""
    try:
        line, _, data = path.read_bytes().partition(b"\n")
        facts = json.loads(line)
        shape, end = facts.pop("shape"), facts.pop("jpeg")
        picture = cv2.imdecode(np.frombuffer(data[:end], np.uint8), cv2.IMREAD_COLOR)
        mattes = cv2.imdecode(np.frombuffer(data[end:], np.uint8), cv2.IMREAD_GRAYSCALE)
        stacked = np.asarray(mattes, np.uint8).reshape(shape)
        return Record(picture=np.asarray(picture, np.uint8), mattes=stacked, **facts)
    except (OSError, ValueError, TypeError, cv2.error) as error:
        raise OutputError(f"A record of the QC is gone or damaged: {path}", "Run the job with --overwrite.") from error
