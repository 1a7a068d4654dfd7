"""Cryptomatte files, decoded by hand from what the OpenEXR library reads, and picked by Blender's own node."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sa2va_plugin.errors import OutputError
from sa2va_plugin.jobspec import ObjectSpec, Outputs
from sa2va_plugin.naming import cryptomatte_name

from sa2va_core.mattes.cryptomatte import MOST_RANKS, CryptomatteWriter, name_hash, name_id, ranked, shared_out
from sa2va_core.media.frames import PlateFacts, SourceFrame
from sa2va_core.media.inspect import format_report, inspect_file
from tests.blender import environments
from tests.media_out.conftest import HEIGHT, WIDTH, disc

FACTS = PlateFacts("shot_010", (WIDTH, HEIGHT), 2.0, Fraction(24000, 1001), "ACEScg", "job")
SOURCE = SourceFrame(1001, 86, Path("secret_client/shot_010.0086.exr"), "01:02:03:04")
# Soft edges, half coverage, quotes, backslashes, other scripts, signs beyond them, long names.
MATTES = {
    "man": disc(25, 30, 15),
    "<🎾>, 'two'\\": disc(8, 50, 4),
    'Zoë\'s "ball"': disc(44, 30, 4),
    "犬 \\ back": disc(60, 40, 7) * np.float32(0.5),
    "x" * 80: disc(80, 20, 12),
}


def write(folder: Path, mattes: dict[str, NDArray[np.float32]], **outputs: object) -> Path:
    objects = [ObjectSpec(name, f"the {name}") for name in mattes]
    writer = CryptomatteWriter(Outputs(str(folder), **outputs), FACTS, objects, {"job": "f" * 64})  # type: ignore[arg-type]
    return writer.write(SOURCE, mattes)


class Decoded:
    """A reader of its own, after the specification: nothing of ours but the file."""

    def __init__(self, path: Path) -> None:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            assert len(file.parts) == 1
            self.header = dict(file.header())
            self.channels = {name: channel.pixels.copy() for name, channel in file.channels().items()}
        (key,) = {name.split("/")[1] for name in self.header if name.startswith("cryptomatte/")}
        facts = {name.split("/")[2]: value for name, value in self.header.items() if f"/{key}/" in name}
        assert len(key) == 7
        assert facts["hash"] == "MurmurHash3_32"
        assert facts["conversion"] == "uint32_to_float32"
        self.manifest: dict[str, str] = json.loads(facts["manifest"])
        levels = sorted({name.split(".")[0] for name in self.channels if name.startswith(facts["name"])})
        assert levels == [f"{facts['name']}{i:02d}" for i in range(len(levels))]
        planes = [self.channels[f"{level}.{channel}"] for level in levels for channel in "RGBA"]
        self.ids, self.coverage = np.stack(planes[0::2]), np.stack(planes[1::2])

    def pick(self, name: str) -> NDArray[np.float32]:
        wanted = np.uint32(int(self.manifest[name], 16))
        return np.where(self.ids.view(np.uint32) == wanted, self.coverage, 0).sum(axis=0)


# From the specification ("torus") and the unit tests of the reference decoder for Nuke, in single precision.
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("torus", -1.54943624832e30),
        ("hello", 6.0705627102400005616e-17),
        ("cube", -4.08461912519e15),
        ("sphere", 2.79018604383e15),
        ("plane", 3.66557617593e-11),
        ("равнина", -1.3192631212399999468e-25),
        ("mädchen", 6.2361298211599995797e25),
    ],
)
def test_published_ids(name: str, value: float) -> None:
    assert name_id(name) == np.float32(value)


def test_the_metadata_key_of_a_layer_that_renderers_write() -> None:
    assert f"{name_hash('CryptoObject'):08x}"[:7] == "3ae39a5"


# Names whose plain hash is a denormal, an infinity or a NaN.
@pytest.mark.parametrize(
    ("name", "plain"), [("object85", 0x802D54BE), ("object365", 0x0064028F), ("object878", 0x7FBEA3D3)]
)
def test_ids_that_would_be_no_number_are_moved(name: str, plain: int) -> None:
    assert name_hash(name) == plain ^ 0x00800000


@given(st.text(max_size=40))
def test_every_id_is_a_plain_number(name: str) -> None:
    number = name_id(name)
    assert np.isfinite(number)
    assert abs(number) >= np.finfo(np.float32).tiny


@given(st.text(max_size=20))
def test_no_name_in_the_manifest_is_empty_or_means_something_else_to_a_picker(name: str) -> None:
    if name.strip():
        assert cryptomatte_name(name)
        assert not set(",<>") & set(cryptomatte_name(name))


def test_names_keep_what_pickers_can_read() -> None:
    assert cryptomatte_name('Zoë\'s "ball" \\ 🎾 a*b?[c]') == 'Zoë\'s "ball" \\ 🎾 a*b?[c]'
    assert [cryptomatte_name(name) for name in ("man,  the", "<3.5>", "<>")] == ["man the", "3.5", "object_3c_3e"]


def test_each_object_is_picked_by_name_as_it_was(tmp_path: Path) -> None:
    file = Decoded(write(tmp_path, MATTES))
    assert set(file.manifest) == {cryptomatte_name(name) for name in MATTES}
    for name, matte in MATTES.items():
        assert abs(file.pick(cryptomatte_name(name)) - matte).max() < 1 / 2048
    assert file.coverage.sum(axis=0).max() <= 1 + 1e-6
    assert (np.diff(file.coverage, axis=0) <= 0).all(), "ranks fall"
    assert (file.ids[file.coverage == 0] == 0).all(), "a rank without coverage has no id"
    assert {pixels.dtype for pixels in file.channels.values()} == {np.dtype(np.float32)}


def test_windows_rate_time_code_and_origin_are_those_of_the_mattes(tmp_path: Path) -> None:
    path = write(tmp_path, MATTES)
    assert path == tmp_path / "cryptomatte/shot_010_crypto.1001.exr"
    header = Decoded(path).header
    for window in ("dataWindow", "displayWindow"):
        assert [list(corner) for corner in header[window]] == [[0, 0], [WIDTH - 1, HEIGHT - 1]]
    assert header["pixelAspectRatio"] == 2.0
    assert header["framesPerSecond"] == Fraction(24000, 1001)
    assert header["timeCode"].seconds == 3
    assert header["compression"] == OpenEXR.ZIP_COMPRESSION
    assert header["sa2va/source_file"] == "shot_010.0086.exr"
    assert header["sa2va/objects/man/phrase"] == "the man"
    assert b"secret_client" not in path.read_bytes()


def test_inspect_lists_the_names_and_keeps_its_columns(tmp_path: Path) -> None:
    report = inspect_file(write(tmp_path, MATTES))
    manifest = next(v for k, v in report["parts"][0]["metadata"].items() if k.endswith("/manifest"))
    assert set(json.loads(manifest)) == {cryptomatte_name(name) for name in MATTES}
    rows = [line for line in format_report(report).splitlines() if line.startswith("  sa2va0")]
    assert len(rows) >= 4
    assert {len(row) for row in rows} == {len(rows[0])}


def test_crop_keeps_the_box_around_all_objects(tmp_path: Path) -> None:
    whole, cropped = Decoded(write(tmp_path / "a", MATTES)), Decoded(write(tmp_path / "b", MATTES, crop=True))
    (x0, y0), (x1, y1) = cropped.header["dataWindow"]
    assert (x1 - x0, y1 - y0) != (WIDTH - 1, HEIGHT - 1)
    assert np.array_equal(cropped.pick("man"), whole.pick("man")[y0 : y1 + 1, x0 : x1 + 1])


def test_bare_rgb_is_a_picture_of_all_objects(tmp_path: Path) -> None:
    file = Decoded(write(tmp_path, MATTES))
    colours = np.stack([file.channels[c] for c in "RGB"], axis=-1)
    assert np.allclose(file.channels["A"], file.coverage.sum(axis=0), atol=1e-6)
    inside = [colours[30, 25], colours[30, 44], colours[20, 80]]
    assert len({tuple(colour) for colour in inside}) == 3
    assert (colours[file.channels["A"] == 0] == 0).all()


def test_where_mattes_overlap_the_later_object_lies_on_top_and_the_user_is_told(tmp_path: Path) -> None:
    mattes = {"man": disc(40, 30, 20), "shirt": disc(40, 30, 8)}
    writer = CryptomatteWriter(Outputs(str(tmp_path)), FACTS, [ObjectSpec(n, n) for n in mattes], {})
    file = Decoded(writer.write(SOURCE, mattes))
    assert np.array_equal(file.pick("shirt"), mattes["shirt"])
    assert np.allclose(file.pick("man") + file.pick("shirt"), mattes["man"], atol=1e-6), "both together are the union"
    assert file.coverage.sum(axis=0).max() <= 1 + 1e-6
    writer.write(replace(SOURCE, frame=1002), {"man": disc(20, 30, 9), "shirt": disc(70, 30, 8)})
    writer.finish([1001, 1002])
    (warning,) = writer.warnings
    assert "'man'" in warning
    assert "1 of 2 frames (1001 is the first)" in warning


def test_soft_seams_are_no_overlap_to_warn_of(tmp_path: Path) -> None:
    mattes = {"left": disc(30, 30, 10), "right": np.clip(1 - disc(30, 30, 10), 0, 1).astype(np.float32)}
    writer = CryptomatteWriter(Outputs(str(tmp_path)), FACTS, [ObjectSpec(n, n) for n in mattes], {})
    writer.write(SOURCE, mattes)
    writer.finish([1001])
    assert writer.warnings == []


def test_each_object_has_a_rank_and_all_frames_have_the_same_channels(tmp_path: Path) -> None:
    tenth = np.full((HEIGHT, WIDTH), 0.1, np.float32)
    for count, levels in ((1, 1), (2, 1), (3, 2), (6, 3), (10, 5)):
        mattes = {f"o{i}": tenth for i in range(count)}
        file = Decoded(write(tmp_path / str(count), mattes))
        assert len(file.ids) == 2 * levels
        for name in mattes:
            assert np.allclose(file.pick(name), tenth)
        nothing = dict.fromkeys(mattes, np.zeros((HEIGHT, WIDTH), np.float32))
        assert Decoded(write(tmp_path / f"{count} empty", nothing)).channels.keys() == file.channels.keys()


def test_of_more_objects_than_ranks_in_one_pixel_the_least_go_and_the_user_is_told(tmp_path: Path) -> None:
    names = [f"o{i}" for i in range(MOST_RANKS + 2)]
    mattes = {name: np.full((HEIGHT, WIDTH), (i + 5) / 1000, np.float32) for i, name in enumerate(names)}
    for i, matte in enumerate(mattes.values()):
        matte[0] = 0
        matte[0, i] = 1
    writer = CryptomatteWriter(Outputs(str(tmp_path)), FACTS, [ObjectSpec(name, name) for name in names], {})
    file = Decoded(writer.write(SOURCE, mattes))
    assert len(file.ids) == MOST_RANKS
    for name in names[2:]:
        assert np.array_equal(file.pick(name), mattes[name])
    for name in names[:2]:
        assert np.array_equal(file.pick(name)[0], mattes[name][0])
        assert not file.pick(name)[1:].any()
    assert np.allclose(file.channels["A"], file.coverage.sum(axis=0), atol=1e-6)
    writer.finish([SOURCE.frame])
    assert [warning.split("'")[1] for warning in writer.warnings] == names[:2]


def test_an_empty_frame_is_a_file_like_any_other(tmp_path: Path) -> None:
    nothing = {"man": np.zeros((HEIGHT, WIDTH), np.float32), "ball": np.zeros((HEIGHT, WIDTH), np.float32)}
    file = Decoded(write(tmp_path, nothing))
    assert not any(pixels.any() for pixels in file.channels.values())
    assert file.ids.shape == (2, HEIGHT, WIDTH)


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_any_mattes_come_back(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    mattes = (random.random((count, 5, 7)) * (random.random((count, 5, 7)) < 0.5)).astype(np.float32)
    coverage = shared_out(list(mattes))
    assert coverage.sum(axis=0).max() <= 1 + 1e-6
    assert np.allclose(coverage[-1], np.where(mattes[-1] < 1 / 2048, 0, mattes[-1]))
    assert coverage.min() >= 0
    ids = np.array([name_id(f"object {i}") for i in range(count)], np.float32)
    planes = ranked(coverage, ids)
    for index in range(count):
        found = sum(
            (np.where(i == ids[index], c, 0) for i, c in zip(planes[0::2], planes[1::2], strict=True)), np.zeros((5, 7))
        )
        assert np.array_equal(found.astype(np.float32), coverage[index])


def test_what_an_all_but_solid_matte_leaves_of_another_is_nothing() -> None:
    plane = np.ones((2, 3), np.float32)
    below, above = shared_out([plane, np.float32(0.9999) * plane])
    assert not below.any()
    assert (above == np.float32(0.9999)).all()
    half, above = shared_out([plane, np.float32(0.5) * plane])
    assert (half == 0.5).all()
    assert (above == 0.5).all()


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    assert write(tmp_path / "a", MATTES).read_bytes() == write(tmp_path / "b", MATTES).read_bytes()


def test_a_file_that_went_missing_is_named(tmp_path: Path) -> None:
    writer = CryptomatteWriter(Outputs(str(tmp_path)), FACTS, [ObjectSpec("man", "man")], {})
    with pytest.raises(OutputError, match=r"shot_010_crypto\.1001\.exr"):
        writer.finish([1001])


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_blender_s_cryptomatte_node_picks_each_object_as_it_was(tmp_path: Path, version: str) -> None:
    python = environments.python(version)
    if python is None:
        missing = f"Blender {version} is not here: python tests/blender/environments.py {version}"
        (pytest.fail if os.environ.get("SA2VA_BLENDERS_REQUIRED") else pytest.skip)(missing)
    path = write(tmp_path, MATTES)
    names = [cryptomatte_name(name) for name in MATTES]
    picks = [*names, ", ".join(names[:2])]
    script = Path(__file__).with_name("blender_picks.py")
    command = [str(python), str(script), str(path), str(WIDTH), str(HEIGHT), str(tmp_path), *picks]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "LAYER sa2va" in done.stdout, "the node finds the layer by itself"
    wanted = [*MATTES.values(), sum(list(MATTES.values())[:2])]
    for number, matte in enumerate(wanted):
        with OpenEXR.File(str(tmp_path / f"{number}.exr"), separate_channels=True) as file:
            channels = {name.rpartition(".")[2]: channel.pixels.copy() for name, channel in file.channels().items()}
        assert abs(channels["R"] - matte).max() < 1 / 255
        assert channels["R"].max() > 0.4
