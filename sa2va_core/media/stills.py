"""16-bit grey PNG and TIFF, encoded in memory so that nothing but the file system can fail afterwards.

OpenCV encodes (2 to 5 times faster than OpenImageIO here, and no sRGB or gamma chunk that would have a host bend the
matte's values); the text that it cannot store is spliced in.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

FULL = 65535
_PNG_HEAD = 33  # signature and IHDR
_DPI = 72


def to_16_bit(alpha: NDArray[np.float32]) -> NDArray[np.uint16]:
    """0..1 to 0..65535, rounded, clamped. (H, W)."""
    scaled = cv2.multiply(alpha, float(FULL), dtype=cv2.CV_16U)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return np.asarray(scaled, np.uint16)


def png(alpha: NDArray[np.uint16], metadata: Mapping[str, str | int], pixel_aspect: float) -> bytes:
    """A grey 16-bit PNG: (H, W), with ``metadata`` as UTF-8 text chunks and a pHYs chunk if pixels are not square."""
    data = encoded(".png", alpha, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED)
    chunks = []
    if pixel_aspect != 1.0:
        chunks.append(_png_chunk(b"pHYs", struct.pack(">IIB", 10000, round(10000 * pixel_aspect), 0)))
    for name, value in metadata.items():
        text = name.encode("latin-1", "replace")[:79] + b"\0\0\0\0\0" + str(value).encode()
        chunks.append(_png_chunk(b"iTXt", text))
    return b"".join([data[:_PNG_HEAD], *chunks, data[_PNG_HEAD:]])


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def tiff(alpha: NDArray[np.uint16], metadata: Mapping[str, str | int], pixel_aspect: float) -> bytes:
    """A grey 16-bit TIFF, deflated: (H, W), with ``metadata`` as JSON in ImageDescription; pixel aspect in the dpi."""
    options = (
        *(cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE),
        *(cv2.IMWRITE_TIFF_PREDICTOR, cv2.IMWRITE_TIFF_PREDICTOR_HORIZONTAL),
        *(cv2.IMWRITE_TIFF_RESUNIT, 1, cv2.IMWRITE_TIFF_XDPI, _DPI * 100),
        *(cv2.IMWRITE_TIFF_YDPI, round(_DPI * 100 * pixel_aspect)),
    )
    data = encoded(".tiff", alpha, *options)
    if data[:4] != b"II*\0":
        raise RuntimeError("OpenCV wrote a TIFF of an unexpected kind")
    # The description goes to the end, followed by a new directory that names it and all the old one names.
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    entries = [data[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    text = json.dumps(metadata).encode("ascii") + b"\0"
    text += b"\0" * (len(text) % 2)
    start = len(data) + len(data) % 2
    entries.append(struct.pack("<HHII", 270, 2, len(text), start))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    directory = struct.pack("<H", count + 1) + b"".join(entries) + bytes(4)
    head = data[:4] + struct.pack("<I", start + len(text))
    return b"".join([head, data[8:], bytes(len(data) % 2), text, directory])


def encoded(extension: str, image: MatLike, *options: int) -> bytes:
    """``image``, grey or BGR, as the bytes of a file; ``options`` are OpenCV's ``IMWRITE_`` pairs."""
    done, data = cv2.imencode(extension, image, options)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a {extension} picture")
    return data.tobytes()
