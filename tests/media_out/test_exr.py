"""Matte EXR files, read back with the OpenEXR library, which is not what wrote them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sa2va_plugin.errors import JobSpecError
from sa2va_plugin.jobspec import ObjectSpec, Outputs

from sa2va_core.media import timecode
from sa2va_core.media.exr import pack_timecode
from sa2va_core.media.write import MatteWriter

from .conftest import HEIGHT, OBJECTS, PROVENANCE, WIDTH, disc


def read(path: Path):
    """(header, channels by full name) of a one-part file."""
    with OpenEXR.File(str(path), separate_channels=True) as file:
        assert len(file.parts) == 1
        return dict(file.header()), {name: channel.pixels.copy() for name, channel in file.channels().items()}


def fields(code: OpenEXR.TimeCode):
    return code.hours, code.minutes, code.seconds, code.frame, bool(code.dropFrame)


def test_layers_windows_rate_and_time_code(make_writer, source, alphas, tmp_path):
    (path,) = make_writer().write(source, alphas)
    assert path == tmp_path / "out/mattes/shot_010_mattes.1001.exr"
    header, channels = read(path)
    assert set(channels) == {"A", "man.A", "Zoe_s_ball.A"}
    assert {pixels.dtype for pixels in channels.values()} == {np.dtype(np.float16)}
    whole = [[0, 0], [WIDTH - 1, HEIGHT - 1]]
    assert [list(corner) for corner in header["dataWindow"]] == whole
    assert [list(corner) for corner in header["displayWindow"]] == whole
    assert header["pixelAspectRatio"] == 2.0
    assert header["framesPerSecond"] == Fraction(24000, 1001)
    assert header["compression"] == OpenEXR.ZIP_COMPRESSION
    assert header["type"] == OpenEXR.scanlineimage
    assert header["colorInteropID"] == "data"
    assert fields(header["timeCode"]) == (1, 2, 3, 4, False)
    assert np.array_equal(channels["man.A"], alphas["man"].astype(np.float16))
    assert np.array_equal(channels["Zoe_s_ball.A"], alphas["Zoë's ball"].astype(np.float16))


def test_metadata_names_the_source_file_but_no_folder_and_no_date(make_writer, source, alphas):
    (path,) = make_writer().write(source, alphas)
    header, _ = read(path)
    ours = {name: value for name, value in header.items() if name.startswith("sa2va/")}
    assert ours == {
        **{f"sa2va/{name}": value for name, value in PROVENANCE.items()},
        "sa2va/source_file": "shot_010.0086.exr",
        "sa2va/source_frame": 86,
        "sa2va/objects/man/name": "man",
        "sa2va/objects/man/phrase": "the man",
        "sa2va/objects/Zoe_s_ball/name": "Zoë's ball",
        "sa2va/objects/Zoe_s_ball/phrase": "the ball, 犬",
    }
    assert b"secret_client" not in path.read_bytes()
    assert "capDate" not in header


def test_drop_frame_and_odd_time_codes(make_writer, source, alphas):
    writer = make_writer()
    header, _ = read(writer.write(replace(source, timecode="23:59:58;29"), alphas)[0])
    assert fields(header["timeCode"]) == (23, 59, 58, 29, True)
    header, _ = read(writer.write(replace(source, timecode=None), alphas)[0])
    assert "timeCode" not in header
    # SMPTE's two digits of frames end at 39.
    header, _ = read(writer.write(replace(source, timecode="01:00:00:47"), alphas)[0])
    assert "timeCode" not in header
    assert header["sa2va/timecode"] == "01:00:00:47"


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 39), st.sampled_from(":;"))
def test_time_code_packing_is_what_the_reader_unpacks(hours, minutes, seconds, frames, mark):
    text = f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{frames:02d}"
    packed = pack_timecode(text)
    assert packed is not None
    assert timecode.from_packed(packed[0]) == text


@pytest.mark.parametrize("text", ["", "nonsense", "01:02:03", "01:60:00:00", "40:00:00:00"])
def test_no_time_code(text):
    assert pack_timecode(text) is None


def test_union_is_the_largest_matte_and_one_half_is_exact(make_writer, source):
    half = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    quarter = np.zeros_like(half)
    quarter[:10] = 0.25
    quarter[10:20] = 1.0
    quarter[20:30] = -0.0
    _, channels = read(make_writer().write(source, {"man": half, "Zoë's ball": quarter})[0])
    assert (channels["man.A"] == 0.5).all()
    assert np.array_equal(channels["A"], np.maximum(half, quarter).astype(np.float16))


def test_rgb_as_matte(make_writer, source, alphas):
    _, channels = read(make_writer(rgb="matte").write(source, alphas)[0])
    assert set(channels) == {"R", "G", "B", "A", "man.A", "Zoe_s_ball.A"}
    for name in "RGB":
        assert np.array_equal(channels[name], channels["A"])


def test_rgb_as_plate_is_untouched_and_names_its_space(make_writer, source, alphas):
    plate = np.random.default_rng(1).normal(2, 9, (HEIGHT, WIDTH, 3)).astype(np.float16)
    header, channels = read(make_writer(rgb="plate").write(source, alphas, plate)[0])
    for i, name in enumerate("RGB"):
        assert np.array_equal(channels[name], plate[..., i])
    assert header["sa2va/plate_colour_space"] == "ACEScg"
    assert "colorInteropID" not in header


def test_float_plate_beyond_half_stays_finite(make_writer, source, alphas):
    plate = np.full((HEIGHT, WIDTH, 3), 1e6, np.float32)
    _, channels = read(make_writer(rgb="plate").write(source, alphas, plate)[0])
    assert (channels["R"] == 65504).all()


def test_plate_that_is_missing_is_our_own_mistake(make_writer, source, alphas):
    with pytest.raises(ValueError, match="plate"):
        make_writer(rgb="plate").write(source, alphas)
    with pytest.raises(ValueError, match="matte of 'man'"):
        make_writer().write(source, {**alphas, "man": alphas["man"][:-1]})


def test_crop_shrinks_the_window_common_to_all_channels(make_writer, source, alphas):
    header, channels = read(make_writer(crop=True).write(source, alphas)[0])
    union = np.maximum(alphas["man"], alphas["Zoë's ball"]).astype(np.float16)
    rows, columns = np.nonzero(union)
    (x0, y0), (x1, y1) = header["dataWindow"]
    assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max(), rows.max())
    assert [list(corner) for corner in header["displayWindow"]] == [[0, 0], [WIDTH - 1, HEIGHT - 1]]
    for name, whole in (("A", union), ("man.A", alphas["man"].astype(np.float16))):
        assert np.array_equal(channels[name], whole[y0 : y1 + 1, x0 : x1 + 1])


@pytest.mark.parametrize("crop", [False, True])
def test_empty_mattes_still_make_a_file(make_writer, source, crop):
    nothing = np.zeros((HEIGHT, WIDTH), np.float32)
    header, channels = read(make_writer(crop=crop).write(source, {"man": nothing, "Zoë's ball": nothing})[0])
    assert channels["man.A"].shape == ((1, 1) if crop else (HEIGHT, WIDTH))
    assert not any(pixels.any() for pixels in channels.values())
    assert list(header["displayWindow"][1]) == [WIDTH - 1, HEIGHT - 1]


def test_zips_compression(make_writer, source, alphas):
    header, _ = read(make_writer(compression="zips").write(source, alphas)[0])
    assert header["compression"] == OpenEXR.ZIPS_COMPRESSION


def test_same_job_twice_gives_the_same_bytes(make_writer, source, alphas, tmp_path):
    for outputs in ({}, {"rgb": "matte"}, {"crop": True}, {"format": "png"}, {"format": "tiff"}):
        one = make_writer(tmp_path / "one", **outputs).write(source, alphas)
        two = make_writer(tmp_path / "two", **outputs).write(source, alphas)
        assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


@pytest.mark.parametrize("frame", [-5, 0, 7, 1001, 123456])
def test_frame_numbers(make_writer, source, alphas, frame):
    (path,) = make_writer().write(replace(source, frame=frame), alphas)
    assert path.name == f"shot_010_mattes.{'-' if frame < 0 else ''}{abs(frame):04d}.exr"
    assert make_writer().paths(frame) == [path]
    assert path.is_file()


def test_odd_names_become_layers_that_hosts_accept(make_writer, source):
    names = ["42", "alpha", "犬", "a.b", "x" * 60, "-"]
    objects = [ObjectSpec(name, f"the {name}") for name in names]
    _, channels = read(make_writer(objects=objects).write(source, {name: disc(9, 9, 5) for name in names})[0])
    layers = {name.rpartition(".")[0] for name in channels} - {""}
    assert len(layers) == len(names)
    assert all(layer.isidentifier() and layer.isascii() for layer in layers)
    assert "_42" in layers
    assert "alpha_" in layers


def test_odd_plate_names(make_writer, source, alphas, tmp_path):
    writer = make_writer(tmp_path / "a folder # 1 %04d", plate_name="plate ####.v01 (ü)")
    (path,) = writer.write(source, alphas)
    assert path.name == "plate ####.v01 (ü)_mattes.1001.exr"
    read(path)
    for name in ("../up", "a/b", "a\\b", ".."):
        with pytest.raises(JobSpecError, match="cannot begin"):
            make_writer(plate_name=name)


def test_many_objects_still_make_one_file_with_a_warning(facts, source, tmp_path):
    objects = [ObjectSpec(f"o{i}", f"object {i}") for i in range(17)]
    writer = MatteWriter(Outputs(str(tmp_path)), facts, objects, {})
    assert "17 objects" in writer.warnings[0]
    _, channels = read(writer.write(source, {item.name: disc(9, 9, 5) for item in objects})[0])
    assert len(channels) == 18
    assert MatteWriter(Outputs(str(tmp_path)), facts, objects[:16], {}).warnings == ()
    assert MatteWriter(Outputs(str(tmp_path), format="png"), facts, objects, {}).warnings == ()


def test_several_threads_write_at_once(make_writer, source):
    writer = make_writer()
    start = threading.Barrier(4)

    def write(frame: int) -> Path:
        if frame < 4:
            start.wait(60)
        alphas = {item.name: disc(frame, 20 + i, 10) for i, item in enumerate(OBJECTS)}
        return writer.write(replace(source, frame=frame, plate_frame=frame), alphas)[0]

    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(write, range(24)))
    for frame, path in enumerate(paths):
        header, channels = read(path)
        assert header["sa2va/source_frame"] == frame
        assert np.array_equal(channels["man.A"], disc(frame, 20, 10).astype(np.float16))
    assert len(list(paths[0].parent.iterdir())) == 24


def test_a_series_an_object_beside_the_layers(make_writer, source, alphas, tmp_path):
    paths = make_writer(per_object=True).write(source, alphas)
    names = [path.relative_to(tmp_path / "out/mattes").as_posix() for path in paths]
    assert names == [
        "shot_010_mattes.1001.exr",
        "man/shot_010_man.1001.exr",
        "Zoe_s_ball/shot_010_Zoe_s_ball.1001.exr",
    ]
    for path, name in zip(paths[1:], alphas, strict=True):
        header, channels = read(path)
        assert set(channels) == set("RGBA")
        assert all(np.array_equal(plane, alphas[name].astype(np.float16)) for plane in channels.values())
        assert header["colorInteropID"] == "data"
