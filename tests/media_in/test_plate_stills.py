"""Image files in: what they hold, where it lies, and what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from sa2va_plugin.errors import MediaError
from sa2va_plugin.jobspec import Shot

from sa2va_core.media import image, timecode
from sa2va_core.media.clip import open_clip
from sa2va_core.media.plate import nominal_rate

from .plates import pictures, sequence, spec_of, write, write_parts

RNG = np.random.default_rng(5)
NOISE = RNG.random((32, 48, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "form", "bits", "dtype", "step"),
    [
        ("a.exr", "half", 16, np.float16, 2.0**-11),
        ("a.exr", "float", 32, np.float32, 0),
        ("a.dpx", "uint8", 8, np.uint8, 1 / 255),
        ("a.dpx", "uint16", 10, np.uint16, 1 / 1023),
        ("a.dpx", "uint16", 12, np.uint16, 1 / 4095),
        ("a.dpx", "uint16", 16, np.uint16, 1 / 65535),
        ("a.tif", "uint8", 8, np.uint8, 1 / 255),
        ("a.tif", "uint16", 16, np.uint16, 1 / 65535),
        ("a.tif", "float", 32, np.float32, 0),
        ("a.png", "uint8", 8, np.uint8, 1 / 255),
        ("a.png", "uint16", 16, np.uint16, 1 / 65535),
    ],
)
def test_formats_and_depths(tmp_path: Path, name: str, form: str, bits: int, dtype: type, step: float) -> None:
    path = write(tmp_path / name, NOISE, form, oiio__BitsPerSample=bits)
    pixels = image.read_pixels(path)
    assert pixels.dtype == dtype
    assert image.read_header(path).bits == bits
    with open_clip(Shot(str(path), colour_space="Raw")) as clip:
        plate = clip.read_plate(1)
    assert plate.dtype in (np.float16, np.float32)
    assert np.abs(plate.astype(np.float64) - NOISE).max() <= 1.01 * step


def test_jpeg_and_cineon(tmp_path: Path) -> None:
    smooth = np.full((32, 48, 3), 128, np.uint8)
    path = write(tmp_path / "a.jpg", smooth, "uint8", CompressionQuality=95)
    assert np.abs(image.read_pixels(path).astype(int) - 128).max() <= 2
    path = tmp_path / "a.cin"
    path.write_bytes(cineon(40, 20, code=470))
    assert image.read_header(path).size == (40, 20)
    assert np.allclose(image.read_pixels(path), 470 / 1023 * 65535, atol=64)
    with open_clip(Shot(str(path))) as clip:
        assert clip.facts.colour_space == "ADX10"
        assert "not whose curve" in clip.warnings[0]


def cineon(width: int, height: int, code: int) -> bytes:
    """A 10-bit film scan of one code (Kodak Cineon 4.5), which no library here can write."""
    header = bytearray(b"\xff" * 2048)
    header[0:4] = bytes.fromhex("802a5fd7")
    for at, value in ((4, 2048), (8, 1024), (12, 1024), (16, 0), (20, 2048 + 4 * width * height)):
        header[at : at + 4] = value.to_bytes(4, "big")
    header[192:196] = bytes([0, 3, 0, 0])
    for channel in range(3):
        at = 196 + 28 * channel
        header[at : at + 4] = bytes([0, channel + 1, 10, 0])
        header[at + 4 : at + 12] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header[680:692] = bytes([0, 5, 0, 0]) + bytes(8)
    word = code << 22 | code << 12 | code << 2
    return bytes(header) + word.to_bytes(4, "big") * (width * height)


@pytest.mark.parametrize(
    "window",
    [
        (0, 0, 0, 0, 48, 32),
        (10, 5, 0, 0, 80, 60),  # smaller than the display
        (-8, -4, 0, 0, 30, 20),  # overscan
        (-20, -10, -10, -5, 64, 40),  # display window off the origin too
        (100, 100, 0, 0, 40, 30),  # wholly outside
    ],
)
def test_the_data_window_is_placed_in_the_display_window(tmp_path: Path, window: tuple[int, ...]) -> None:
    path = write(tmp_path / "a.exr", NOISE + 0.5, "float", window)
    x, y, full_x, full_y, width, height = window
    expected = np.zeros((height, width, 3), np.float32)
    for row in range(height):
        for column in range(width):
            i, j = row + full_y - y, column + full_x - x
            if 0 <= i < 32 and 0 <= j < 48:
                expected[row, column] = NOISE[i, j] + 0.5
    header = image.read_header(path)
    assert (header.size, header.origin) == ((width, height), (full_x, full_y))
    assert header.overscan == (window not in [(0, 0, 0, 0, 48, 32), (10, 5, 0, 0, 80, 60)])
    assert np.array_equal(image.read_pixels(path), expected)


def test_an_offset_that_is_no_window_moves_nothing(tmp_path: Path) -> None:
    """Where a scan lay on its page, say; no host looks at it either."""
    for name in ("a.tif", "a.dpx"):
        path = write(tmp_path / name, NOISE, "uint8", (7, 3, 0, 0, 48, 32))
        stored = oiio.ImageBuf(str(path)).spec()
        assert (stored.x, stored.y) == (7, 3), "the file has one"
        header = image.read_header(path)
        assert (header.size, header.origin, header.overscan) == ((48, 32), (0, 0), False)
        assert np.array_equal(image.read_pixels(path), np.rint(NOISE * 255).astype(np.uint8))


def test_parts_layers_and_views(tmp_path: Path) -> None:
    def flat(value: float, channels: int) -> np.ndarray:
        return np.full((4, 6, channels), value, np.float32)

    parts = [
        (spec_of((4, 6, 1), "float", ["depth.Z"], oiio__subimagename="depth"), flat(9, 1)),
        (spec_of((4, 6, 4), "half", "RGBA", oiio__subimagename="rgba", view="left"), flat(0.25, 4)),
        (spec_of((4, 6, 4), "half", "RGBA", oiio__subimagename="rgba_right", view="right"), flat(0.5, 4)),
        (
            spec_of((4, 6, 3), "half", ["spec.B", "spec.G", "spec.R"], oiio__subimagename="spec", view="left"),
            np.broadcast_to(np.array([3, 2, 1], np.float32), (4, 6, 3)),
        ),
    ]
    path = write_parts(tmp_path / "multi.exr", parts)
    assert image.read_pixels(path)[0, 0].tolist() == [0.25] * 3
    assert image.read_pixels(path, view="r")[0, 0].tolist() == [0.5] * 3
    assert image.read_pixels(path, layer="spec")[0, 0].tolist() == [1, 2, 3]
    assert image.read_pixels(path, layer="depth")[0, 0].tolist() == [9] * 3
    with pytest.raises(MediaError, match="no layer 'beauty'") as caught:
        image.read_pixels(path, layer="beauty")
    assert "depth, rgba, rgba_right, spec" in caught.value.hint
    with pytest.raises(MediaError, match="no view 'middle'") as caught:
        image.read_pixels(path, view="middle")
    assert "left, right" in caught.value.hint


def test_views_inside_one_part_and_layers_by_prefix(tmp_path: Path) -> None:
    names = ["R", "G", "B", "right.R", "right.G", "right.B", "beauty.R", "beauty.G", "beauty.B", "beauty.right.R"]
    names += ["beauty.right.G", "beauty.right.B"]
    pixels = np.broadcast_to(np.repeat(np.array([1, 2, 3, 4], np.float32), 3), (4, 6, 12))
    path = write(tmp_path / "views.exr", pixels, channels=names, multiView=("string[2]", ("left", "right")))
    found = {
        (layer, view): float(image.read_pixels(path, layer, view)[0, 0, 0])
        for layer in ("", "beauty")
        for view in ("left", "right")
    }
    assert found == {("", "left"): 1, ("", "right"): 2, ("beauty", "left"): 3, ("beauty", "right"): 4}


def test_the_main_layer_when_nothing_is_bare(tmp_path: Path) -> None:
    names = ["albedo.R", "albedo.G", "albedo.B", "View Layer.Combined.R", "View Layer.Combined.G"]
    names += ["View Layer.Combined.B", "View Layer.Depth.Z"]
    pixels = np.broadcast_to(np.array([1, 1, 1, 2, 2, 2, 3], np.float32), (4, 6, 7))
    path = write(tmp_path / "blender.exr", pixels, channels=names)
    assert image.read_pixels(path)[0, 0].tolist() == [2, 2, 2]


def test_mixed_half_and_float_channels(tmp_path: Path) -> None:
    spec = spec_of((4, 6, 4), "half", ["R", "G", "B", "Z"])
    spec.channelformats = ("half", "half", "half", "float")
    path = write_parts(tmp_path / "mixed.exr", [(spec, np.full((4, 6, 4), 0.5, np.float32))])
    assert image.read_pixels(path).dtype == np.float16
    assert image.read_pixels(path, layer="").shape == (4, 6, 3)


def test_one_channel_and_no_channel(tmp_path: Path) -> None:
    path = write(tmp_path / "grey.png", np.full((4, 6, 1), 77, np.uint8), "uint8")
    assert image.read_pixels(path).tolist() == np.full((4, 6, 3), 77).tolist()
    odd = write(tmp_path / "odd.exr", np.zeros((4, 6, 2), np.float32), channels=["motion.x", "motion.y"])
    with pytest.raises(MediaError, match="no picture channels"):
        image.read_pixels(odd)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_straight_alpha_is_left_out_and_colour_is_not_multiplied_by_it(tmp_path: Path, name: str) -> None:
    pixels = np.full((4, 6, 4), 200, np.uint8)
    pixels[..., 3] = 30
    path = write(tmp_path / name, pixels, "uint8", oiio__UnassociatedAlpha=1)
    assert image.read_pixels(path)[0, 0].tolist() == [200] * 3


def test_deep_images_are_refused(tmp_path: Path) -> None:
    spec = spec_of((2, 2, 4), "float", "RGBA")
    spec.deep = True
    deep = oiio.DeepData()
    deep.init(spec)
    out = oiio.ImageOutput.create(str(tmp_path / "deep.exr"))
    assert out
    assert out.open(str(tmp_path / "deep.exr"), spec)
    assert out.write_deep_image(deep)
    out.close()
    with pytest.raises(MediaError, match="deep"):
        image.read_pixels(tmp_path / "deep.exr")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    codes = (NOISE * 255).astype(np.uint8)
    path = write(tmp_path / "a.tif", codes, "uint8", Orientation=orientation)
    upright = oiio.ImageBufAlgo.reorient(oiio.ImageBuf(str(path)))
    pixels = image.read_pixels(path)
    assert image.read_header(path).size == pixels.shape[1::-1]
    assert np.array_equal(pixels, np.asarray(upright.get_pixels("uint8")))


def test_the_picture_has_square_pixels_and_the_plate_keeps_its_own(tmp_path: Path) -> None:
    for name, aspect, size in (("wide.exr", 2.0, (96, 32)), ("tall.exr", 0.5, (48, 64))):
        path = write(tmp_path / name, NOISE, PixelAspectRatio=aspect)
        with open_clip(Shot(str(path), colour_space="ACEScg")) as clip:
            assert (clip.facts.size, clip.facts.pixel_aspect, clip.size) == ((48, 32), aspect, size)
            assert clip.read(1).rgb.shape == (size[1], size[0], 3)
            assert clip.read_plate(1).shape == (32, 48, 3)


def test_timecode_and_rate_from_headers(tmp_path: Path) -> None:
    code = ("timecode", (0x01020344, 0))
    path = write(tmp_path / "a.exr", NOISE, smpte__TimeCode=code, framesPerSecond=("rational", (24000, 1001)))
    with open_clip(Shot(str(path))) as clip:
        assert clip.source_of(1).timecode == "01:02:03;04"
        assert clip.facts.fps == Fraction(24000, 1001)
    dpx = write(tmp_path / "a.dpx", NOISE, "uint16", smpte__TimeCode=("timecode", (0x10595907, 0)), dpx__FrameRate=25.0)
    header = image.read_header(dpx)
    assert (header.timecode, header.fps) == ("10:59:59:07", 25)
    bare = write(tmp_path / "b.exr", NOISE)
    assert (image.read_header(bare).timecode, image.read_header(bare).fps) == (None, None)


def test_an_unknown_rate_is_assumed_and_said(tmp_path: Path) -> None:
    sequence(tmp_path, [1, 2])
    with open_clip(Shot(str(tmp_path))) as clip:
        assert clip.facts.fps == 24
        assert "24 is assumed" in clip.warnings[-1]
    with open_clip(Shot(str(tmp_path), fps=29.97)) as clip:
        assert clip.facts.fps == Fraction(30000, 1001)
        assert not any("assumed" in warning for warning in clip.warnings)


def test_rates_as_people_mean_them() -> None:
    assert nominal_rate(23.976) == nominal_rate(24000 / 1001) == nominal_rate(23.98) == Fraction(24000, 1001)
    assert (nominal_rate(24.0001), nominal_rate(59.94), nominal_rate(12.5)) == (24, Fraction(60000, 1001), 12.5)


@pytest.mark.parametrize(
    ("start", "frames", "fps", "later"),
    [
        ("01:00:00:00", 25, 24, "01:00:01:01"),
        ("23:59:59:23", 1, 24, "00:00:00:00"),
        ("00:00:59;29", 1, Fraction(30000, 1001), "00:01:00;02"),
        ("00:09:59;29", 1, Fraction(30000, 1001), "00:10:00;00"),
        ("00:01:00;02", -1, Fraction(30000, 1001), "00:00:59;29"),
        ("00:00:59;59", 1, Fraction(60000, 1001), "00:01:00;04"),
        ("00:00:00;00", 107892, Fraction(30000, 1001), "01:00:00;00"),
        ("00:00:59:29", 1, Fraction(30000, 1001), "00:01:00:00"),
    ],
)
def test_timecode_counts_on(start: str, frames: int, fps: Fraction, later: str) -> None:
    assert timecode.advance(start, frames, Fraction(fps)) == later
    assert timecode.advance("soon", 1, Fraction(24)) is None


def test_drop_frame_never_says_a_dropped_number() -> None:
    rate, text, seen = Fraction(30000, 1001), "00:00:00;00", set()
    for _ in range(22000):
        _, minutes, rest = text.split(":")
        seconds, frame = rest.split(";")
        assert not (int(minutes) % 10 and seconds == "00" and frame in ("00", "01")), text
        seen.add(text)
        text = timecode.advance(text, 1, rate) or ""
    assert len(seen) == 22000


def damage(path: Path, keep: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


@pytest.mark.parametrize("name", ["a.exr", "a.dpx", "a.tif", "a.png", "a.jpg"])
def test_files_cut_short_are_refused_not_half_shown(tmp_path: Path, name: str) -> None:
    # JPEG is the trap: the library hands out half a picture without an error code.
    path = damage(write(tmp_path / name, NOISE, "half" if name == "a.exr" else "uint8"), 0.6)
    with pytest.raises(MediaError, match="cannot be read"):
        image.read_pixels(path)


def test_empty_foreign_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "empty.exr").touch()
    (tmp_path / "text.exr").write_text("not an image")
    for name, words in (("empty.exr", "empty"), ("text.exr", "cannot be read"), ("gone.exr", "missing")):
        with pytest.raises(MediaError, match=words):
            image.read_header(tmp_path / name)


def test_a_bad_frame_in_the_middle_surfaces_at_that_frame(tmp_path: Path) -> None:
    sequence(tmp_path, range(1, 9))
    damage(tmp_path / "plate.0005.exr", 0.5)
    with open_clip(Shot(str(tmp_path), colour_space="Raw")) as clip:
        seen: list[int] = []
        with pytest.raises(MediaError, match=r"plate\.0005\.exr"):
            seen.extend(picture.frame for picture in clip.stream(clip.frames))
        assert seen == [1, 2, 3, 4]
        assert clip.read(6).frame == 6


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    sequence(tmp_path, [1, 2])
    write(tmp_path / "plate.0003.exr", NOISE)
    with pytest.raises(MediaError, match="48 x 32, but the shot starts at 12 x 8"):
        pictures(tmp_path / "plate.####.exr")


def test_the_library_keeps_no_error_to_print_at_exit(tmp_path: Path) -> None:
    (tmp_path / "empty.exr").touch()
    write(tmp_path / "good.png", NOISE, "uint8")
    code = f"""
from pathlib import Path
from sa2va_core.media import image
from sa2va_plugin.errors import MediaError
for name in ("empty.exr", "gone.exr"):
    try:
        image.read_header(Path({str(tmp_path)!r}) / name)
    except MediaError:
        pass
image.read_pixels(Path({str(tmp_path)!r}) / "good.png")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
