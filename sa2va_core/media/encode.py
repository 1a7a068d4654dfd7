"""Movies out: ProRes 4444 mattes and H.264 overlays, one frame in memory at a time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import OutputError

from .atomic import output_error, writing
from .stills import FULL

_BT709 = 1  # primaries, transfer and matrix have the same number in ITU-T H.273
_LIMITED = 1

# 16-bit matte values as ProRes stores them: 10-bit limited-range luma, 10-bit alpha.
_VALUES = np.arange(FULL + 1)
_LUMA = (64 + (_VALUES * 876 + FULL // 2) // FULL).astype(np.uint16)
_ALPHA = ((_VALUES * 1023 + FULL // 2) // FULL).astype(np.uint16)
_GREY = 512


def prores_matte(
    path: Path,
    frames: Sequence[Path],
    fps: Fraction,
    *,
    pixel_aspect: float,
    timecode: str | None,
    metadata: Mapping[str, str],
) -> None:
    """A ProRes 4444 movie of one matte, from 16-bit grey pictures: the matte is its alpha and its grey too.

    The alpha is lossless in steps of 1/1023. ``timecode``: of the first frame, for a timecode track. Raises
    OutputError.
    """
    options = {"profile": "4", "alpha_bits": "16", "vendor": "apl0"}
    _encode(
        path,
        "mov",
        "prores_ks",
        "yuva444p10le",
        options,
        map(_matte_frame, frames),
        fps,
        pixel_aspect,
        timecode,
        metadata,
    )


def _matte_frame(path: Path) -> av.VideoFrame:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise OutputError(f"A frame that waited for its movie is gone or damaged: {path}", "Run the job again.")
    matte = np.asarray(image, np.uint16)
    height, width = matte.shape
    frame = av.VideoFrame(width, height, "yuva444p10le")
    for plane, values in zip(frame.planes, (_LUMA[matte], _GREY, _GREY, _ALPHA[matte]), strict=True):
        rows = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)  # pyright: ignore[reportCallIssue, reportArgumentType]
        rows[:, :width] = values
    return frame


def h264(path: Path, frames: Iterable[NDArray[np.uint8]], fps: Fraction) -> str:
    """An MP4 that plays everywhere, from display-referred RGB (H, W, 3) of even size; returns the codec's name.

    H.264, or MPEG-4 part 2 where this build of FFmpeg has no x264. Raises OutputError.
    """
    # Some of x264's fast paths give other bytes from one run to the next, depending on what lay in memory before;
    # its cpu-independent ones do not, and are as fast here. Its threads count too, so they are not left to the cores.
    exact = {"threads": "4", "x264-params": "cpu-independent=1"}
    codec, options = "libx264", {"crf": "18", "preset": "veryfast"} | exact
    if codec not in av.codecs_available:
        codec, options = "mpeg4", {"qscale": "3", "flags": "+qscale"}
    _encode(path, "mp4", codec, "yuv420p", options, map(_video_frame, frames), fps, 1.0, None, {})
    return codec


def _video_frame(picture: NDArray[np.uint8]) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _encode(
    path: Path,
    container: str,
    codec: str,
    pixels: str,
    options: Mapping[str, str],
    frames: Iterator[av.VideoFrame],
    fps: Fraction,
    pixel_aspect: float,
    timecode: str | None,
    metadata: Mapping[str, str],
) -> None:
    # MPEG-4 wants 16-bit terms; every real frame rate has them.
    fps = fps.limit_denominator(1001)
    first = next(frames)
    with writing(path) as temp, _Sink(str(temp), "wb") as sink:
        try:
            with av.open(sink, "w", format=container, options={"movflags": _FLAGS[container]}) as movie:
                movie.metadata.update(metadata)
                if timecode:
                    drops = fps in (Fraction(30000, 1001), Fraction(60000, 1001))
                    movie.metadata["timecode"] = timecode if drops else timecode.replace(";", ":")
                stream = movie.add_stream(codec, rate=fps, options=dict(options))
                assert isinstance(stream, av.VideoStream)
                context = stream.codec_context
                stream.width, stream.height, stream.pix_fmt = first.width, first.height, pixels
                context.sample_aspect_ratio = Fraction(pixel_aspect).limit_denominator(1000)
                context.color_primaries = context.color_trc = context.colorspace = _BT709
                context.color_range = _LIMITED
                context.thread_type = "AUTO"  # frames at once where there are cores: ProRes is slow
                for number, frame in enumerate(_and_then(first, frames)):
                    frame.pts, frame.time_base = number, 1 / fps
                    frame.color_primaries = frame.color_trc = frame.colorspace = _BT709
                    frame.color_range = _LIMITED
                    movie.mux(stream.encode(frame))
                    sink.check()
                movie.mux(stream.encode(None))
        except av.error.FFmpegError as error:
            sink.check()
            raise output_error(path, str(error)) from error
        sink.check()


class _Sink(io.FileIO):
    """Where FFmpeg writes. Keeps the first error for :meth:`check` and takes what follows without a word.

    Left to open the file itself, PyAV never closes it when the first write fails, which keeps its space taken; and an
    exception in a plain file's write() makes it print more tracebacks when it seeks.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data)
        size = left.nbytes
        try:
            while left and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return size

    def check(self) -> None:
        if self.error is not None:
            raise self.error


_FLAGS = {"mov": "+write_colr+use_metadata_tags", "mp4": "+write_colr+faststart"}


def _and_then(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest
