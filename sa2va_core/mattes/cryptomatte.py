"""Cryptomatte: all objects of a frame in one EXR, picked by name in a compositor.

After the Cryptomatte specification 1.2.0 (Friedman and Jones, Psyop, 2018): an object's id is a hash of its name, read
as a float; each pixel holds pairs of (id, coverage), the largest coverage first, in float channels
``sa2va00.R G B A``, ``sa2va01...``; the header holds a manifest of the names.

A pixel's coverage is shared out among the objects, so its sum never passes 1. Where mattes overlap by more than that,
later objects of the job lie over earlier ones, as layers do: the later one keeps its whole matte, and the union of both
is as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import mmh3
import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from sa2va_plugin.errors import OutputError
from sa2va_plugin.jobspec import ObjectSpec, Outputs
from sa2va_plugin.naming import cryptomatte_name, cryptomatte_pattern

from sa2va_core.media import draw
from sa2va_core.media.atomic import remove_strays
from sa2va_core.media.exr import data_window, write_exr
from sa2va_core.media.frames import PlateFacts, SourceFrame
from sa2va_core.media.write import file_metadata, result_stem

LAYER = "sa2va"
#: A file has a rank for each of its job's objects, and at most so many: the specification wants the same channels on
#: all frames of a shot. Where more objects meet in one pixel, the least of them go.
MOST_RANKS = 12
#: Coverage below this is dropped. Sigmoids end nowhere, and a file full of ids of nearly nothing does not compress.
LEAST_COVERAGE = 1.0 / 2048.0
# A loss smaller than one step of an 8-bit display is a seam, not an overlap.
_STEP = 1.0 / 255.0
_OVERLAPPED = "sa2va/overlapped"
_WORTH_SAYING = 0.01


def name_hash(name: str) -> int:
    """MurmurHash3_32 of the UTF-8 name, with bit 23 flipped where the float of the same bits would not be a plain
    number (zero, denormal, infinite or NaN), as the specification asks."""
    bits = mmh3.hash(name.encode(), 0, signed=False)
    return bits ^ 1 << 23 if bits >> 23 & 255 in (0, 255) else bits


def name_id(name: str) -> np.float32:
    """The id that stands for ``name`` in the pixels."""
    return np.uint32(name_hash(name)).view(np.float32)


def header(names: Sequence[str]) -> dict[str, str]:
    """The metadata of a file with the objects ``names``, under the specification's keys."""
    key = f"cryptomatte/{name_hash(LAYER):08x}"[:-1]
    manifest = {name: f"{name_hash(name):08x}" for name in names}
    return {
        f"{key}/name": LAYER,
        f"{key}/hash": "MurmurHash3_32",
        f"{key}/conversion": "uint32_to_float32",
        # Not every reader undoes \u escapes.
        f"{key}/manifest": json.dumps(manifest, ensure_ascii=False, separators=(",", ":")),
    }


