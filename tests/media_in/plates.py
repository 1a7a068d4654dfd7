"""Plates made for the tests, with the same libraries that studios write them with."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from sa2va_plugin.jobspec import Shot

from sa2va_core.media.clip import open_clip

BITS = 12


def spec_of(shape: tuple[int, ...], form: str, channels: Iterable[str] = (), **attributes: Any) -> oiio.ImageSpec:
    """A spec; attribute names have ``__`` for ``:``, and a (type, value) pair where the type matters."""
    spec = oiio.ImageSpec(shape[1], shape[0], shape[2], form)
    if channels:
        spec.channelnames = tuple(channels)
    for name, value in attributes.items():
        arguments = value if isinstance(value, tuple) else (value,)
        spec.attribute(name.replace("__", ":"), *arguments)
    return spec


def write(
    path: Path, pixels: NDArray[Any], form: str = "half", window: tuple[int, ...] = (), **attributes: Any
) -> Path:
    """One image. ``window``: x, y of the data window, then x, y, width, height of the display window."""
    channels = attributes.pop("channels", ())
    spec = spec_of(pixels.shape, form, channels, **attributes)
    if window:
        spec.x, spec.y, spec.full_x, spec.full_y, spec.full_width, spec.full_height = window
    return write_parts(path, [(spec, pixels)])


def write_parts(path: Path, parts: list[tuple[oiio.ImageSpec, NDArray[Any]]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    out = oiio.ImageOutput.create(str(path))
    assert out, oiio.geterror()
    first = parts[0][0] if len(parts) == 1 else tuple(spec for spec, _ in parts)
    assert out.open(str(path), first), out.geterror()
    for index, (spec, pixels) in enumerate(parts):
        if index:
            assert out.open(str(path), spec, "AppendSubimage"), out.geterror()
        assert out.write_image(np.ascontiguousarray(pixels)), out.geterror()
    out.close()
    return path


def sequence(folder: Path, numbers: Iterable[int], name: str = "plate.{:04d}.exr", **how: Any) -> Path:
    """Small frames whose red is the frame number / 2000."""
    for number in numbers:
        pixels = np.full((8, 12, 3), 0.25, np.float32)
        pixels[..., 0] = number / 2000
        write(folder / name.format(number), pixels, **how)
    return folder


def number_in(pixels: NDArray[Any]) -> int:
    """The frame number that :func:`sequence` wrote."""
    return round(float(pixels[0, 0, 0]) * 2000)


def burn(number: int, size: tuple[int, int] = (192, 64), noise: int = 0) -> NDArray[np.uint8]:
    """A grey picture with ``number`` as a row of white and black blocks, and its complement below."""
    width, height = size
    picture = np.full((height, width, 3), 90, np.uint8)
    if noise:
        picture += np.random.default_rng(number).integers(0, noise, picture.shape, dtype=np.uint8)
    block = width // BITS
    for bit in range(BITS):
        on = number >> bit & 1
        picture[: height // 2, bit * block : (bit + 1) * block] = 235 if on else 20
        picture[height // 2 : height - 8, bit * block : (bit + 1) * block] = 20 if on else 235
    return picture


def burnt(picture: NDArray[Any]) -> int:
    """The number that :func:`burn` wrote."""
    height, width = picture.shape[:2]
    block = width // BITS
    number = 0
    for bit in range(BITS):
        cell = picture[:, bit * block + block // 4 : (bit + 1) * block - block // 4].astype(float)
        number |= int(cell[4 : height // 2 - 4].mean() > cell[height // 2 + 4 : height - 12].mean()) << bit
    return number


def movie(
    path: Path,
    frames: Iterable[NDArray[np.uint8] | av.VideoFrame],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: Fraction = Fraction(24),
    options: dict[str, str] | None = None,
    stamps: Iterable[int] | None = None,
    metadata: dict[str, str] | None = None,
    **codec_context: Any,
) -> Path:
    """A movie of RGB arrays or ready frames. ``stamps``: when each is shown, in units of 1/rate."""
    ready = [f if isinstance(f, av.VideoFrame) else av.VideoFrame.from_ndarray(f, format="rgb24") for f in frames]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = ready[0].width, ready[0].height, pix_fmt
        stream.codec_context.time_base = 1 / rate
        for name, value in codec_context.items():
            setattr(stream.codec_context, name, value)
        stream.metadata.update(metadata or {})
        for frame, stamp in zip(ready, stamps or range(len(ready)), strict=True):
            frame.pts, frame.time_base = stamp, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def pictures(path: Path | str, **shot: Any) -> dict[int, NDArray[np.uint8]]:
    """Every picture of a shot, by result frame."""
    with open_clip(Shot(str(path), **shot)) as clip:
        return {picture.frame: picture.rgb for picture in clip.stream(clip.frames)}
