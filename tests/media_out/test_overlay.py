"""overlay.mp4 and contact_sheet.png."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from sa2va_plugin.errors import OutputError
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.media import draw
from sa2va_core.media.contact_sheet import spread
from sa2va_core.media.frames import Picture
from sa2va_core.media.overlay import OverlayWriter, overlay

from .conftest import OBJECTS, disc

SIZE = (1280, 724)


@dataclass
class Verdict:
    state: str
    reason: str


VERDICTS = {
    "man": Verdict("found", "Seen on all frames."),
    "Zoë's ball": Verdict("not in shot", "No ball on any of the key frames. " * 5),
}


@pytest.fixture
def picture():
    """A grey ramp with a coloured corner."""
    rgb = np.tile(np.linspace(40, 215, SIZE[0]).astype(np.uint8)[None, :, None], (SIZE[1], 1, 3))
    rgb[-200:, -200:] = (200, 40, 40)
    return rgb


def write_all(writer, picture, frames):
    def write(frame):
        alphas = {"man": disc(300 + 20 * (frame % 20), 400, 150, SIZE), "Zoë's ball": np.zeros((362, 640), np.float32)}
        return writer.write(Picture(frame, picture), alphas)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(write, frames))


def test_movie_has_every_frame_at_the_plates_rate_in_true_colours(tmp_path, facts, picture):
    writer = OverlayWriter(tmp_path, facts, OBJECTS)
    frames = range(1001, 1008)
    assert not writer.path(1001).exists()
    previews = write_all(writer, picture, frames)
    assert previews == [writer.path(frame) for frame in frames]
    movie_path, sheet = writer.finish(frames, VERDICTS)
    assert (movie_path, sheet) == (tmp_path / "overlay.mp4", tmp_path / "contact_sheet.png")
    assert writer.warnings == []
    with av.open(str(movie_path)) as movie:
        stream = movie.streams.video[0]
        assert stream.average_rate == Fraction(24000, 1001)
        assert (stream.width, stream.height) == (960, 544)
        assert stream.codec_context.codec.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        decoded = list(movie.decode(stream))
    assert len(decoded) == len(frames)
    first = decoded[0]
    assert (first.color_primaries, first.color_trc, first.colorspace, first.color_range) == (1, 1, 1, 1)
    rgb = first.to_ndarray(format="rgb24", src_colorspace="ITU709").astype(int)
    assert np.abs(rgb[-100, -100] - (200, 40, 40)).max() <= 4
    assert np.abs(rgb[500, 400] - picture[665, 533].astype(int)).max() <= 4
    # "moov" before "mdat": plays while it loads.
    data = movie_path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_tint_outline_and_label_are_where_the_matte_is(picture):
    plain = overlay(picture, [])
    drawn = overlay(picture, [("man", disc(640, 400, 150, SIZE))])
    assert plain.shape == (544, 960, 3)
    changed = (plain != drawn).any(axis=2)
    assert not changed[:, :340].any()
    assert not changed[:, 620:].any()
    colour = np.array(draw.object_colour(0))
    centre = drawn[300, 480].astype(float)
    assert np.abs(centre - (plain[300, 480] * 0.58 + colour * 0.42)).max() <= 1.5
    outline = drawn[300, 360:375].astype(float)
    assert np.abs(outline - colour).max(axis=1).min() < 40
    label = drawn[:187].reshape(-1, 3)
    assert (label == colour).all(axis=1).sum() > 300


def test_no_matte_leaves_the_picture(picture):
    assert np.array_equal(overlay(picture, []), overlay(picture, [("man", np.zeros(SIZE[::-1], np.float32))]))


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (101, 77), (4001, 3001)])
def test_any_shape_comes_out_even_and_small(size):
    rgb = np.full((size[1], size[0], 3), 90, np.uint8)
    image = overlay(rgb, [("a long name that cannot fit", np.ones((size[1], size[0]), np.float32))])
    assert image.shape[0] % 2 == image.shape[1] % 2 == 0
    assert max(image.shape[:2]) <= 960


def test_labels_of_neighbours_do_not_cover_each_other(picture):
    mattes = [(f"object {i}", disc(600 + 4 * i, 300, 60, SIZE)) for i in range(4)]
    image = overlay(picture, mattes)
    for i in range(4):
        assert (image == draw.object_colour(i)).all(axis=2).sum() > 1000


def test_colours_differ_and_stay():
    colours = [draw.object_colour(i) for i in range(21)]
    assert len(set(colours)) == 21
    assert draw.object_colour(21) == colours[0]
    assert all(0 <= value <= 255 for colour in colours for value in colour)


def test_sheet_shows_frames_legend_and_verdicts(tmp_path, facts, picture):
    writer = OverlayWriter(tmp_path, facts, OBJECTS)
    frames = list(range(1, 31))
    write_all(writer, picture[::4, ::4], frames)
    _, path = writer.finish(frames, VERDICTS)
    sheet = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert sheet is not None
    assert sheet.shape[1] == 1920
    rows = np.abs(sheet.astype(int) - sheet[0, 0]).max(axis=(1, 2)) > 60
    bands = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(int)) == 1)
    # Title, facts, man, ball (two lines), three rows of pictures with a caption each.
    assert len(bands) == 11
    for i in range(2):
        swatch = np.abs(sheet.astype(int) - draw.object_colour(i)).max(axis=2) <= 3
        assert swatch[:300, :100].sum() > 300
    without, _ = np.array(sheet[:300]), writer.finish(frames, {})
    again = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    assert again is not None
    assert not np.array_equal(without, again[:300])


@pytest.mark.parametrize("count", [1, 2, 5, 11, 12, 13, 100])
def test_spread_keeps_first_and_last(count):
    chosen = spread(range(1001, 1001 + count))
    assert chosen[0] == 1001
    assert chosen[-1] == 1000 + count
    assert len(chosen) == len(set(chosen)) == min(12, count)
    assert max(np.diff(chosen), default=0) - min(np.diff(chosen), default=0) <= 1


def test_one_upright_frame_and_many_objects(tmp_path, facts):
    objects = [
        ObjectSpec(f"object {i} 犬", "a phrase that is far too long to fit into its column " * 3) for i in range(9)
    ]
    writer = OverlayWriter(tmp_path, replace(facts, fps=Fraction(1000003, 41709)), objects)
    picture = Picture(-3, np.full((300, 100, 3), 128, np.uint8))
    writer.write(picture, {item.name: np.ones((300, 100), np.float32) for item in objects})
    movie, sheet = writer.finish([-3], {})
    assert movie.is_file()
    assert sheet.is_file()


def test_a_picture_that_is_gone(tmp_path, facts, picture):
    writer = OverlayWriter(tmp_path, facts, OBJECTS)
    write_all(writer, picture, [1, 3])
    with pytest.raises(OutputError, match="gone or damaged"):
        writer.finish([1, 2, 3], VERDICTS)
    assert not (tmp_path / "overlay.mp4").exists()


def test_without_x264_the_movie_is_mpeg4_and_says_so(tmp_path, facts, picture, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    writer = OverlayWriter(tmp_path, facts, OBJECTS)
    write_all(writer, picture, [1, 2])
    path, _ = writer.finish([1, 2], VERDICTS)
    assert "no H.264 encoder" in writer.warnings[0]
    with av.open(str(path)) as movie:
        assert movie.streams.video[0].codec_context.codec.name == "mpeg4"
        assert sum(1 for _ in movie.decode(video=0)) == 2


_ENCODE = """
import os, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from sa2va_core.media.encode import h264
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[2])])
noise = np.random.default_rng(7).integers(0, 256, (18, 32, 3)).astype(np.uint8)
picture = np.kron(noise, np.ones((10, 10, 1), np.uint8))
h264(Path(sys.argv[1]), (np.roll(picture, 3 * i, 1) for i in range(12)), Fraction(24))
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores and a system that can hide one",
)
def test_the_movie_is_the_same_on_one_core_and_on_two(tmp_path):
    for cores in ("1", "2"):
        subprocess.run([sys.executable, "-c", _ENCODE, str(tmp_path / cores), cores], check=True)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