def shared_out(mattes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """``mattes``, (H, W) each, 0..1, as coverages (N, H, W) whose sum at each pixel is at most 1: later mattes keep
    theirs, earlier ones what is left, and only the largest :data:`MOST_RANKS` of a pixel count."""
    coverage = np.stack(mattes)
    coverage[coverage < LEAST_COVERAGE] = 0.0
    left = np.subtract(np.float32(1.0), coverage[-1])
    for plane in coverage[-2::-1]:
        np.minimum(plane, left, out=plane)
        # Where the later matte is all but solid: no second id for nearly nothing.
        plane[plane < LEAST_COVERAGE] = 0.0
        left -= plane
    crowded = np.count_nonzero(coverage, axis=0) > MOST_RANKS
    if crowded.any():
        values = coverage[:, crowded]
        coverage[:, crowded] = np.where(values < np.partition(values, -MOST_RANKS, axis=0)[-MOST_RANKS], 0.0, values)
    return coverage


def ranked(coverage: NDArray[np.float32], ids: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Planes (H, W) of id, coverage, id, coverage, ... from coverages (N, H, W), the largest first.

    Their number depends on N alone and is a multiple of four: whole layers of RGBA. A pair without coverage is (0, 0).
    """
    count, height, width = coverage.shape
    flat = coverage.reshape(count, -1)
    objects = np.count_nonzero(flat, axis=0)
    ranks = min(count, MOST_RANKS)
    planes = np.zeros((-(-ranks // 2) * 4, height * width), np.float32)
    lone = np.flatnonzero(objects == 1)
    planes[0, lone] = ids[flat[:, lone].argmax(axis=0)]
    planes[1, lone] = flat[:, lone].max(axis=0)
    shared = np.flatnonzero(objects > 1)
    if shared.size:
        values = flat[:, shared]
        order = np.argsort(-values, axis=0, kind="stable")[: min(ranks, int(objects.max()))]
        values = np.take_along_axis(values, order, axis=0)
        planes[0 : 2 * len(order) : 2, shared] = np.where(values > 0, ids[order], np.float32(0))
        planes[1 : 2 * len(order) : 2, shared] = values
    return list(planes.reshape(-1, height, width))


class CryptomatteWriter:
    """Writes the Cryptomatte files of one job.

    :meth:`write` may be called by several threads at once, for different frames; nothing is kept in memory.
    ``provenance`` as for MatteWriter; ``warnings``: sentences for the user, after :meth:`finish`.
    """

    def __init__(
        self, outputs: Outputs, facts: PlateFacts, objects: Sequence[ObjectSpec], provenance: Mapping[str, str]
    ) -> None:
        self._outputs, self._facts, self._objects, self._provenance = outputs, facts, tuple(objects), provenance
        self._pattern = cryptomatte_pattern(result_stem(outputs, facts))
        names = [cryptomatte_name(item.name) for item in objects]
        self._ids = np.array([name_id(name) for name in names], np.float32)
        self._header = header(names)
        self._colours = np.stack([_linear(draw.object_colour(i)) for i in range(len(names))])
        self.warnings: list[str] = []

    def path(self, frame: int) -> Path:
        return Path(self._outputs.folder) / self._pattern.path(frame)

    def remove_strays(self, frames: Sequence[int]) -> None:
        """Clear what a killed run left half-written. Call it before the first of these frames is written."""
        remove_strays(self.path(frame) for frame in frames)

    def write(self, source: SourceFrame, alphas: Mapping[str, NDArray[np.float32]]) -> Path:
        """Write one frame; returns its path. ``alphas`` as for MatteWriter. Raises OutputError.

        Beside the ranks, R, G, B, A hold a picture of all objects in their colours, linear and premultiplied.
        """
        mattes = [alphas[item.name] for item in self._objects]
        # What lies outside the box around all mattes is zero in every channel.
        x0, y0, x1, y1 = data_window(np.maximum.reduce(mattes) >= LEAST_COVERAGE)
        box = np.s_[y0:y1, x0:x1]
        cropped = [matte[box] for matte in mattes]
        coverage = shared_out(cropped)
        channels = dict(zip("RGB", np.tensordot(self._colours.T, coverage, 1), strict=True))
        channels["A"] = coverage.sum(axis=0)
        for index, plane in enumerate(ranked(coverage, self._ids)):
            level, channel = divmod(index, 4)
            channels[f"{LAYER}{level:02d}.{'RGBA'[channel]}"] = plane
        width, height = self._facts.size
        empty = np.zeros((height, width), np.float32)
        whole = dict.fromkeys(channels, empty)
        for name, plane in channels.items():
            if plane.any():
                whole[name] = empty.copy()
                whole[name][box] = plane
        path = self.path(source.frame)
        write_exr(
            path,
            whole,
            size=self._facts.size,
            origin=self._facts.origin,
            window=(x0, y0, x1, y1) if self._outputs.crop else None,
            pixel_aspect=self._facts.pixel_aspect,
            fps=self._facts.fps,
            timecode=source.timecode,
            compression=self._outputs.compression,
            metadata={
                **file_metadata(self._provenance, source, self._objects),
                **self._header,
                _OVERLAPPED: json.dumps(self._overlapped(cropped, coverage), ensure_ascii=False),
            },
        )
        return path

    def finish(self, frames: Sequence[int]) -> None:
        """Say in ``warnings`` which objects of the frames written lost coverage to others."""
        lost: dict[str, list[int]] = {}
        for frame in frames:
            for name, share in _read_overlapped(self.path(frame)).items():
                if share > _WORTH_SAYING:
                    lost.setdefault(name, []).append(frame)
        self.warnings = [
            f"In the Cryptomatte, {name!r} is covered in part by later objects on {len(where)} of {len(frames)} frames "
            f"({where[0]} is the first); pick it together with them for all of it, or use its own layer."
            for name, where in lost.items()
        ]

    def _overlapped(self, mattes: Sequence[NDArray[np.float32]], coverage: NDArray[np.float32]) -> dict[str, float]:
        """By name, the share of an object's coverage that went to others."""
        lost = {}
        for item, matte, kept in zip(self._objects[:-1], mattes[:-1], coverage[:-1], strict=True):
            loss = matte - kept
            total = float(loss[loss > _STEP].sum())
            if total:
                lost[item.name] = round(total / float(matte.sum()), 4)
        return lost


def _linear(colour: draw.Colour) -> NDArray[np.float32]:
    """An sRGB colour as linear light, 0..1 (IEC 61966-2-1)."""
    encoded = np.array(colour, np.float32) / 255.0
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _read_overlapped(path: Path) -> dict[str, float]:
    file = oiio.ImageInput.open(str(path))
    if file is None:
        oiio.geterror()  # or OpenImageIO prints it at exit
        raise OutputError(f"A Cryptomatte file is gone or damaged: {path}", "Run the job again with --overwrite.")
    try:
        return json.loads(file.spec().getattribute(_OVERLAPPED) or "{}")
    finally:
        file.close()
