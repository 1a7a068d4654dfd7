"""Colour in: whichever way a picture is stored, the model sees the same one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PyOpenColorIO
import pytest
from numpy.typing import NDArray
from sa2va_plugin.errors import ColourError
from sa2va_plugin.jobspec import Shot

from sa2va_core.media import colour
from sa2va_core.media.clip import open_clip
from sa2va_core.media.colour import BUILT_IN, InputTransform, load_config
from sa2va_core.media.plate import ColourHint

from .plates import burn, movie, pictures, write

ocio: Any = PyOpenColorIO
RNG = np.random.default_rng(11)
ACES_VIEW = "ACES 2.0 - SDR 100 nits (Rec.709)"


@pytest.fixture(autouse=True)
def _no_config_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)


def photo() -> NDArray[np.uint8]:
    """Smooth areas, edges, near-black and near-white, as sRGB codes."""
    y, x = np.mgrid[0:64, 0:96] / 64
    picture = np.stack([0.5 + 0.45 * np.sin(5 * x), 0.5 + 0.45 * np.cos(4 * y + x), 0.1 + 0.8 * x * y / 1.5], -1)
    picture[8:24, 8:24] = (0.95, 0.9, 0.2)
    picture[40:50, 30:60] = 0.02
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def converted(codes: NDArray[np.uint8], space: str) -> NDArray[np.float32]:
    """``codes`` (sRGB) in another space, by the plain processor."""
    config = ocio.Config.CreateFromFile(BUILT_IN)
    transform = ocio.DisplayViewTransform(
        src=space, display="sRGB - Display", view="Un-tone-mapped", direction=ocio.TRANSFORM_DIR_INVERSE
    )
    values = (codes / 255).astype(np.float32)
    config.getProcessor(transform).getDefaultCPUProcessor().applyRGB(values)
    return values


def test_one_picture_stored_in_every_way(tmp_path: Path) -> None:
    codes = photo()
    log = "ARRI LogC3 (EI800)"
    stored = {
        "png": (write(tmp_path / "a.png", codes, "uint8"), ""),
        "png 16": (write(tmp_path / "a16.png", codes.astype(np.float32) / 255, "uint16"), ""),
        "tif": (write(tmp_path / "a.tif", codes, "uint8"), ""),
        "ACEScg exr": (write(tmp_path / "cg.exr", converted(codes, "ACEScg")), "ACEScg"),
        "LogC3 exr": (write(tmp_path / "log.exr", converted(codes, log)), "logc3ei800_alexawide"),
        "LogC3 dpx": (write(tmp_path / "log.dpx", converted(codes, log), "uint16", oiio__BitsPerSample=10), log),
        "linear exr": (write(tmp_path / "lin.exr", converted(codes, "lin_rec709_scene")), "Linear Rec.709"),
        "LogC4 tif": (write(tmp_path / "c4.tif", converted(codes, "ARRI LogC4"), "uint16"), "ARRI LogC4"),
        "P3 png": (write(tmp_path / "p3.png", converted(codes, "Display P3 - Display"), "uint16"), "displayp3_display"),
    }
    for name, (path, space) in stored.items():
        error = np.abs(next(iter(pictures(path, colour_space=space).values())).astype(int) - codes)
        if "dpx" in name:
            # 10 bits of log: a step is up to 4 sRGB codes where a channel is dark and another bright.
            assert error.mean() < 0.3
            assert np.percentile(error, 99) <= 2
            assert error.max() <= 4
        else:
            assert error.max() <= 1, name
            assert error.mean() < 0.1, name


@pytest.mark.parametrize("space", ["sRGB - Display", "sRGB - Texture", "Rec.1886 Rec.709 - Display", "sRGB", "rec709"])
def test_what_a_screen_shows_passes_unchanged(space: str) -> None:
    config = load_config("")
    transform = InputTransform(config, config.space(space), Shot("x"))
    assert transform.passes_through
    codes = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    assert np.array_equal(transform.apply(codes), codes)
    for stored in (codes.astype(np.uint16) * 257, (codes / 255).astype(np.float32), (codes / 255).astype(np.float16)):
        assert np.array_equal(transform.apply(stored), codes)
    every = np.arange(65536, dtype=np.uint16).repeat(3).reshape(256, 256, 3)
    assert np.array_equal(transform.apply(every), np.rint(every / 257))


def test_data_is_not_converted_and_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", np.full((4, 6, 3), 0.5, np.float32))
    with open_clip(Shot(str(path), colour_space="Raw")) as clip:
        assert clip.read(1).rgb[0, 0].tolist() == [128] * 3
        assert "not a colour" in clip.warnings[0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("space", ["ACEScg", "ARRI LogC3 (EI800)", "Raw"])
@pytest.mark.parametrize("view", ["", ACES_VIEW])
def test_numbers_that_are_none(dtype: type, space: str, view: str) -> None:
    values: NDArray[Any] = np.full((3, 4, 3), 0.18, dtype)
    values[0, 0] = (np.nan, 0.18, 0.18)
    values[0, 1] = np.inf
    values[0, 2] = -np.inf
    values[0, 3] = np.finfo(dtype).max
    before = values.copy()
    seen = InputTransform(load_config(""), space, Shot("x", display_view=view)).apply(values)
    assert np.array_equal(values, before, equal_nan=True)
    assert seen[0, 1].tolist() == seen[0, 3].tolist()
    assert seen[0, 1].min() > 250
    assert seen[0, 2].max() <= 1
    zeroed = values.copy()
    zeroed[0, 0, 0] = 0
    assert np.array_equal(InputTransform(load_config(""), space, Shot("x", display_view=view)).apply(zeroed), seen)
    assert np.ptp(seen[1:].reshape(-1, 3), axis=0).max() == 0


def plate_like(space: str) -> NDArray[np.float32]:
    """Exposures from -8 to +4 stops around each colour, moderately saturated, in ``space``."""
    linear = 0.18 * np.exp2(RNG.uniform(-6, 4, (128, 160, 1))) * RNG.uniform(0.6, 1.4, (128, 160, 3))
    values = np.ascontiguousarray(linear.astype(np.float32))
    config = ocio.Config.CreateFromFile(BUILT_IN)
    config.getProcessor("ACEScg", space).getDefaultCPUProcessor().applyRGB(values)
    return values


@pytest.mark.parametrize("space", ["ACEScg", "ARRI LogC3 (EI800)", "ARRI LogC4", "S-Log3 S-Gamut3.Cine"])
@pytest.mark.parametrize("view", ["", ACES_VIEW])
def test_error_against_the_exact_view(space: str, view: str) -> None:
    values = plate_like(space)
    config = load_config("")
    transform = InputTransform(config, space, Shot("x", display_view=view))
    exact = values.copy()
    ocio.Config.CreateFromFile(BUILT_IN).getProcessor(
        ocio.DisplayViewTransform(src=space, display=transform.display, view=transform.view)
    ).getDefaultCPUProcessor().applyRGB(exact)
    error = np.abs(transform.apply(values) - np.clip(exact, 0, 1) * 255)
    if view:
        # The documented bound of a baked table (lut.py), half a code of rounding included.
        assert error.mean() <= 0.3 + 0.25
        assert np.percentile(error, 99) <= 2.5
    else:
        assert error.max() <= 0.51


def test_the_default_view(tmp_path: Path) -> None:
    config = load_config("")
    transform = InputTransform(config, "ACEScg", Shot("x"))
    assert (transform.display, transform.view) == ("sRGB - Display", "Un-tone-mapped")
    chosen = InputTransform(
        config, "ACEScg", Shot("x", display="p3-d65 - display", display_view="aces 2.0 - sdr 100 nits (p3 d65)")
    )
    assert (chosen.display, chosen.view) == ("P3-D65 - Display", "ACES 2.0 - SDR 100 nits (P3 D65)")
    with pytest.raises(ColourError, match="no display 'Cinema'") as caught:
        InputTransform(config, "ACEScg", Shot("x", display="Cinema"))
    assert "sRGB - Display" in caught.value.hint
    with pytest.raises(ColourError, match="no view 'Filmic'") as caught:
        InputTransform(config, "ACEScg", Shot("x", display_view="Filmic"))
    assert ACES_VIEW in caught.value.hint
    path = write(tmp_path / "a.png", photo(), "uint8")
    with open_clip(Shot(str(path), display_view=ACES_VIEW)) as clip:
        assert any("view is not used" in warning for warning in clip.warnings)
        assert np.array_equal(clip.read(1).rgb, photo())


# Which space


def space_of(path: Path, **shot: Any) -> tuple[str, str, list[str]]:
    with open_clip(Shot(str(path), **shot)) as clip:
        doubts = [warning for warning in clip.warnings if "Name the colour space" in warning]
        return clip.facts.colour_space, clip.facts.colour_source, doubts


GREY = np.full((4, 6, 3), 0.2, np.float32)
REC709_PRIMARIES = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
AP1_PRIMARIES = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)


def test_the_job_then_metadata_then_the_rules_of_the_built_in_config(tmp_path: Path) -> None:
    tagged = write(tmp_path / "tagged.exr", GREY, chromaticities=("float[8]", AP1_PRIMARIES))
    assert space_of(tagged) == ("ACEScg", "metadata", [])
    assert space_of(tagged, colour_space="lin_rec709")[:2] == ("Linear Rec.709 (sRGB)", "job")
    # Blender writes linear Rec.709; the built-in rule that every EXR is ACES2065-1 would misread it.
    blender = write(tmp_path / "blender.exr", GREY, chromaticities=("float[8]", REC709_PRIMARIES))
    assert space_of(blender)[:2] == ("Linear Rec.709 (sRGB)", "metadata")
    named = write(tmp_path / "named.exr", GREY, colorInteropID="srgb_p3d65_scene")
    assert space_of(named)[:2] == ("sRGB Encoded P3-D65", "metadata")
    bare = write(tmp_path / "bare.exr", GREY)
    space, source, doubts = space_of(bare)
    assert (space, source, len(doubts)) == ("ACES2065-1", "file rules", 1)
    odd = write(tmp_path / "odd.exr", GREY, chromaticities=("float[8]", (0.7, 0.3, 0.2, 0.7, 0.1, 0.1, 0.3, 0.3)))
    assert "of no known space" in space_of(odd)[2][0]


def test_stills_and_movies_by_their_own_word(tmp_path: Path) -> None:
    assert space_of(write(tmp_path / "a.png", GREY, "uint8"))[:2] == ("sRGB Encoded Rec.709 (sRGB)", "metadata")
    assert space_of(write(tmp_path / "a.jpg", GREY, "uint8"))[2] == []
    # An untagged film scan or float picture may be anything, so the guess is said.
    for name, form in (("a.dpx", "uint16"), ("a.tif", "float")):
        assert len(space_of(write(tmp_path / name, GREY, form))[2]) == 1
    assert space_of(write(tmp_path / "b.tif", GREY, "uint8"))[1:] == ("file rules", [])
    linear = write(tmp_path / "lin.dpx", GREY, "uint16", oiio__ColorSpace="lin_rec709_scene")
    assert space_of(linear)[:2] == ("Linear Rec.709 (sRGB)", "metadata")
    for transfer, shown in (("Linear", "Linear Rec.709 (sRGB)"), ("ITU-R 709-4", "sRGB Encoded Rec.709 (sRGB)")):
        assert space_of(write(tmp_path / "t.dpx", GREY, "uint16", dpx__Transfer=transfer))[0] == shown
    scan = write(tmp_path / "scan.dpx", GREY, "uint16", dpx__Transfer="Printing density")
    assert space_of(scan)[:2] == ("ADX10", "metadata")
    log = write(tmp_path / "log.dpx", GREY, "uint16", oiio__ColorSpace="KodakLog")
    assert space_of(log)[:2] == ("ADX10", "metadata")
    assert "logarithmic" in space_of(log)[2][0]
    assert space_of(movie(tmp_path / "a.mp4", [burn(1)]))[1:] == ("file rules", [])


CUSTOM = """ocio_profile_version: 2
search_path: luts
roles: {default: raw, scene_linear: lin, data: raw}
file_rules:
  - !<Rule> {name: plates, colorspace: lin, pattern: "*_plate*", extension: exr}
  - !<Rule> {name: Default, colorspace: raw}
