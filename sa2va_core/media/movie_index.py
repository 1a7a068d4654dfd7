"""Where the frames of a movie are in time: an index of time stamps, made without decoding where that is possible."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from sa2va_plugin.errors import MediaError

from sa2va_core.media.plate import nominal_rate

_INTRA_ONLY = 1  # AV_CODEC_PROP_INTRA_ONLY
_COVER = 0x400  # AV_DISPOSITION_ATTACHED_PIC


@dataclass(frozen=True)
class Index:
    """Time stamps of every frame in showing order, and of the key frames, in units of ``time_base`` seconds.

    ``lost``: how many frames the file's table puts beyond the end of the file.
    """

    stamps: list[int]
    keys: list[int]
    time_base: Fraction
    lost: int


@contextlib.contextmanager
def open_movie(path: Path) -> Generator[tuple[Any, Any]]:
    """The container and its picture stream; closed at the end. Raises MediaError, also for what fails inside."""
    container = None
    try:
        container = av.open(str(path), metadata_errors="replace")
        streams = [stream for stream in container.streams.video if not int(stream.disposition) & _COVER]
        if not streams:
            raise MediaError(f"The movie has no picture: {path}", "Name a movie with a video track.")
        yield container, streams[0]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise unreadable(path, error) from error
    finally:
        if container is not None:
            container.close()


def unreadable(path: Path, error: Exception) -> MediaError:
    """What to tell the user of a failure to open or read."""
    if path.is_file() and path.stat().st_size == 0:
        return MediaError(f"The movie is empty (0 bytes): {path}", "Copy or render it again.")
    if isinstance(error, PermissionError):
        return MediaError(f"The movie may not be read: {path}", "Check its permissions.")
    text = getattr(error, "strerror", None) or str(error)
    return MediaError(f"The movie cannot be read ({text}): {path}", "Copy or render it again; it may be cut short.")


def read_index(path: Path) -> Index:
    """Every frame's time stamp, without decoding where the file has them. Raises MediaError."""
    with open_movie(path) as (container, stream):
        end, base = path.stat().st_size, stream.time_base
        stamps, keys = _listed_stamps(stream, end) or _packet_stamps(container, stream) or _decoded_stamps(path)
        lost = sum(entry.pos + entry.size > end for entry in stream.index_entries or ())
    stamps.sort()
    keys.sort()
    # What comes before the first key frame cannot be decoded.
    stamps = stamps[bisect.bisect_left(stamps, keys[0]) :] if keys else []
    if not stamps:
        raise MediaError(f"The movie holds no frames: {path}", "Copy or render it again; it may be cut short.")
    return Index(stamps, keys, base, lost)


def _listed_stamps(stream: Any, end: int) -> tuple[list[int], list[int]] | None:
    """From the file's own table, which spares reading all of a big movie; its stamps are decoding times, so this is
    only for codecs without frames that refer to others.
    """
    entries = stream.index_entries
    if not stream.codec_context.codec.properties & _INTRA_ONLY or not entries or len(entries) != stream.frames:
        return None
    whole = [entry for entry in entries if entry.pos + entry.size <= end]
    return [e.timestamp for e in whole if not e.is_discard], [e.timestamp for e in whole]


def _packet_stamps(container: Any, stream: Any) -> tuple[list[int], list[int]] | None:
    # Not the packets themselves: they hold the movie.
    seen = [(p.pts, p.is_keyframe, p.is_discard, p.is_corrupt) for p in container.demux(stream) if p.size]
    while seen and seen[-1][3]:
        seen.pop()  # The end of a file that was cut short.
    if any(pts is None for pts, *_ in seen):
        return None
    # Frames that an edit list hides are not shown, but decoding may start from them.
    return [pts for pts, _, hidden, _ in seen if not hidden], [pts for pts, key, _, _ in seen if key]


def _decoded_stamps(path: Path) -> tuple[list[int], list[int]]:
    with open_movie(path) as (container, stream):
        stream.thread_type = "AUTO"
        frames = [(frame.pts, frame.key_frame) for frame in container.decode(stream)]
    if any(pts is None for pts, _ in frames):
        raise MediaError(
            f"The movie has no time stamps, so its frames cannot be told apart: {path}",
            "Wrap it into a mov or mkv file first.",
        )
    return [pts for pts, _ in frames], [pts for pts, key in frames if key]


def usual_rate(index: Index) -> Fraction | None:
    """Frames a second that most neighbours are apart; None for a single frame."""
    if len(index.stamps) < 2:
        return None
    gaps = np.diff(index.stamps)
    gaps = gaps[gaps > 0]
    if not gaps.size:
        return None
    usual = np.median(gaps)
    # Coarse time bases (1/1000 s in Matroska) round each gap, so average those near the usual one.
    near = gaps[np.abs(gaps - usual) <= max(1.0, 0.05 * usual)]
    return nominal_rate(1 / (Fraction(float(near.mean())).limit_denominator(10**6) * index.time_base))


def time_line(index: Index, own: Fraction | None, fps: Fraction | None) -> list[int] | None:
    """For a movie of variable rate: the stored frame to show for each time-line frame. None at constant rate."""
    if own is None or fps is None:
        return None
    ticks = np.asarray(index.stamps, np.float64) - index.stamps[0]
    step = float(1 / (own * index.time_base))
    if np.all(np.abs(ticks - np.arange(len(ticks)) * step) < 0.5 * step):
        return None
    step = float(1 / (fps * index.time_base))
    line = np.arange(int(np.floor(ticks[-1] / step + 1e-6)) + 1) * step
    return [int(i) for i in np.searchsorted(ticks, line + 0.5, side="right") - 1]
