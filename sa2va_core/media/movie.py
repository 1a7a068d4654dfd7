"""Movies in: any frame by number, exactly, through PyAV (FFmpeg)."""

from __future__ import annotations

import bisect
import contextlib
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from sa2va_plugin.errors import MediaError

from sa2va_core.media import timecode
from sa2va_core.media.plate import ColourHint, nominal_rate

#: Without these swscale works in 8 bits inside: 196 levels and a bias of -1.4 codes where there are 55,892 and 0.2.
_ACCURATE = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
#: Where swscale puts the white of limited-range Y'CbCr in 16 bits, whatever the depth; full range is shifted up. Left
#: so, white would be 0.996.
_LIMITED_WHITE = 65283
#: So many frames ahead, going on is cheaper than seeking.
_NEAR = 8
_INTRA_ONLY = 1  # AV_CODEC_PROP_INTRA_ONLY
# Code points of ITU-T H.273, as FFmpeg keeps them.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_VIDEO = "g24_rec709_display"
_TRANSFERS = {
    **dict.fromkeys((1, 5, 6, 7, 11, 12), _VIDEO),
    4: "g22_rec709_display",
    8: "lin_rec709_scene",
    13: "srgb_rec709_display",
    14: _VIDEO,
    15: _VIDEO,
    16: "pq_rec2020_display",
    18: "hlg_rec2020_display",
}
_WIDE_PRIMARIES = {9: "Rec.2020", 11: "DCI-P3", 12: "Display P3"}


@dataclass(frozen=True)
class _Index:
    """Time stamps of every frame in showing order, and of the key frames, in units of ``time_base`` seconds.

    ``promised``: how many frames the header tells of, or 0.
    """

    stamps: list[int]
    keys: list[int]
    time_base: Fraction
    promised: int


class Movie:
    """A movie as a plate: frame numbers from ``first`` on. Raises MediaError.

    A movie of constant rate has a number for each stored frame. One of variable rate has the numbers of a time line at
    ``fps`` (else its usual rate), each showing the last frame that has begun by then, as an editor would show it.
    """

    def __init__(self, path: Path, first: int = 1, fps: Fraction | None = None) -> None:
        self._path, self._first = path, first
        self.warnings: list[str] = []
        self._index = _index(path)
        self._decoder = _Decoder(path, self._index)
        self._local = threading.local()
        try:
            frame = self._decoder.frame(0, first)
        except MediaError:
            self.close()
            raise
        stream = self._decoder.stream
        own = _usual_rate(self._index)
        self.fps: Fraction | None = (
            nominal_rate(own or stream.average_rate or 0) if own or stream.average_rate else None
        )
        self._stored = _stored(self._index, own, fps or self.fps)
        if self._stored is not None:
            self.warnings.append(
                f"The movie's frame rate varies: its frames are laid out at {float(fps or self.fps or 24):g} a second."
            )
        missing = self._index.promised - len(self._index.stamps)
        if missing > 0:
            self.warnings.append(f"The movie tells of {missing} more frames than it holds; it may be cut short.")
        if frame.interlaced_frame:
            self.warnings.append("The movie is interlaced: each frame shows both its fields.")
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        self._turns = round(frame.rotation / 90) % 4
        width, height = frame.width, frame.height
        sideways = self._turns % 2 == 1
        self.size = (height, width) if sideways else (width, height)
        self.pixel_aspect = 1 / aspect if sideways else aspect
        self.hint = _hint(frame)
        self.bits = max(component.bits for component in frame.format.components)
        self._timecode = _start_timecode(self._decoder)

    @property
    def numbers(self) -> Sequence[int]:
        count = len(self._index.stamps) if self._stored is None else len(self._stored)
        return range(self._first, self._first + count)

    def path(self, number: int) -> Path:
        return self._path

    def position(self, number: int) -> int:
        """Index of the stored frame, in showing order."""
        offset = number - self._first
        return offset if self._stored is None else self._stored[offset]

    def timecode(self, number: int) -> str | None:
        if self._timecode is None or self.fps is None:
            return None
        return timecode.advance(self._timecode, number - self._first, self.fps)

    def another(self) -> Movie:
        """A reader of the same movie with a decoder of its own."""
        twin = object.__new__(Movie)
        twin.__dict__.update(self.__dict__)
        twin._decoder = _Decoder(self._path, self._index)
        twin._local = threading.local()
        return twin

    def decode(self, number: int) -> av.VideoFrame:
        return self._decoder.frame(self.position(number), number)

    def pixels(self, decoded: av.VideoFrame, eight_bit: bool = False) -> NDArray[np.generic]:
        """RGB at full range, upright: uint8 when ``eight_bit`` or stored as 8-bit RGB, else uint16."""
        reformatter = getattr(self._local, "reformatter", None)
        if reformatter is None:
            # One for each thread: it keeps swscale's tables between frames.
            reformatter = self._local.reformatter = VideoReformatter()
        stored, matrix = decoded.format, _matrix(decoded)
        bits = max(component.bits for component in stored.components)
        full = decoded.color_range == ColorRange.JPEG or stored.name.startswith("yuvj") or stored.is_rgb
        eight_bit = eight_bit or (stored.is_rgb and bits <= 8)
        out = reformatter.reformat(
            decoded,
            format="rgb24" if eight_bit else "rgb48le",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            interpolation=_ACCURATE,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        )
        rgb = out.to_ndarray()
        if not (eight_bit or stored.is_rgb):
            white = ((1 << bits) - 1) << (16 - bits) if full else _LIMITED_WHITE
            rgb = cv2.multiply(rgb, np.full(4, 65535 / white))  # Saturates.
        return np.ascontiguousarray(np.rot90(rgb, self._turns))

    def close(self) -> None:
        self._decoder.close()


