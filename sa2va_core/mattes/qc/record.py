"""What the report needs of one frame, small enough to keep one for every frame of a long shot."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    of the job's objects. ``scale``: picture pixels per working pixel. ``area``, ``peak``: each matte's mean and highest
    alpha over the frame, 0..1; ``soft``: how many plate pixels of each matte are neither solid nor empty; ``presence``:
    how sure the engine was of each object, 0..1.
    """

    frame: int
    picture: NDArray[np.uint8]
    mattes: NDArray[np.uint8]
    scale: float
    area: Sequence[float]
    peak: Sequence[float]
    soft: Sequence[int]
    presence: Sequence[float]


def measure(
    picture: Picture, mattes: Sequence[NDArray[np.float32]], scores: Sequence[Mapping[str, float | None]]
) -> Record:
    """The record of one frame. ``mattes``: float32 (H, W) at plate size; ``scores``: ``presence``, ``coverage``
    and ``peak``."""
    height, width = picture.rgb.shape[:2]
    scale = max(1.0, max(width, height) / LONG_SIDE)
    size = max(1, round(width / scale)), max(1, round(height / scale))
    view = cv2.cvtColor(cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    small, soft = np.zeros((len(mattes), size[1], size[0]), np.uint8), []
    for matte, out in zip(mattes, small, strict=True):
        soft.append(_shrink(np.asarray(cv2.convertScaleAbs(matte, alpha=255.0), np.uint8), out))
    return Record(
        picture.frame,
        np.asarray(view, np.uint8),
        small,
        scale,
        [float(score["coverage"] or 0.0) for score in scores],
        [float(score["peak"] or 0.0) for score in scores],
        soft,
        [float(score["presence"] or 0.0) for score in scores],
    )


def _shrink(matte: NDArray[np.uint8], out: NDArray[np.uint8]) -> int:
    """Scale ``matte`` down into ``out``, which is all 0; returns how many of its pixels are soft."""
    x, y, width, height = cv2.boundingRect(matte)
    if not width:
        return 0
    # Only as much as the object covers, in whole cells of the two grids.
    columns, out_columns = _cells(x, x + width, matte.shape[1], out.shape[1])
    rows, out_rows = _cells(y, y + height, matte.shape[0], out.shape[0])
    part, target = matte[rows, columns], out[out_rows, out_columns]
    target[:] = cv2.resize(part, target.shape[::-1], interpolation=cv2.INTER_AREA)
    return cv2.countNonZero(cv2.inRange(part, *_SOFT))  # pyright: ignore[reportArgumentType, reportCallIssue]


def _cells(start: int, end: int, count: int, small: int) -> tuple[slice, slice]:
    """``start`` to ``end`` of ``count`` pixels, widened to where pixels of a row of ``small`` begin and end too; and
    those."""
    common = math.gcd(count, small)
    cell, small_cell = count // common, small // common
    first, last = start // cell, -(-end // cell)
    return slice(first * cell, last * cell), slice(first * small_cell, last * small_cell)


def save(record: Record, path: Path) -> Record:
    """Write a record: a line of JSON, a JPEG of the picture, all mattes deflated. Returns what :func:`load` will.
    Raises OutputError."""
    jpeg = encoded(".jpg", record.picture, cv2.IMWRITE_JPEG_QUALITY, 95)
    facts = {
        "jpeg": len(jpeg),
        "frame": record.frame,
        "shape": record.mattes.shape,
        "scale": record.scale,
        "area": list(record.area),
        "peak": list(record.peak),
        "soft": list(record.soft),
        "presence": list(record.presence),
    }
    write_bytes(path, json.dumps(facts).encode() + b"\n", jpeg, zlib.compress(record.mattes.tobytes(), 1))
    return replace(record, picture=_decoded(jpeg))


def _decoded(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def load(path: Path) -> Record:
    """Read a record back. Raises OutputError when it is gone or damaged."""
    try:
        line, _, data = path.read_bytes().partition(b"\n")
        facts = json.loads(line)
        shape, end = facts.pop("shape"), facts.pop("jpeg")
        mattes = np.frombuffer(zlib.decompress(data[end:]), np.uint8).reshape(shape)
        return Record(picture=_decoded(data[:end]), mattes=mattes, **facts)
    except (OSError, ValueError, TypeError, KeyError, zlib.error, cv2.error) as error:
        raise OutputError(f"A record of the QC is gone or damaged: {path}", "Run the job with --overwrite.") from error
