"""EXR files: single part, half or float, every channel over one data window, the plate's display window."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from .atomic import output_error, writing

_TIMECODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d\d)")
_LINES = {"zip": 16, "zips": 1}


def write_exr(
    path: Path,
    channels: Mapping[str, NDArray[np.float16]] | Mapping[str, NDArray[np.float32]],
    *,
    size: tuple[int, int],
    origin: tuple[int, int] = (0, 0),
    window: tuple[int, int, int, int] | None = None,
    pixel_aspect: float = 1.0,
    fps: Fraction | None = None,
    timecode: str | None = None,
    compression: str = "zip",
    interop_id: str = "data",
    metadata: Mapping[str, str | int],
) -> None:
    """Write one file atomically. The same arguments give the same bytes: no date is stored.

    ``channels``: full channel name (``A``, ``man.A``) to half or float (H, W), all of one type, over the display window
    ``size`` = (W, H), whose top left pixel is ``origin``.
    ``window``: (x0, y0, x1, y1), end-exclusive, what to keep of (H, W) as the data window; None keeps all. ``timecode``
    as in SourceFrame; one that SMPTE 12M's two frame digits (0..39) cannot hold is kept as the text ``sa2va/timecode``.
    Raises OutputError.
    """
    x0, y0, x1, y1 = window or (0, 0, *size)
    (dtype,) = {plane.dtype for plane in channels.values()}
    spec = oiio.ImageSpec(x1 - x0, y1 - y0, len(channels), {2: oiio.HALF, 4: oiio.FLOAT}[dtype.itemsize])
    spec.channelnames = tuple(channels)
    spec.x, spec.y = origin[0] + x0, origin[1] + y0
    spec.full_x, spec.full_y = origin
    spec.full_width, spec.full_height = size
    spec.attribute("compression", compression)
    spec.attribute("PixelAspectRatio", float(pixel_aspect))
    spec.attribute("DateTime", "")  # or OpenImageIO stores the time of writing
    if interop_id:
        spec.attribute("colorInteropID", interop_id)
    if fps is not None:
        spec.attribute("framesPerSecond", oiio.TypeDesc("rational"), (fps.numerator, fps.denominator))
    if timecode:
        packed = pack_timecode(timecode)
        if packed is None:
            spec.attribute("sa2va/timecode", timecode)
        else:
            spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), packed)
    for name, value in metadata.items():
        spec.attribute(name, value)
    # cv2.merge interleaves several times faster than NumPy; it knows no half floats, so it sees their bits.
    integer = np.uint16 if dtype.itemsize == 2 else np.int32
    bits = [plane[y0:y1, x0:x1].view(integer) for plane in channels.values()]
    _write(path, spec, cv2.merge(bits).reshape(y1 - y0, x1 - x0, len(bits)).view(dtype), _LINES[compression])


def _write(path: Path, spec: oiio.ImageSpec, pixels: NDArray[np.floating], lines: int) -> None:
    with writing(path) as temp:
        output = oiio.ImageOutput.create("exr")
        if output is None:
            raise output_error(path, oiio.geterror())
        written = output.open(str(temp), spec) and output.write_image(pixels)
        problem = output.geterror()
        output.close()
        if not written or problem or not _is_complete(temp, -(-spec.height // lines)):
            raise output_error(path, problem.replace(str(temp), path.name) or "the file came out incomplete")


def _is_complete(path: Path, chunks: int) -> bool:
    """Whether a scan-line EXR holds all of its chunks.

    Needed because OpenImageIO's close() reports no error: on a disk that fills up with the last buffered bytes it
    says that all is well and leaves a truncated file.
    """
    data = path.read_bytes()
    at = 8  # magic number and version, then attributes: name, type, size, value
    try:
        while data[at]:
            at = data.index(b"\0", data.index(b"\0", at) + 1) + 1
            at += 4 + int.from_bytes(data[at : at + 4], "little")
        offsets = struct.unpack_from(f"<{chunks}Q", data, at + 1)
        ends = [offset + 8 + struct.unpack_from("<I", data, offset + 4)[0] for offset in offsets]
    except (IndexError, ValueError, struct.error):
        return False
    return min(offsets) > at and max(ends) <= len(data)


def data_window(union: NDArray[np.floating]) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1), end-exclusive, of what is not 0 in (H, W); one pixel, top left, when all is 0."""
    rows = np.flatnonzero((union != 0).any(axis=1))
    if not rows.size:
        return 0, 0, 1, 1
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero((union[y0:y1] != 0).any(axis=0))
    return int(columns[0]), y0, int(columns[-1]) + 1, y1


def to_half(planes: Sequence[NDArray[np.float32]]) -> tuple[list[NDArray[np.float16]], NDArray[np.float16]]:
    """Mattes as half floats, and their union: the largest of them at each pixel."""
    halves = [np.ascontiguousarray(plane, dtype=np.float16) for plane in planes]
    # Half floats from 0 up sort like the integers of the same bits, and the integer maximum is ten times faster.
    union = halves[0].view(np.int16)
    for half in halves[1:]:
        union = np.maximum(union, half.view(np.int16))
    return halves, union.view(np.float16)


def pack_timecode(text: str) -> tuple[int, int] | None:
    """``HH:MM:SS:FF`` as OpenEXR's timeCode (SMPTE 12M, TV60 packing: binary-coded decimals); None if it cannot be.

    ``;`` before FF sets the drop-frame flag.
    """
    match = _TIMECODE.fullmatch(text)
    if not match:
        return None
    hours, minutes, seconds, frames = (int(match[i]) for i in (1, 2, 3, 5))
    if hours > 39 or frames > 39:
        return None
    fields = (hours, 24), (minutes, 16), (seconds, 8), (frames, 0)
    packed = sum((value // 10 << 4 | value % 10) << shift for value, shift in fields)
    return packed | (match[4] == ";") << 6, 0
