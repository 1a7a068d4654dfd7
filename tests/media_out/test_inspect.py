"""What `inspect` says of files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from sa2va_plugin.errors import MediaError

from sa2va_core.media.inspect import format_report, inspect_file

from .conftest import HEIGHT, WIDTH


def test_exr(make_writer, source, alphas):
    (path,) = make_writer(crop=True).write(replace(source, timecode="01:00:00;05"), alphas)
    report = inspect_file(path)
    json.dumps(report, allow_nan=False)
    assert report["format"] == "openexr"
    (part,) = report["parts"]
    assert part["display_window"] == [0, 0, WIDTH, HEIGHT]
    x0, y0, x1, y1 = part["data_window"]
    assert 0 < x0 < x1 < WIDTH
    assert 0 < y0 < y1 < HEIGHT
    assert (part["pixel_aspect"], part["compression"], part["colour"]) == (2.0, "zip", "data")
    assert (part["fps"], part["timecode"]) == ("24000/1001", "01:00:00;05")
    channels = {channel["name"]: channel for channel in part["channels"]}
    assert set(channels) == {"A", "man.A", "Zoe_s_ball.A"}
    man = channels["man.A"]
    assert (man["layer"], man["type"], man["min"], man["max"]) == ("man", "half", 0.0, 1.0)
    # Coverage is of the whole plate, though the data window is smaller.
    assert man["mean"] == pytest.approx(alphas["man"].mean(), abs=1e-4)
    assert part["metadata"]["sa2va/objects/man/phrase"] == "the man"


def test_a_display_window_off_the_origin_and_overscan(tmp_path):
    """The mean is of the display window, whatever lies around it."""
    pixels = np.zeros((40, 60, 1), np.float32)
    pixels[10:40, 5:60] = 1  # of the display window's 50 x 20 pixels, 50 x 15 from the lower right on
    pixels[:5] = 9
    spec = oiio.ImageSpec(60, 40, 1, "half")
    spec.x, spec.y, spec.full_x, spec.full_y, spec.full_width, spec.full_height = -10, 95, -5, 100, 50, 20
    file = oiio.ImageOutput.create("exr")
    assert file, oiio.geterror()
    assert file.open(str(tmp_path / "a.exr"), spec)
    assert file.write_image(pixels)
    file.close()
    report = inspect_file(tmp_path / "a.exr")
    (part,) = report["parts"]
    assert part["display_window"] == [-5, 100, 45, 120]
    (channel,) = part["channels"]
    assert (channel["max"], channel["mean"]) == (9.0, 0.75)
    text = format_report(report)
    assert "display window  50 x 20, x -5 to 44, y 100 to 119\n" in text
    assert "data window     60 x 40, x -10 to 49, y 95 to 134\n" in text


def test_report_for_people(make_writer, source, alphas):
    (path,) = make_writer().write(source, alphas)
    text = format_report(inspect_file(path))
    assert text.startswith("shot_010_mattes.1001.exr: openexr, zip\n")
    for words in (
        "97 x 61, pixel aspect 2",
        "the whole display window",
        "24000/1001",
        "01:02:03:04",
        "man.A",
        "the ball, 犬",
    ):
        assert words in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_stills(make_writer, source, alphas, format):
    path, _ = make_writer(format=format).write(source, alphas)
    (part,) = inspect_file(path)["parts"]
    (channel,) = part["channels"]
    assert channel["type"] == "uint16"
    assert (channel["min"], channel["max"]) == (0.0, 1.0)
    assert channel["mean"] == pytest.approx(alphas["man"].mean(), abs=1e-5)
    assert part["pixel_aspect"] == 2.0
    assert part["metadata"]["sa2va/objects/man/phrase"] == "the man"
    assert int(part["metadata"]["sa2va/source_frame"]) == 86


def test_movie(make_writer, source, alphas):
    writer = make_writer(format="prores")
    sources = [replace(source, frame=frame) for frame in range(7)]
    for item in sources:
        writer.write(item, alphas)
    report = inspect_file(writer.finish(sources)[0])
    json.dumps(report, allow_nan=False)
    (part,) = report["parts"]
    assert report["format"] == "mov"
    assert part["frames"] == 7
    assert (part["fps"], part["timecode"], part["pixel_aspect"]) == ("24000/1001", "01:02:03:04", 2.0)
    luma, alpha = part["channels"]
    assert (alpha["name"], alpha["min"], alpha["max"]) == ("A", 0.0, 1.0)
    assert alpha["mean"] == pytest.approx(alphas["man"].mean(), abs=1e-3)
    assert luma["max"] == pytest.approx(1, abs=0.01)
    assert part["metadata"]["sa2va/objects/man/phrase"] == "the man"
    assert "7 frames" in format_report(report)


def test_several_parts_and_numbers_that_are_not_finite(tmp_path):
    bad = np.full((4, 6), np.nan, np.float32)
    half_bad = np.ones((4, 6), np.float32)
    half_bad[0, 0] = np.inf
    parts = [
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"Z": bad}, "depth"),
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"m.A": half_bad}, "matte"),
    ]
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    report = inspect_file(tmp_path / "a.exr")
    json.dumps(report, allow_nan=False)
    depth, matte = report["parts"]
    assert (depth["name"], matte["name"]) == ("depth", "matte")
    assert depth["channels"][0]["min"] is None
    assert matte["channels"][0]["not_finite"] == 1
    assert matte["channels"][0]["max"] == 1.0
    text = format_report(report)
    assert "a.exr · depth" in text
    assert "24 values are not finite" in text


def test_files_that_cannot_be_read(make_writer, source, alphas, tmp_path):
    (whole,) = make_writer().write(source, alphas)
    data = whole.read_bytes()
    cases = {
        "cut.exr": (data[: len(data) // 2], "cannot be read"),
        "empty.exr": (b"", "empty"),
        "text.exr": (b"hello" * 100, "cannot be read"),
        "text.unknown": (b"hello" * 100, "cannot be read"),
        "manifest.json": (b"{}", "not a picture"),
        "text.mov": (b"hello" * 100, "cannot be read"),
        "empty.mov": (b"", "empty"),
    }
    for name, (content, words) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(MediaError, match=words) as caught:
            inspect_file(path)
        assert caught.value.hint
    with pytest.raises(MediaError, match="no such file"):
        inspect_file(tmp_path / "nothing.exr")
    with pytest.raises(MediaError, match="folder"):
        inspect_file(tmp_path)
