"""Movies in: the right frame, the right matrix and range, the right way up."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from sa2va_plugin.errors import MediaError
from sa2va_plugin.jobspec import Shot

from sa2va_core.media.clip import open_clip
from sa2va_core.media.movie import Movie, _Decoder

from .plates import burn, burnt, movie, pictures

LIMITED, FULL = 1, 2  # AVColorRange
BT709, BT601, UNTAGGED = 1, 5, 2  # AVColorSpace
LONG_GOP = {"g": "250", "bf": "3", "x264-params": "scenecut=0:b-adapt=0", "preset": "ultrafast"}
CODECS = {
    "h264": ("libx264", "yuv420p", "mp4", LONG_GOP),
    "h264 10 bit": ("libx264", "yuv420p10le", "mov", {"preset": "ultrafast"}),
    "hevc": ("libx265", "yuv420p", "mp4", {"preset": "ultrafast", "x265-params": "log-level=none:keyint=250"}),
    "hevc 10 bit": ("libx265", "yuv420p10le", "mov", {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "prores 422": ("prores_ks", "yuv422p10le", "mov", {"profile": "3"}),
    "prores 4444": ("prores_ks", "yuva444p10le", "mov", {"profile": "4"}),
    "dnxhr": ("dnxhd", "yuv422p", "mov", {"profile": "dnxhr_hq"}),
    "mjpeg": ("mjpeg", "yuvj420p", "mov", {"q": "3"}),
    "matroska": ("libx264", "yuv420p", "mkv", LONG_GOP),
    "transport stream": ("libx264", "yuv420p", "ts", LONG_GOP | {"g": "20"}),
    "avi": ("mpeg4", "yuv420p", "avi", {"g": "20", "bf": "2", "q": "3"}),
}


@pytest.mark.parametrize("kind", CODECS)
def test_every_frame_is_the_one_asked_for(tmp_path: Path, kind: str) -> None:
    codec, pix_fmt, extension, options = CODECS[kind]
    size = (256, 128) if codec == "dnxhd" else (192, 64)
    path = movie(tmp_path / f"a.{extension}", [burn(n, size) for n in range(40)], codec, pix_fmt, options=dict(options))
    with open_clip(Shot(str(path), movie_first=1001)) as clip:
        assert list(clip.frames) == list(range(1001, 1041))
        assert clip.facts.fps == 24
        assert [burnt(picture.rgb) for picture in clip.stream(clip.frames)] == list(range(40))
        backwards = list(reversed(clip.frames))[::7]
        assert [burnt(picture.rgb) for picture in clip.stream(backwards)] == [n - 1001 for n in backwards]
        anywhere = random.Random(3).sample(list(clip.frames), 12)
        assert [burnt(clip.read(n).rgb) for n in anywhere] == [n - 1001 for n in anywhere]


def test_a_walk_backwards_decodes_each_stretch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = movie(tmp_path / "a.mp4", [burn(n) for n in range(200)], options=dict(LONG_GOP))
    decoded = []
    step = _Decoder._next

    def counted(self: _Decoder) -> None:
        decoded.append(1)
        step(self)

    monkeypatch.setattr(_Decoder, "_next", counted)
    with open_clip(Shot(str(path), movie_first=0)) as clip:
        backwards = list(reversed(clip.frames))
        assert [burnt(picture.rgb) for picture in clip.stream(backwards)] == backwards
        assert len(decoded) < 3 * len(backwards)
        # What is kept is bounded: with room for a few frames it takes more decoding, and the frames are the same.
        monkeypatch.setattr("sa2va_core.media.movie._KEPT_BEHIND", 10 * 192 * 64 * 3 // 2)
        decoded.clear()
        assert [burnt(picture.rgb) for picture in clip.stream(backwards)] == backwards
        assert len(decoded) > 5 * len(backwards)
        assert [burnt(clip.read(n).rgb) for n in (150, 149, 151, 10, 9, 150)] == [150, 149, 151, 10, 9, 150]


def test_long_groups_of_pictures(tmp_path: Path) -> None:
    rate = Fraction(24000, 1001)
    path = movie(tmp_path / "a.mp4", [burn(n, noise=30) for n in range(520)], rate=rate, options=dict(LONG_GOP))
    with av.open(str(path)) as container:
        kinds = [(p.is_keyframe, p.pts != p.dts) for p in container.demux(video=0) if p.size]
    assert sum(key for key, _ in kinds) == 3
    assert sum(reordered for _, reordered in kinds) > 100
    with open_clip(Shot(str(path), movie_first=0)) as clip:
        assert clip.facts.fps == rate
        anywhere = random.Random(1).sample(range(520), 25)
        assert [burnt(clip.read(n).rgb) for n in anywhere] == anywhere
        assert clip.fingerprint(7).endswith(":7")


def test_variable_rate_is_laid_out_on_a_time_line(tmp_path: Path) -> None:
    # Runs of missing frames, so that the average rate is a lie.
    stamps = [n for n in range(120) if n % 10 not in (3, 4) and not 50 <= n < 70]
    path = movie(tmp_path / "a.mp4", [burn(n) for n in stamps], stamps=stamps, options=dict(LONG_GOP))
    with open_clip(Shot(str(path), movie_first=0)) as clip:
        assert clip.facts.fps == 24
        assert any("varies" in warning for warning in clip.warnings)
        expected = [max(s for s in stamps if s <= n) for n in range(120)]
        assert list(clip.frames) == list(range(120))
        assert [burnt(picture.rgb) for picture in clip.stream(clip.frames)] == expected
        assert burnt(clip.read(60).rgb) == 49
    with open_clip(Shot(str(path), movie_first=0, fps=12.0)) as clip:
        assert [burnt(picture.rgb) for picture in clip.stream(clip.frames)] == expected[::2]


def test_matroska_rounds_time_stamps_to_milliseconds_and_is_still_constant(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mkv", [burn(n) for n in range(60)], rate=Fraction(24000, 1001))
    with open_clip(Shot(str(path))) as clip:
        assert (clip.facts.fps, len(clip.frames), clip.warnings) == (Fraction(24000, 1001), 60, [])


@pytest.mark.parametrize(("full", "bits"), [(False, 8), (True, 8), (False, 10), (True, 10)])
def test_limited_and_full_range_ramps(tmp_path: Path, full: bool, bits: int) -> None:
    wanted = np.tile(np.linspace(0, 255, 256), (64, 1))
    top = (1 << bits) - 1
    luma = wanted / 255 * top if full else (16 + wanted / 255 * 219) * (1 << (bits - 8))
    frame = av.VideoFrame(256, 64, "yuv444p" if bits == 8 else "yuv444p10le")
    planes = [np.rint(luma), np.full_like(luma, 1 << (bits - 1)), np.full_like(luma, 1 << (bits - 1))]
    for plane, values in zip(frame.planes, planes, strict=True):
        row = values.astype(np.uint8 if bits == 8 else "<u2")
        rows = np.zeros((64, plane.line_size), np.uint8)
        rows[:, : row.shape[1] * row.itemsize] = row.view(np.uint8)
        plane.update(rows.tobytes())
    tags: dict[str, Any] = {
        "color_range": FULL if full else LIMITED,
        "colorspace": BT709,
        "color_primaries": 1,
        "color_trc": 1,
    }
    path = movie(
        tmp_path / "a.mov",
        [frame],
        pix_fmt=frame.format.name,
        options={"qp": "0", "preset": "ultrafast"},
        **tags,
    )
    with open_clip(Shot(str(path))) as clip:
        picture = clip.read(1).rgb.astype(float)
        plate = clip.read_plate(1) * 255
    assert np.abs(picture - wanted[..., None]).max() <= 1
    assert np.abs(plate - wanted[..., None]).max() <= (0.75 if bits == 8 else 0.3)
    assert abs(float((plate - wanted[..., None]).mean())) < 0.1


@pytest.mark.parametrize(
    ("height", "stored", "tagged"),
    [
        (720, BT709, False),  # every decoder takes untagged HD for BT.601
        (720, BT709, True),
        (720, BT601, True),
        (480, BT601, False),
        (480, BT601, True),
        (480, BT709, True),
    ],
)
def test_colour_matrices(tmp_path: Path, height: int, stored: int, tagged: bool) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (180, 180, 40), (40, 180, 180), (128, 128, 128)]
    picture = np.zeros((height, 192, 3), np.uint8)
    for index, colour in enumerate(colours):
        picture[:, index * 32 : (index + 1) * 32] = colour
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format="yuv444p", src_colorspace=stored, dst_colorspace=stored, src_color_range=2, dst_color_range=1
    )
    frame.colorspace = stored if tagged else UNTAGGED
    tags: dict[str, Any] = {"colorspace": stored, "color_range": LIMITED} if tagged else {}
    path = movie(tmp_path / "a.mp4", [frame], pix_fmt="yuv444p", options={"qp": "0", "preset": "ultrafast"}, **tags)
    rgb = pictures(path)[1]
    for index, colour in enumerate(colours):
        seen = rgb[height // 2, index * 32 + 16].astype(int)
        assert np.abs(seen - colour).max() <= 2, (colour, seen)


def test_more_than_eight_bits_survive(tmp_path: Path) -> None:
    # swscale's default path is 8-bit inside.
    ramp16 = np.tile(np.linspace(20000, 24000, 256).astype("<u2"), (64, 1))
    frame = av.VideoFrame.from_ndarray(ramp16, format="gray16le")
    path = movie(tmp_path / "a.mov", [frame], "prores_ks", "yuv422p10le", options={"profile": "3"})
    with open_clip(Shot(str(path))) as clip:
        plate = clip.read_plate(1)
    assert plate.dtype == np.float32
    assert len(np.unique(plate[32, :, 1])) > 40


def test_alpha_of_prores_4444_is_ignored(tmp_path: Path) -> None:
    rgba = np.full((64, 192, 4), 120, np.uint8)
    rgba[..., 3] = 10
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="yuva444p10le")
    path = movie(tmp_path / "a.mov", [frame], "prores_ks", "yuva444p10le", options={"profile": "4"})
    assert np.abs(pictures(path)[1].astype(int) - 120).max() <= 3


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_rotation_is_undone(tmp_path: Path, turn: int) -> None:
    # A white block at the top left of the stored frame, twice as wide as high.
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[:16, :32] = 255
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(turn)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
        container.mux(stream.encode(None))
    rgb = pictures(tmp_path / "a.mp4")[1]
    # FFmpeg's rotation is counter-clockwise (libavutil/display.h), and so is numpy's.
    assert np.abs(rgb.astype(int) - np.rot90(stored, turn // 90)).mean() < 3
    with open_clip(Shot(str(tmp_path / "a.mp4"))) as clip:
        assert clip.facts.size == ((64, 96) if turn % 180 else (96, 64))


def test_anamorphic_movies(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", [burn(n) for n in range(3)], sample_aspect_ratio=Fraction(4, 3))
    with open_clip(Shot(str(path))) as clip:
        assert clip.facts.size == (192, 64)
        assert clip.facts.pixel_aspect == pytest.approx(4 / 3)
        assert clip.size == (256, 64)
        assert clip.read(1).rgb.shape == (64, 256, 3)


@pytest.mark.parametrize(
    ("start", "rate", "tenth"),
    [("01:00:00:00", Fraction(24), "01:00:00:10"), ("00:00:59;25", Fraction(30000, 1001), "00:01:00;07")],
)
def test_timecode_of_movies(tmp_path: Path, start: str, rate: Fraction, tenth: str) -> None:
    path = movie(tmp_path / "a.mov", [burn(n) for n in range(12)], rate=rate, metadata={"timecode": start})
    with open_clip(Shot(str(path), movie_first=100)) as clip:
        assert clip.source_of(100).timecode == start
        assert clip.source_of(110).timecode == tenth


@pytest.mark.parametrize(
    ("tags", "space"),
    [
        ({"color_primaries": 1, "color_trc": 1, "colorspace": 1}, "Rec.1886 Rec.709 - Display"),
        ({"color_primaries": 5, "color_trc": 6, "colorspace": 5}, "Rec.1886 Rec.709 - Display"),
        ({"color_primaries": 1, "color_trc": 13, "colorspace": 1}, "sRGB - Display"),
        ({"color_primaries": 9, "color_trc": 16, "colorspace": 9}, "Rec.2100-PQ - Display"),
        ({"color_primaries": 9, "color_trc": 18, "colorspace": 9}, "Rec.2100-HLG - Display"),
        ({"color_primaries": 12, "color_trc": 1, "colorspace": 1}, "Display P3 - Display"),
    ],
)
def test_tags_name_the_colour_space(tmp_path: Path, tags: dict[str, Any], space: str) -> None:
    path = movie(tmp_path / "a.mp4", [burn(1)], **tags)
    with open_clip(Shot(str(path))) as clip:
        assert (clip.facts.colour_space, clip.facts.colour_source) == (space, "metadata")


def test_range_of_a_movie(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", [burn(n) for n in range(10)])
    assert [burnt(p) for p in pictures(path, range=(3, 5)).values()] == [2, 3, 4]
    assert list(pictures(path, movie_first=1001, range=(1003, 1004), output_first=1)) == [1, 2]
    with pytest.raises(MediaError, match="the plate has 1-10"):
        open_clip(Shot(str(path), range=(0, 5)))


def test_movies_that_cannot_be_read(tmp_path: Path) -> None:
    good = movie(tmp_path / "good.mp4", [burn(n) for n in range(10)]).read_bytes()
    (tmp_path / "empty.mov").touch()
    (tmp_path / "text.mp4").write_text("this is not a movie " * 50)
    (tmp_path / "cut.mp4").write_bytes(good[: len(good) // 2])  # loses the index at the end
    for name, words in (("empty.mov", "empty"), ("text.mp4", "cannot be read"), ("cut.mp4", "cannot be read")):
        with pytest.raises(MediaError, match=words):
            open_clip(Shot(str(tmp_path / name)))
    with av.open(str(tmp_path / "sound.mov"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(MediaError, match="no picture"):
        open_clip(Shot(str(tmp_path / "sound.mov")))


def test_a_movie_cut_short_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "5", "preset": "ultrafast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv420p"
        for n in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(burn(n, noise=60), format="rgb24")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with open_clip(Shot(str(path))) as clip:
        assert 10 < len(clip.frames) < 39
        assert f"cut short: {40 - len(clip.frames)} frames" in clip.warnings[0]
        assert [burnt(picture.rgb) for picture in clip.stream(clip.frames)] == list(range(len(clip.frames)))


@pytest.mark.parametrize(("codec", "pix_fmt"), [("prores_ks", "yuv422p10le"), ("libx264", "yuv420p")])
def test_a_damaged_packet_surfaces_at_its_frame(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    path = movie(
        tmp_path / "a.mov",
        [burn(n) for n in range(9)],
        codec,
        pix_fmt,
        options={"g": "1"} if codec == "libx264" else {},
    )
    with av.open(str(path)) as container:
        packets = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    at, size = packets[4]
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    with open_clip(Shot(str(path))) as clip:
        seen: list[int] = []
        with pytest.raises(MediaError, match="Frame 5 of the movie cannot be decoded"):
            seen.extend(picture.frame for picture in clip.stream(clip.frames))
        assert burnt(clip.read(7).rgb) == 6
        assert burnt(clip.read(2).rgb) == 1
        with pytest.raises(MediaError, match="Frame 5"):
            clip.read(5)


def test_intra_only_movies_are_indexed_without_reading_them(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mov", [burn(n) for n in range(6)], "prores_ks", "yuv422p10le")
    with av.open(str(path)) as container:
        entries = container.streams.video[0].index_entries
        assert entries is not None
        assert len(entries) == 6
    reader = Movie(path)
    assert list(reader.numbers) == list(range(1, 7))
    reader.close()


def test_a_movie_that_changes_its_size(tmp_path: Path) -> None:
    # Two transport streams one after the other are one.
    wide = movie(tmp_path / "1.ts", [burn(n) for n in range(5)]).read_bytes()
    small = movie(tmp_path / "2.ts", [burn(n, (96, 64)) for n in range(5)], stamps=range(5, 10)).read_bytes()
    (tmp_path / "both.ts").write_bytes(wide + small)
    with (
        open_clip(Shot(str(tmp_path / "both.ts"))) as clip,
        pytest.raises(MediaError, match="changes from 192 x 64 to 96 x 64"),
    ):
        list(clip.stream(clip.frames))


def test_trimmed_movies_hide_what_the_trim_hides(tmp_path: Path) -> None:
    # The edit list of a mov: frames before its start are there for decoding only.
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "50", "bf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 192, 64, "yuv420p"
        for n in range(30):
            frame = av.VideoFrame.from_ndarray(burn(n), format="rgb24")
            frame.pts, frame.time_base = n - 10, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(tmp_path / "a.mov")) as container:
        assert any(packet.is_discard for packet in container.demux(video=0))
    with open_clip(Shot(str(tmp_path / "a.mov"))) as clip:
        shown = [burnt(picture.rgb) for picture in clip.stream(clip.frames)]
        assert shown == list(range(10, 30))
        assert clip.warnings == []


def test_real_footage(shared_dir: Path) -> None:
    counts = {"bedroom": (200, (960, 540)), "blocks": (292, (1280, 720)), "default_juggle": (247, (1280, 720))}
    for name, (count, size) in counts.items():
        with open_clip(Shot(str(shared_dir / "footage" / f"{name}.mp4"))) as clip:
            assert (len(clip.frames), clip.size, clip.warnings) == (count, size, [])
            streamed = {picture.frame: picture.rgb for picture in clip.stream([1, 2, 60, 61])}
            assert all(np.array_equal(clip.read(n).rgb, streamed[n]) for n in (61, 2, 60, 1))