def _matrix(frame: av.VideoFrame) -> Colorspace:
    """Y'CbCr matrix. Untagged HD is BT.709, though every decoder takes it for BT.601."""
    if frame.colorspace in _MATRICES:
        return _MATRICES[frame.colorspace]
    if frame.color_primaries == 9:
        return Colorspace.BT2020
    hd = frame.color_primaries == 1 or frame.height >= 720 or frame.width >= 1280
    return Colorspace.ITU709 if hd else Colorspace.ITU601


def _hint(frame: av.VideoFrame) -> ColourHint | None:
    transfer, primaries = frame.color_trc, frame.color_primaries
    space = _TRANSFERS.get(transfer)
    if space is None:
        return None
    wide = _WIDE_PRIMARIES.get(primaries)
    if not wide or transfer in (16, 18):
        return ColourHint((space,), f"transfer {transfer} of ITU-T H.273")
    if transfer == 8:
        return ColourHint(("lin_rec2020_scene" if primaries == 9 else "lin_p3d65_scene",), f"linear {wide}")
    names = {9: ("rec1886_rec2020_display",), 11: ("p3d65_display",), 12: ("displayp3_display",)}[primaries]
    return ColourHint((*names, _VIDEO), f"{wide} primaries")


# The index


@contextlib.contextmanager
def _open(path: Path) -> Generator[tuple[Any, Any]]:
    container = None
    try:
        container = av.open(str(path), metadata_errors="replace")
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            raise MediaError(f"The movie has no picture: {path}", "Name a movie with a video track.")
        yield container, streams[0]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    finally:
        if container is not None:
            container.close()


def _is_cover(stream: Any) -> bool:
    return bool(int(stream.disposition) & 0x400)  # AV_DISPOSITION_ATTACHED_PIC


def _unreadable(path: Path, error: Exception) -> MediaError:
    if path.is_file() and path.stat().st_size == 0:
        return MediaError(f"The movie is empty (0 bytes): {path}", "Copy or render it again.")
    if isinstance(error, PermissionError):
        return MediaError(f"The movie may not be read: {path}", "Check its permissions.")
    text = getattr(error, "strerror", None) or str(error)
    return MediaError(f"The movie cannot be read ({text}): {path}", "Copy or render it again; it may be cut short.")


def _index(path: Path) -> _Index:
    """Every frame's time stamp, without decoding where the file has them."""
    with _open(path) as (container, stream):
        stamps, keys = _listed_stamps(stream) or _packet_stamps(container, stream) or _decoded_stamps(path)
        base, promised = stream.time_base, stream.frames
    stamps.sort()
    keys.sort()
    # What comes before the first key frame cannot be decoded.
    stamps = stamps[bisect.bisect_left(stamps, keys[0]) :] if keys else []
    if not stamps:
        raise MediaError(f"The movie holds no frames: {path}", "Copy or render it again; it may be cut short.")
    return _Index(stamps, keys, base, promised)


