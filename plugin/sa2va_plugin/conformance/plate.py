"""A plate out of the standard library: 8-bit RGB PNGs of a bright disc that crosses a dark field."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

WIDTH, HEIGHT, RADIUS = 96, 54, 12
FIRST = 1001


def write_plate(folder: Path, frames: int) -> str:
    """Write frames from 1001 on; returns their pattern."""
    folder.mkdir(parents=True)
    for number in range(frames):
        (folder / f"disc.{FIRST + number}.png").write_bytes(_png(_disc(20 + number % 60)))
    return str(folder / "disc.####.png")


def _disc(x0: int) -> bytes:
    rows = bytearray()
    for y in range(HEIGHT):
        rows.append(0)  # each row's filter: none
        for x in range(WIDTH):
            inside = (x - x0) ** 2 + (y - HEIGHT // 2) ** 2 < RADIUS**2
            rows += (b"\xf0" if inside else b"\x14") * 3
    return bytes(rows)


def _png(rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
