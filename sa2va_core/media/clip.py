"""A shot opened for reading: numbered pictures for the model, and the plate itself for outputs that keep it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator, Hashable, Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from sa2va_plugin.errors import MediaError
from sa2va_plugin.jobspec import Shot

from sa2va_core.media import image
from sa2va_core.media.colour import InputTransform, load_config
from sa2va_core.media.frames import Picture, PlateFacts, SourceFrame
from sa2va_core.media.movie import Movie
from sa2va_core.media.plate import PlateReader, nominal_rate
from sa2va_core.media.readahead import cores, read_ahead
from sa2va_core.media.sequence import Plate, describe, locate

#: Pictures that random access keeps.
_KEPT = 4
_OVERSCAN = (
    "The plate has overscan, which is not looked at: mattes cover its display window alone. Where they must cover the "
    "overscan too, write the plate again with a display window as large as its data window."
)


def open_clip(shot: Shot) -> Clip:
    """Open a shot. Raises MediaError or ColourError before any frame is asked for, where the fault can be known."""
    return Clip(shot)


class Clip:
    """A :class:`~sa2va_core.media.frames.FrameSource`.

    ``facts``: what stays the same over the shot. ``warnings``: sentences for the user. Use as a context manager, or
    call :meth:`close`.
    """

    def __init__(self, shot: Shot) -> None:
        plate = locate(shot.path, shot.view)
        fps = nominal_rate(shot.fps) if shot.fps else None
        self._reader: PlateReader = Movie(plate.movie, shot.movie_first, fps) if plate.movie else Stills(plate, shot)
        self._lock = threading.Lock()
        self._cache: OrderedDict[Hashable, NDArray[np.uint8]] = OrderedDict()
        try:
            self._prepare(shot, plate, fps)
        except BaseException:
            self.close()
            raise

    def _prepare(self, shot: Shot, plate: Plate, fps: Fraction | None) -> None:
        reader = self._reader
        self._plate_frames, gap_warnings = map_frames(shot, reader.numbers, plate.label)
        self.warnings: list[str] = [*reader.warnings, *gap_warnings]
        first = reader.path(next(iter(self._plate_frames.values())))
        colour = load_config(shot.ocio_config)
        space = colour.plate_space(shot.colour_space, first, reader.hint, reader.bits)
        self.transform = InputTransform(colour, space.name, shot)
        self.warnings += space.warnings
        if self.transform.passes_through and (shot.display or shot.display_view):
            self.warnings.append(f"The plate is shown as it is ({space.name}), so the chosen view is not used.")
        rate = fps or reader.fps
        if rate is None:
            rate = Fraction(24)
            if len(self._plate_frames) > 1:
                self.warnings.append("The plate does not say its frame rate; 24 is assumed.")
        self.facts = PlateFacts(
            plate.stem, reader.size, reader.pixel_aspect, rate, space.name, space.source, reader.origin
        )
        self._frames = tuple(self._plate_frames)

    @property
    def frames(self) -> Sequence[int]:
        """Result frame numbers, rising, without repeats."""
        return self._frames

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of every picture: the plate's display window, its shorter side stretched to square pixels."""
        width, height = self.facts.size
        aspect = self.facts.pixel_aspect
        return (round(width * aspect), height) if aspect >= 1 else (width, round(height / aspect))

    def source_of(self, frame: int) -> SourceFrame:
        """Where a result frame comes from; a held frame names the plate frame that is shown for it."""
        number = self._plate_frame(frame)
        return SourceFrame(frame, number, self._reader.path(number), self._reader.timecode(number))

    def fingerprint(self, frame: int) -> str:
        """Changes when the stored picture behind a result frame may have: name, size and time of its file, and the
        place in a movie. Reads no pixels. Raises MediaError when the file is gone.
        """
        number = self._plate_frame(frame)
        path = self._reader.path(number)
        try:
            stat = path.stat()
        except OSError as error:
            raise MediaError(f"The frame is missing: {path}", "Bring it back.") from error
        return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}:{self._reader.position(number)}"

    def read(self, frame: int) -> Picture:
        """One picture. Raises MediaError. The last few are kept, as key frames are read more than once."""
        number = self._plate_frame(frame)
        position = self._reader.position(number)
        with self._lock:
            rgb = self._cache.get(position)
            if rgb is None:
                rgb = self._picture(self._reader, self._reader.decode(number))
                self._cache[position] = rgb
                if len(self._cache) > _KEPT:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(position)
        return Picture(frame, rgb)

    def stream(self, frames: Sequence[int]) -> Generator[Picture]:
        """The pictures of ``frames`` in that order, read by threads ahead of the caller, a bounded number in memory.

        Closing the iterator stops the threads. Raises MediaError at the frame that cannot be read.
        """
        numbers = [(frame, self._plate_frame(frame)) for frame in frames]
        return self._streamed(numbers)

    def _streamed(self, numbers: list[tuple[int, int]]) -> Generator[Picture]:
        # A held frame is decoded once, however often it is shown in a row.
        runs = [list(run) for _, run in groupby(numbers, key=lambda pair: self._reader.position(pair[1]))]
        with self._lock:
            reader = self._reader.another() if isinstance(self._reader, Movie) else self._reader
        pictures = read_ahead(
            (run[0][1] for run in runs), reader.decode, lambda decoded: self._picture(reader, decoded)
        )
        try:
            for run in runs:
                rgb = next(pictures)
                for frame, _ in run:
                    yield Picture(frame, rgb)
        finally:
            pictures.close()
            if reader is not self._reader:
                reader.close()

    def read_plate(self, frame: int) -> NDArray[np.floating[Any]]:
        """The plate itself: float16 or float32 (height, width, 3), in ``facts.colour_space``, over the display window
        in plate pixels. Integer plates come as 0..1 floats. Raises MediaError.
        """
        with self._lock:
            pixels = self._reader.pixels(self._reader.decode(self._plate_frame(frame)))
        if pixels.dtype.kind == "f":
            return pixels  # type: ignore[return-value]
        return pixels.astype(np.float32) / np.float32(65535 if pixels.dtype == np.uint16 else 255)

    def read_stored(self, frame: int) -> NDArray[np.generic]:
        """The plate as it is stored, (height, width, 3): uint8 and uint16 at their whole range, or float."""
        with self._lock:
            return self._reader.pixels(self._reader.decode(self._plate_frame(frame)))

    def _picture(self, reader: PlateReader, decoded: Any) -> NDArray[np.uint8]:
        rgb = self.transform.apply(reader.pixels(decoded, eight_bit=self.transform.passes_through))
        if self.size != self.facts.size:
            rgb = np.asarray(cv2.resize(rgb, self.size, interpolation=cv2.INTER_LINEAR), np.uint8)
        return rgb

    def _plate_frame(self, frame: int) -> int:
        try:
            return self._plate_frames[frame]
        except KeyError:
            raise MediaError(
                f"The shot has no frame {frame}.", f"Its result frames are {describe(self._plate_frames)}."
            ) from None

    def close(self) -> None:
        """Close decoders. Safe to call twice."""
        self._reader.close()
        self._cache.clear()

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class Stills:
    """A sequence of image files as a plate. Every file must have the first one's display window."""

    def __init__(self, plate: Plate, shot: Shot) -> None:
        self._files, self._layer, self._view = plate.files, shot.layer, shot.view
        first = next(iter(self._files.values()))
        header = image.read_header(first, self._layer, self._view)
        self.size, self.origin, self.pixel_aspect = header.size, header.origin, header.pixel_aspect
        self.fps, self.hint, self.bits = header.fps, header.hint, header.bits
        self.warnings: list[str] = [_OVERSCAN] if header.overscan else []
        # OpenImageIO would take every core of the machine, also those that a farm gave to other tasks.
        oiio.attribute("threads", cores())
        oiio.attribute("exr_threads", cores())

    @property
    def numbers(self) -> Sequence[int]:
        return tuple(self._files)

    def path(self, number: int) -> Path:
        return self._files[number]

    def position(self, number: int) -> int:
        return number

    def timecode(self, number: int) -> str | None:
        return image.read_header(self._files[number], self._layer, self._view).timecode

    def decode(self, number: int) -> Path:
        # Whole files are read side by side, so all the work is in pixels().
        return self._files[number]

    def pixels(self, decoded: Path, eight_bit: bool = False) -> NDArray[np.generic]:
        pixels = image.read_pixels(decoded, self._layer, self._view)
        height, width = pixels.shape[:2]
        if (width, height) != self.size:
            raise MediaError(
                f"A frame is {width} x {height}, but the shot starts at {self.size[0]} x {self.size[1]}: {decoded}",
                "Render it again at the shot's size, or split the shot.",
            )
        return pixels

    def close(self) -> None:
        pass


