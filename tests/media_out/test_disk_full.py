"""A disk that fills up while results are written: an OutputError, whole files only, and nothing temporary.

That no file stays open is tested too: the disk could not be unmounted then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio
import pytest
from sa2va_plugin.errors import OutputError

from sa2va_core.media.atomic import final_name
from sa2va_core.media.exr import write_exr
from sa2va_core.media.frames import Picture
from sa2va_core.media.overlay import OverlayWriter

from .conftest import HEIGHT, OBJECTS, WIDTH, disc, files_in, fill

NOISE = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
ALPHAS = {item.name: NOISE for item in OBJECTS}


def strays(folder: Path) -> list[str]:
    return [name for name in files_in(folder) if final_name(name)]


def until_full(write: Callable[[int], object]) -> tuple[int, OutputError]:
    """The number of the frame that no longer fits, and what was said of it."""
    for frame in range(100):
        try:
            write(frame)
        except OutputError as error:
            assert "disk is full" in error.message  # noqa: PT017
            return frame, error
    raise AssertionError("the disk did not fill up")


def assert_whole(path: Path) -> None:
    image = oiio.ImageBuf(str(path))
    assert image.read(force=True), image.geterror()


@pytest.mark.parametrize("format", ["exr", "png", "tiff", "prores"])
def test_frames(make_writer, source, tiny_disk, format):
    writer = make_writer(tiny_disk / "out", format=format)
    frame, error = until_full(lambda frame: writer.write(replace(source, frame=frame), ALPHAS))
    assert "Free some space" in error.hint
    assert error.exit_code == 75
    assert not strays(tiny_disk)
    written = [path for n in range(frame) for path in writer.paths(n)]
    assert len(written) >= 2
    for path in (tiny_disk / "out").rglob("*.*"):
        if path.is_file():
            assert_whole(path)
    assert all(path.is_file() for path in written)


def test_exr_never_loses_its_last_bytes_silently(tiny_disk):
    """OpenImageIO reports success when only its last, buffered bytes do not fit."""
    rng = np.random.default_rng(0)
    failed = 0
    for height in range(40, 100, 2):
        plane = rng.random((height, 300), np.float32).astype(np.float16)
        path = tiny_disk / "a.exr"
        for leave in (4096, 16384, 32768, 49152):
            fill(tiny_disk, leave)
            with contextlib.suppress(OutputError):
                write_exr(path, {"A": plane}, size=(300, height), metadata={})
            if path.exists():
                assert_whole(path)
                path.unlink()
            else:
                failed += 1
            assert files_in(tiny_disk) == {"fill"}
            (tiny_disk / "fill").unlink()
    assert failed > 30


def test_movie(make_writer, source, tiny_disk):
    writer = make_writer(tiny_disk / "out", format="prores")
    sources = [replace(source, frame=frame) for frame in range(3)]
    for item in sources:
        writer.write(item, ALPHAS)
    fill(tiny_disk, 16384)
    with pytest.raises(OutputError, match="disk is full"):
        writer.finish(sources)
    assert not strays(tiny_disk)
    assert not list(tiny_disk.rglob("*.mov"))
    (tiny_disk / "fill").unlink()
    # Space was made: the same frames go on to be a movie.
    writer = make_writer(tiny_disk / "out", objects=OBJECTS[:1], format="prores")
    with av.open(str(writer.finish(sources)[0])) as movie:
        assert sum(1 for _ in movie.decode(video=0)) == 3


@pytest.mark.parametrize("room", [0, 4096, 8192, 12288, 16384, 24576])
def test_overlay(facts, tiny_disk, room):
    picture = (NOISE[..., None] * np.array([255, 200, 90])).astype(np.uint8)
    writer = OverlayWriter(tiny_disk, facts, OBJECTS)
    frames = list(range(4))
    for frame in frames:
        writer.write(Picture(frame, picture), {item.name: disc(30, 30, 12) for item in OBJECTS})
    fill(tiny_disk, room)
    with pytest.raises(OutputError, match="disk is full"):
        writer.finish(frames, {})
    assert not strays(tiny_disk)
    for path in tiny_disk.glob("overlay.mp4"):
        with av.open(str(path)) as movie:
            assert sum(1 for _ in movie.decode(video=0)) == 4
    assert not (tiny_disk / "contact_sheet.png").exists()


def test_overlay_frames(facts, tiny_disk):
    writer = OverlayWriter(tiny_disk, facts, OBJECTS)
    picture = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    frame, _ = until_full(lambda frame: writer.write(Picture(frame, picture), ALPHAS))
    assert not strays(tiny_disk)
    assert writer.path(0).is_file()
    assert not writer.path(frame).exists()
