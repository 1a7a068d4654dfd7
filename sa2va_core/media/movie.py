"""Movies in: any frame by number, exactly, through PyAV (FFmpeg)."""

from __future__ import annotations

import bisect
import contextlib
import copy
import threading
from collections import OrderedDict
from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray
from sa2va_plugin.errors import MediaError

from sa2va_core.media import timecode
from sa2va_core.media.movie_index import Index, open_movie, read_index, time_line, unreadable, usual_rate
from sa2va_core.media.plate import ColourHint, nominal_rate

#: Without these swscale works in 8 bits inside: 196 levels and a bias of -1.4 codes where there are 55,892 and 0.2.
_ACCURATE = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
#: Where swscale puts the white of limited-range Y'CbCr in 16 bits, whatever the depth; full range is shifted up. Left
#: so, white would be 0.996.
_LIMITED_WHITE = 65283
#: So many frames ahead, going on is cheaper than seeking.
_NEAR = 8
#: Bytes of decoded frames that a walk backwards keeps: each seek decodes from a key frame, which may lie far before.
#: 170 frames of 1080p, so that 250 frames from key frame to key frame are decoded 1.3 times.
_KEPT_BEHIND = 512 << 20
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


class Movie:
    """A movie as a plate: frame numbers from ``first`` on. Raises MediaError.

    A movie of constant rate has a number for each stored frame. One of variable rate has the numbers of a time line at
    ``fps`` (else its usual rate), each showing the last frame that has begun by then, as an editor would show it.
    """

    def __init__(self, path: Path, first: int = 1, fps: Fraction | None = None) -> None:
        self._path, self._first = path, first
        self.warnings: list[str] = []
        self._index = read_index(path)
        self._decoder: _Decoder | None = _Decoder(path, self._index)
        self._local = threading.local()
        try:
            frame = self._decoder.frame(0, first)
        except MediaError:
            self.close()
            raise
        stream = self._decoder.stream
        own = usual_rate(self._index)
        rate = own or stream.average_rate
        self.fps: Fraction | None = nominal_rate(rate) if rate else None
        self._stored = time_line(self._index, own, fps or self.fps)
        if self._stored is not None:
            self.warnings.append(
                f"The movie's frame rate varies: its frames are laid out at {float(fps or self.fps or 24):g} a second."
            )
        if self._index.lost:
            self.warnings.append(f"The movie is cut short: {self._index.lost} frames lie beyond its end.")
        if frame.interlaced_frame:
            self.warnings.append("The movie is interlaced: each frame shows both its fields.")
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        self._turns = round(frame.rotation / 90) % 4
        width, height = frame.width, frame.height
        sideways = self._turns % 2 == 1
        self.size = (height, width) if sideways else (width, height)
        self.origin: tuple[int, int] = (0, 0)
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
        """A reader of the same movie with a decoder of its own: the open one, for this one may not need it again."""
        twin = copy.copy(self)
        twin._local = threading.local()
        self._decoder = None
        return twin

    def decode(self, number: int) -> av.VideoFrame:
        if self._decoder is None:
            self._decoder = _Decoder(self._path, self._index)
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
        rgb = np.ascontiguousarray(np.rot90(rgb, self._turns))
        height, width = rgb.shape[:2]
        if (width, height) != self.size:
            raise MediaError(
                f"The movie changes from {self.size[0]} x {self.size[1]} to {width} x {height}: {self._path}",
                "Split it where its size changes.",
            )
        return rgb

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None


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


def _start_timecode(decoder: _Decoder) -> str | None:
    sources = [decoder.stream, *decoder.container.streams.data, decoder.container]
    found = (source.metadata.get("timecode") for source in sources)
    return next((text for text in found if text), None)


class _Decoder:
    """One open decoder. It goes forward where it can and seeks only back, or over a key frame.

    After a seek back it keeps what it decodes on the way, as far as that fits, for a walk that goes on backwards.
    """

    def __init__(self, path: Path, index: Index) -> None:
        self._path, self._index = path, index
        self._opened = contextlib.ExitStack()
        self.container, self.stream = self._opened.enter_context(open_movie(path))
        self.stream.thread_type = "AUTO"  # Before the first decode; later it raises.
        self._frames: Generator[tuple[int, av.VideoFrame]] | None = None
        self._current: tuple[int, av.VideoFrame] | None = None
        self._behind: OrderedDict[int, av.VideoFrame] = OrderedDict()

    def frame(self, position: int, number: int) -> av.VideoFrame:
        """The stored frame at ``position``; ``number`` is for the error message. Raises MediaError."""
        stamps, keys = self._index.stamps, self._index.keys
        wanted = stamps[position]
        if wanted in self._behind:
            return self._behind[wanted]
        self._behind.clear()
        back = self._current is not None and wanted < self._current[0]
        key = max(0, bisect.bisect_right(keys, wanted) - 1)
        nearest = min(keys[key], stamps[max(0, position - _NEAR)])
        if self._current is None or not nearest <= self._current[0] <= wanted:
            # A transport stream may land behind the key frame it was asked for.
            for stamp in (keys[key], keys[max(0, key - 1)], None):
                self._seek(stamp)
                if self._current is not None and self._current[0] <= wanted:
                    break
        while self._current is not None and self._current[0] < wanted:
            if back:
                self._keep(*self._current)
            self._next()
        if self._current is None or self._current[0] != wanted:
            raise MediaError(
                f"Frame {number} of the movie cannot be decoded: {self._path}",
                "Copy or render it again; it may be damaged there.",
            )
        return self._current[1]

    def _keep(self, stamp: int, frame: av.VideoFrame) -> None:
        self._behind[stamp] = frame
        if len(self._behind) * sum(plane.buffer_size for plane in frame.planes) > _KEPT_BEHIND:
            self._behind.popitem(last=False)

    def _seek(self, stamp: int | None) -> None:
        """Go to a key frame's time stamp, or to the very start, and decode one frame."""
        try:
            self.container.seek(self._index.stamps[0] - 2**31 if stamp is None else stamp, stream=self.stream)
        except av.error.FFmpegError as error:
            raise unreadable(self._path, error) from error
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
        self._behind.clear()
        self._opened.close()
