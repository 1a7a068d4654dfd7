"""What a picture or movie file holds: windows, layers, values, and what made it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from sa2va_plugin.errors import MediaError

from . import timecode
from .sequence import is_movie

_OURS = "sa2va/"
_TOLD = (_OURS, "cryptomatte/")
_TEXT = (".json", ".html", ".nk")
#: Movie frames looked at for the range of values, evenly spread.
_SAMPLES = 5


def inspect_file(path: Path) -> dict[str, Any]:
    """All that is worth knowing of a file, fit for JSON.

    ``file``, ``format`` and ``parts``, a list with one entry for most files. A part: ``name``, ``display_window`` and
    ``data_window`` ([x0, y0, x1, y1], end-exclusive), ``pixel_aspect``, ``compression``, ``fps`` (text) and
    ``timecode`` or None, ``colour``, ``frames``, ``channels`` and ``metadata`` (the file's ``sa2va/`` and
    ``cryptomatte/`` entries). A channel: ``name``, ``layer``, ``type``, and ``min``, ``max`` and ``mean`` (over the
    display window, so a matte's coverage; integers as 0..1), None where there is no finite value; ``not_finite``
    counts the others. Movies give values of up to 5 frames. Raises MediaError.
    """
    if not path.exists():
        raise MediaError(f"There is no such file: {path}", "Check the name.")
    if not path.is_file():
        raise MediaError(f"This is a folder, not a file: {path}", "Name one file in it.")
    if path.suffix.lower() in _TEXT:
        raise MediaError(f"This is not a picture or movie: {path}", "Read it as it is; `sa2va qc` sums up a job.")
    if not path.stat().st_size:
        raise MediaError(f"The file is empty (0 bytes): {path}", "Copy or render it again.")
    return _movie(path) if is_movie(path) else _image(path)


def _image(path: Path) -> dict[str, Any]:
    image = oiio.ImageInput.open(str(path))
    if image is None:
        raise _unreadable(path, oiio.geterror())
    try:
        parts = []
        while image.seek_subimage(len(parts), 0):
            parts.append(_part(path, image, len(parts)))
        return {"file": path.name, "format": image.format_name(), "parts": parts}
    finally:
        image.geterror()  # or the library prints it at exit
        image.close()


def _part(path: Path, image: Any, index: int) -> dict[str, Any]:
    spec: oiio.ImageSpec = image.spec()
    pixels = None if spec.deep else image.read_image(index, 0, 0, spec.nchannels, oiio.FLOAT)
    if pixels is None and not spec.deep:
        raise _unreadable(path, image.geterror())
    area = spec.full_width * spec.full_height
    shown = tuple(
        slice(max(0, full - at), max(0, full - at + size))
        for at, full, size in ((spec.y, spec.full_y, spec.full_height), (spec.x, spec.full_x, spec.full_width))
    )
    types = [str(kind) for kind in spec.channelformats] or [str(spec.format)] * spec.nchannels
    channels = []
    for i, name in enumerate(spec.channelnames):
        values = {} if pixels is None else _values(pixels[..., i], shown, area)
        channels.append({"name": name, "layer": name.rpartition(".")[0], "type": types[i], **values})
    rate, code = spec.getattribute("framesPerSecond"), spec.getattribute("smpte:TimeCode")
    metadata = _metadata(spec)
    return {
        "name": spec.get_string_attribute("oiio:subimagename"),
        "display_window": _window(spec.full_x, spec.full_y, spec.full_width, spec.full_height),
        "data_window": _window(spec.x, spec.y, spec.width, spec.height),
        "pixel_aspect": round(float(spec.get_float_attribute("PixelAspectRatio", 1.0)), 6),
        "compression": spec.get_string_attribute("compression"),
        "fps": f"{rate[0]}/{rate[1]}" if isinstance(rate, tuple) else None,
        "timecode": timecode.from_packed(code[0]) if isinstance(code, tuple) else metadata.get("sa2va/timecode"),
        "colour": spec.get_string_attribute("colorInteropID"),
        "frames": 1,
        "channels": channels,
        "metadata": metadata,
    }


def _window(x: int, y: int, width: int, height: int) -> list[int]:
    return [x, y, x + width, y + height]


def _metadata(spec: oiio.ImageSpec) -> dict[str, str | int]:
    found: dict[str, Any] = {item.name: item.value for item in spec.extra_attribs}
    description = found.get("ImageDescription", "")
    if isinstance(description, str) and f'"{_OURS}' in description:
        with contextlib.suppress(ValueError):  # somebody else's words that mention ours
            found.update(json.loads(description))
    return {name: value for name, value in found.items() if name.startswith(_TOLD)}


def _values(plane: NDArray[np.float32], shown: tuple[slice, ...], area: int) -> dict[str, Any]:
    """The mean is that of the display window: of ``shown``, and nothing where the plane does not reach."""
    finite = plane[np.isfinite(plane)]
    if not finite.size:
        return {"min": None, "max": None, "mean": None, "not_finite": plane.size}
    seen = plane[shown]
    return {
        "min": round(float(finite.min()), 6),
        "max": round(float(finite.max()), 6),
        "mean": round(float(seen[np.isfinite(seen)].sum(dtype=np.float64)) / area, 6),
        "not_finite": plane.size - finite.size,
    }


def _movie(path: Path) -> dict[str, Any]:
    try:
        with av.open(str(path)) as movie:
            if not movie.streams.video:
                raise MediaError(f"The file has no picture: {path}", "Name a movie or a picture.")
            return {
                "file": path.name,
                "format": movie.format.name.split(",")[0],
                "parts": [_stream(movie, movie.streams.video[0])],
            }
    except av.error.FFmpegError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def _stream(movie: av.container.InputContainer, stream: av.VideoStream) -> dict[str, Any]:
    sampled = _samples(movie, stream)
    layout = stream.codec_context.format
    assert layout is not None
    planes: dict[str, list[NDArray[np.float32]]] = {"luma": [_luma(frame) for frame in sampled]}
    if any(component.is_alpha for component in layout.components):
        planes["A"] = [_alpha(frame) for frame in sampled]
    channels = []
    for name, arrays in planes.items():
        stacked = np.stack(arrays)
        channels.append({"name": name, "layer": "", "type": layout.name, **_values(stacked, (), stacked.size)})
    window = [0, 0, stream.codec_context.width, stream.codec_context.height]
    aspect = stream.sample_aspect_ratio
    rate = stream.average_rate
    return {
        "name": "",
        "display_window": window,
        "data_window": window,
        "pixel_aspect": round(float(aspect), 6) if aspect else 1.0,
        "compression": stream.codec_context.codec.long_name,
        "fps": f"{rate.numerator}/{rate.denominator}" if rate else None,
        "timecode": stream.metadata.get("timecode") or movie.metadata.get("timecode"),
        "colour": "Rec.709" if int(stream.codec_context.colorspace) == 1 else "",
        "frames": stream.frames or None,
        "channels": channels,
        "metadata": {name: value for name, value in movie.metadata.items() if name.startswith(_OURS)},
    }


def _samples(movie: av.container.InputContainer, stream: av.VideoStream) -> list[av.VideoFrame]:
    """Up to 5 frames from start to end (key frames, where others depend on them)."""
    start, length = stream.start_time or 0, stream.duration or 0
    wanted = min(_SAMPLES, stream.frames or 1)
    frames = []
    for i in range(wanted):
        if i:
            movie.seek(start + length * i // wanted, stream=stream)
        frame = next(movie.decode(stream), None)
        if frame is not None:
            frames.append(frame)
    if not frames:
        raise av.error.InvalidDataError(0, "no frame can be decoded")
    return frames


def _luma(frame: av.VideoFrame) -> NDArray[np.float32]:
    """0..1 (H, W) at full range."""
    return frame.reformat(format="gray16le", dst_color_range="JPEG").to_ndarray().astype(np.float32) / np.float32(65535)


def _alpha(frame: av.VideoFrame) -> NDArray[np.float32]:
    """0..1 (H, W). As stored: FFmpeg's conversions make 65520 of a full 12-bit value, where 65535 would be full."""
    component = next(c for c in frame.format.components if c.is_alpha)
    if component.plane != 3:
        return frame.to_ndarray(format="rgba")[..., 3].astype(np.float32) / np.float32(255)
    kind = np.uint8 if component.bits <= 8 else np.dtype("<u2")
    plane = frame.planes[3]
    rows = np.frombuffer(plane, kind).reshape(plane.height, -1)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return rows[:, : plane.width].astype(np.float32) / np.float32(2**component.bits - 1)


def _unreadable(path: Path, trouble: str) -> MediaError:
    detail = " ".join(trouble.split()).replace(str(path), path.name)[:160]
    return MediaError(
        f"The file cannot be read ({detail or 'unknown kind'}): {path}", "Copy or render it again; it may be cut short."
    )


def _number(value: float) -> str:
    """With at most 9 signs: ids of a Cryptomatte are any floats there are."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:.2e}"


def format_report(report: Mapping[str, Any]) -> str:
    """:func:`inspect_file`'s result for people, several lines without a last line break."""
    lines = []
    for part in report["parts"]:
        title = " · ".join(filter(None, (report["file"], part["name"])))
        frames = f", {part['frames']} frames" if (part["frames"] or 0) > 1 else ""
        kind = ", ".join(filter(None, (report["format"], part["compression"])))
        lines += [f"{title}: {kind}{frames}"]
        lines += [f"  {name:<15} {value}" for name, value in _facts(part) if value]
        lines += ["", *_table(part["channels"])]
        if part["metadata"]:
            width = max(map(len, part["metadata"]))
            lines += ["", *(f"  {name:<{width}}  {value}" for name, value in sorted(part["metadata"].items()))]
        lines.append("")
    return "\n".join(lines[:-1])


def _facts(part: Mapping[str, Any]) -> list[tuple[str, str]]:
    x0, y0, x1, y1 = part["display_window"]
    aspect = "" if part["pixel_aspect"] == 1 else f", pixel aspect {part['pixel_aspect']:g}"
    a0, b0, a1, b1 = part["data_window"]
    same = part["data_window"] == part["display_window"]
    place = f", x {x0} to {x1 - 1}, y {y0} to {y1 - 1}" if x0 or y0 else ""
    inside = "the whole display window" if same else f"{a1 - a0} x {b1 - b0}, x {a0} to {a1 - 1}, y {b0} to {b1 - 1}"
    return [
        ("display window", f"{x1 - x0} x {y1 - y0}{place}{aspect}"),
        ("data window", inside),
        ("frames/second", part["fps"] or ""),
        ("time code", part["timecode"] or ""),
        ("colour", part["colour"]),
    ]


def _table(channels: Sequence[Mapping[str, Any]]) -> list[str]:
    width = max(7, *(len(channel["name"]) for channel in channels))
    kind = max(6, *(len(channel["type"]) for channel in channels))
    lines = [f"  {'channel':<{width}}  {'type':<{kind}} {'min':>9} {'max':>9} {'mean':>9}"]
    for channel in channels:
        line = f"  {channel['name']:<{width}}  {channel['type']:<{kind}}"
        if channel.get("min") is not None:
            line += "".join(f" {_number(channel[which]):>9}" for which in ("min", "max", "mean"))
        if channel.get("not_finite"):
            line += f"  {channel['not_finite']} values are not finite"
        lines.append(line)
    return lines