def _listed_stamps(stream: Any) -> tuple[list[int], list[int]] | None:
    """From the file's own table, which spares reading all of a big movie; its stamps are decoding times, so this is
    only for codecs without frames that refer to others.
    """
    entries = stream.index_entries
    if not stream.codec_context.codec.properties & _INTRA_ONLY or not entries or len(entries) != stream.frames:
        return None
    stamps = [entry.timestamp for entry in entries if not entry.is_discard]
    return stamps, list(stamps)


def _packet_stamps(container: Any, stream: Any) -> tuple[list[int], list[int]] | None:
    stamps, keys = [], []
    for packet in container.demux(stream):
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.pts is None:
            return None
        stamps.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
    return stamps, keys


def _decoded_stamps(path: Path) -> tuple[list[int], list[int]]:
    with _open(path) as (container, stream):
        stream.thread_type = "AUTO"
        frames = [(frame.pts, frame.key_frame) for frame in container.decode(stream)]
    if any(pts is None for pts, _ in frames):
        raise MediaError(
            f"The movie has no time stamps, so its frames cannot be told apart: {path}",
            "Wrap it into a mov or mkv file first.",
        )
    return [pts for pts, _ in frames], [pts for pts, key in frames if key]


def _usual_rate(index: _Index) -> Fraction | None:
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


def _stored(index: _Index, own: Fraction | None, fps: Fraction | None) -> list[int] | None:
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


def _start_timecode(decoder: _Decoder) -> str | None:
    sources = [decoder.stream, *decoder.container.streams.data, decoder.container]
    found = (source.metadata.get("timecode") for source in sources)
    return next((text for text in found if text), None)


class _Decoder:
    """One open decoder. It goes forward where it can and seeks only back, or over a key frame."""

    def __init__(self, path: Path, index: _Index) -> None:
        self._path, self._index = path, index
        self._opened = contextlib.ExitStack()
        self.container, self.stream = self._opened.enter_context(_open(path))
        self.stream.thread_type = "AUTO"  # Before the first decode; later it raises.
        self._frames: Generator[tuple[int, av.VideoFrame]] | None = None
        self._current: tuple[int, av.VideoFrame] | None = None

    def frame(self, position: int, number: int) -> av.VideoFrame:
        """The stored frame at ``position``; ``number`` is for the error message. Raises MediaError."""
        stamps, keys = self._index.stamps, self._index.keys
        wanted = stamps[position]
        key = max(0, bisect.bisect_right(keys, wanted) - 1)
        nearest = min(keys[key], stamps[max(0, position - _NEAR)])
        if self._current is None or not nearest <= self._current[0] <= wanted:
            # A transport stream may land behind the key frame it was asked for.
            for stamp in (keys[key], keys[max(0, key - 1)], None):
                self._seek(stamp)
                if self._current is not None and self._current[0] <= wanted:
                    break
        while self._current is not None and self._current[0] < wanted:
            self._next()
        if self._current is None or self._current[0] != wanted:
            raise MediaError(
                f"Frame {number} of the movie cannot be decoded: {self._path}",
                "Copy or render it again; it may be damaged there.",
            )
        return self._current[1]

    def _seek(self, stamp: int | None) -> None:
        """Go to a key frame's time stamp, or to the very start, and decode one frame."""
        try:
            self.container.seek(self._index.stamps[0] - 2**31 if stamp is None else stamp, stream=self.stream)
        except av.error.FFmpegError as error:
            raise _unreadable(self._path, error) from error
        self._frames = self._decoded()
        self._next()

    def _next(self) -> None:
        self._current = next(self._frames, None) if self._frames is not None else None

    def _decoded(self) -> Generator[tuple[int, av.VideoFrame]]:
        packets = self.container.demux(self.stream)
        while True:
            try:
                for frame in next(packets).decode():
                    if frame.pts is not None:
                        yield frame.pts, frame
            except StopIteration:
                return
            except av.error.FFmpegError:
                continue  # A damaged packet; the frame it held is missed by its time stamp.

    def close(self) -> None:
        self._frames = self._current = None
        self._opened.close()