displays:
  Projector: [!<View> {name: Show, colorspace: p3ish}]
  My sRGB screen:
    - !<View> {name: Show, colorspace: shown}
    - !<View> {name: %s, colorspace: shown}
colorspaces:
  - !<ColorSpace> {name: raw, isdata: true}
  - !<ColorSpace> {name: lin, aliases: [lin_rec709_scene], encoding: scene-linear}
  - !<ColorSpace> {name: p3ish}
  - !<ColorSpace>
    name: shown
    from_scene_reference: !<ExponentWithLinearTransform> {gamma: 2.4, offset: 0.055, direction: inverse}
  - !<ColorSpace>
    name: broken
    to_scene_reference: !<FileTransform> {src: gone.cube}
"""


def test_a_studios_own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.ocio"
    config.write_text(CUSTOM % "Standard")
    plate = write(tmp_path / "sh10_plate.exr", GREY, chromaticities=("float[8]", AP1_PRIMARIES))
    # A rule that somebody wrote comes before what the file says.
    assert space_of(plate, ocio_config=str(config)) == ("lin", "file rules", [])
    other = write(tmp_path / "other.exr", GREY, chromaticities=("float[8]", REC709_PRIMARIES))
    assert space_of(other, ocio_config=str(config))[:2] == ("lin", "metadata")
    monkeypatch.setenv("OCIO", str(config))
    with open_clip(Shot(str(plate))) as clip:
        assert (clip.transform.display, clip.transform.view) == ("My sRGB screen", "Standard")
        assert clip.read(1).rgb[0, 0].tolist() == [124] * 3  # sRGB of 0.2
    assert space_of(plate, ocio_config=BUILT_IN)[0] == "ACEScg"
    config.write_text(CUSTOM % "Other")
    with open_clip(Shot(str(plate))) as clip:
        assert clip.transform.view == "Show"
    with pytest.raises(ColourError, match="no way from broken") as caught:
        open_clip(Shot(str(plate), colour_space="broken"))
    assert "gone.cube" in caught.value.message


def test_an_unknown_space_lists_the_spaces_closest_first(tmp_path: Path) -> None:
    path = write(tmp_path / "a.exr", GREY)
    with pytest.raises(ColourError, match="'ARRI LogC'") as caught:
        open_clip(Shot(str(path), colour_space="ARRI LogC"))
    listed = caught.value.hint.partition(": ")[2].split(", ")
    assert set(listed[:2]) == {"ARRI LogC3 (EI800)", "ARRI LogC4"}
    assert len(listed) == 55


def test_configs_that_do_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "config.ocio"
    broken.write_text("ocio_profile_version: 2\ncolorspaces: [1, 2")
    with pytest.raises(ColourError, match="config does not load"):
        load_config(str(broken))
    with pytest.raises(ColourError, match="does not load"):
        load_config("ocio://no-such-config")
    monkeypatch.setenv("OCIO", str(tmp_path / "gone.ocio"))
    with pytest.raises(ColourError, match=r"no OCIO config: .*gone"):
        load_config("")
    monkeypatch.setenv("OCIO", BUILT_IN)
    assert load_config("").generic


def test_the_built_in_config_is_pinned() -> None:
    # ocio://default is another config in every release; $OCIO unset gives a raw one.
    config = load_config("")
    assert config.label == "ocio://studio-config-v4.0.0_aces-v2.0_ocio-v2.5"
    assert len(list(config.config.getColorSpaceNames())) == 55


def test_host_words_that_the_config_does_not_know() -> None:
    config = load_config("")
    assert config.find("linear") == config.find("Linear Rec.709") == "Linear Rec.709 (sRGB)"
    assert config.find("Non-Color") == "Raw"
    assert config.find("scene_linear") == "ACEScg"
    assert config.find("AlexaV3LogC") is None


def test_a_hint_the_config_does_not_know_falls_to_the_rules() -> None:
    space = load_config("").plate_space("", Path("a.dpx"), ColourHint(("Panalog",), "Panalog"), 10)
    assert (space.name, space.source) == ("sRGB - Display", "file rules")
    assert "Panalog, which the OCIO config does not know" in space.warnings[0]


def test_finite_values_are_not_copied() -> None:
    for dtype in (np.float16, np.float32):
        values = RNG.normal(0, 100, (8, 8, 3)).astype(dtype)
        assert colour._within(values, 65504.0) is values