def map_frames(shot: Shot, numbers: Sequence[int], label: str) -> tuple[dict[int, int], list[str]]:
    """Result frame -> plate frame to read, in rising order, and warnings. Raises MediaError."""
    first, last = numbers[0], numbers[-1]
    wanted: Sequence[int]
    if shot.frames is None:
        low, high = shot.range or (first, last)
        wanted = range(low, high + 1)
        outside = "" if first <= low and high <= last else f"{low}-{high}"
    else:
        wanted = shot.frames
        outside = describe(sorted({n for n in wanted if not first <= n <= last}))
    if outside:
        raise MediaError(
            f"The shot asks for {outside}, but the plate has {describe(numbers)}: {label}", "Correct the range."
        )
    there = set(numbers)
    gaps = sorted({n for n in wanted if n not in there})
    if gaps and shot.missing == "error":
        raise MediaError(
            f"The plate lacks {len(gaps)} of its frames ({describe(gaps)}): {label}",
            "Bring them back, or set shot.missing (--missing) to hold (repeat the last one) or skip.",
        )
    result: dict[int, int] = {}
    held = first
    for index, number in enumerate(wanted):
        if number in there or shot.missing == "hold":
            held = number if number in there else _before(numbers, number)
            result[number if shot.output_first is None else shot.output_first + index] = held
    if not result:
        raise MediaError(f"No frame of the range exists ({describe(gaps)}): {label}", "Correct the range.")
    done = {"hold": "held", "skip": "skipped"}.get(shot.missing, "")
    return result, [f"The plate lacks frames {describe(gaps)}; they are {done}."] if gaps else []


def _before(numbers: Sequence[int], number: int) -> int:
    return max(n for n in numbers if n < number)
