"""PNG and TIFF mattes, read back with OpenImageIO, which is not what wrote them."""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np
import OpenImageIO as oiio
import pytest

from sa2va_core.media import stills

from .conftest import HEIGHT, PROVENANCE, WIDTH, files_in


def read(path):
    image = oiio.ImageBuf(str(path))
    assert image.read(force=True), image.geterror()
    return image.spec(), np.asarray(image.get_pixels(oiio.UINT16))[..., 0]


@pytest.mark.parametrize(("format", "extension"), [("png", "png"), ("tiff", "tif")])
def test_one_grey_16_bit_file_for_each_object(make_writer, source, alphas, tmp_path, format, extension):
    man, ball = make_writer(format=format).write(source, alphas)
    assert man == tmp_path / f"out/mattes/man/shot_010_man.1001.{extension}"
    assert ball == tmp_path / f"out/mattes/Zoe_s_ball/shot_010_Zoe_s_ball.1001.{extension}"
    assert files_in(tmp_path) == {man.name, ball.name}
    spec, pixels = read(man)
    assert spec.nchannels == 1
    assert spec.format == oiio.UINT16
    assert (spec.width, spec.height) == (WIDTH, HEIGHT)
    assert spec.get_float_attribute("PixelAspectRatio") == pytest.approx(2.0)
    assert np.abs(pixels - alphas["man"] * 65535.0).max() <= 0.5 + 1e-2
    assert pixels.max() == 65535
    assert pixels.min() == 0


def test_png_text(make_writer, source, alphas):
    _, path = make_writer(format="png").write(source, alphas)
    spec, _ = read(path)
    assert spec.get_string_attribute("sa2va/objects/Zoe_s_ball/phrase") == "the ball, 犬"
    assert spec.get_string_attribute("sa2va/source_frame") == "86"
    assert spec.get_string_attribute("sa2va/job") == PROVENANCE["job"]
    assert b"secret_client" not in path.read_bytes()
    kinds = [kind for kind, _ in chunks(path.read_bytes())]
    assert kinds[0] == b"IHDR"
    assert kinds[-1] == b"IEND"
    # A curve or a colour space would have a host bend the values.
    assert not {b"sRGB", b"gAMA", b"iCCP", b"cICP"} & set(kinds)


def chunks(data: bytes):
    """Every chunk of a PNG, its checksum verified."""
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        yield kind, body
        at += 12 + length


def test_tiff_description(make_writer, source, alphas):
    spec, _ = read(make_writer(format="tiff").write(source, alphas)[1])
    description = json.loads(spec.get_string_attribute("ImageDescription"))
    assert description["sa2va/objects/Zoe_s_ball/phrase"] == "the ball, 犬"
    assert description["sa2va/source_frame"] == 86
    assert spec.get_string_attribute("compression") == "zip"


@pytest.mark.parametrize("text", ["", "x", "xy", "ü"])
@pytest.mark.parametrize("width", [1, 2, 33])
def test_tiff_of_any_length_stays_readable(tmp_path, text, width):
    pixels = np.arange(7 * width, dtype=np.uint16).reshape(7, width) * 300
    (tmp_path / "a.tif").write_bytes(stills.tiff(pixels, {"sa2va/x": text}, 1.0))
    spec, again = read(tmp_path / "a.tif")
    assert np.array_equal(again, pixels)
    assert json.loads(spec.get_string_attribute("ImageDescription")) == {"sa2va/x": text}


def test_values_are_rounded_and_clamped():
    values = np.array([[-0.1, 0.0, 0.5, 1.0, 1.1, 0.25 / 65535, 0.75 / 65535]], np.float32)
    assert stills.to_16_bit(values).tolist() == [[0, 0, 32768, 65535, 65535, 0, 1]]
