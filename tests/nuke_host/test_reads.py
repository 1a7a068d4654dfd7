"""A Read's knobs to the shot of a job, without any Nuke."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sa2va_nuke.reads import Colour, NeedsRender, ReadFacts, colour_name, rendered, shot
from sa2va_plugin.errors import MediaError

READ = ReadFacts("/plates/sh.%04d.exr", first=1001, last=1010, shown_first=1001, colour_space="linear")
OCIO = Colour(True, "/show/config.ocio", "ACES - ACEScg")


def test_a_plain_read_is_passed_by_path_with_its_own_numbers() -> None:
    made = shot(READ, Colour(), 1002, 1005)
    assert (made.path, made.range, made.frames, made.output_first) == (READ.path, (1002, 1005), None, None)
    assert (made.missing, made.view, made.colour_space, made.ocio_config) == ("error", "", "linear", "")


@pytest.mark.parametrize(
    ("mode", "text", "shown_first", "comp", "plate"),
    [("start at", "1", 1, (1, 3), (1001, 1003)), ("offset", "-1000", 1, (2, 4), (1002, 1004))],
)
def test_a_moved_clip_keeps_comp_numbers_for_its_results(
    mode: str, text: str, shown_first: int, comp: tuple[int, int], plate: tuple[int, int]
) -> None:
    read = replace(READ, frame_mode=mode, frame=text, shown_first=shown_first)
    made = shot(read, Colour(), *comp)
    assert (made.range, made.output_first) == (plate, comp[0])


def test_where_nuke_and_we_differ_about_a_move_nuke_renders() -> None:
    """Were the sign of an offset the other way round than we believe, mattes would be of the wrong frames."""
    read = replace(READ, frame_mode="offset", frame="-1000", shown_first=2001)
    with pytest.raises(NeedsRender, match="moved"):
        shot(read, Colour(), 1, 3)


@pytest.mark.parametrize("text", ["frame*2", "frame+100", "[value x]", "1.5"])
def test_expressions_on_frames_are_rendered(text: str) -> None:
    for mode in ("expression", "start at"):
        with pytest.raises(NeedsRender, match="expression"):
            shot(replace(READ, frame_mode=mode, frame=text), Colour(), 1001, 1003)


@pytest.mark.parametrize(
    ("before", "after", "frames"),
    [
        ("hold", "hold", (1001, 1001, 1001, 1002, 1003, 1003, 1003)),
        ("loop", "loop", (1002, 1003, 1001, 1002, 1003, 1001, 1002)),
        ("bounce", "bounce", (1003, 1002, 1001, 1002, 1003, 1002, 1001)),
    ],
)
def test_frames_outside_the_clip_are_those_that_nuke_shows(before: str, after: str, frames: tuple[int, ...]) -> None:
    made = shot(replace(READ, last=1003, before=before, after=after), Colour(), 999, 1005)
    assert (made.frames, made.output_first, made.range) == (frames, 999, None)


def test_black_outside_the_clip_needs_no_matte() -> None:
    made = shot(replace(READ, last=1003, before="black", after="black"), Colour(), 990, 1020)
    assert (made.range, made.output_first) == ((1001, 1003), None)
    with pytest.raises(MediaError, match="nothing on the frames 1-5"):
        shot(replace(READ, before="black"), Colour(), 1, 5)


@pytest.mark.parametrize(
    ("on_error", "missing"),
    [("error", "error"), ("black", "skip"), ("checkerboard", "skip"), ("nearest frame", "hold")],
)
def test_missing_frames_follow_the_reads_policy(on_error: str, missing: str) -> None:
    assert shot(replace(READ, on_error=on_error), Colour(), 1001, 1002).missing == missing


def test_an_unknown_policy_is_rendered() -> None:
    with pytest.raises(NeedsRender, match="missing frames"):
        shot(replace(READ, on_error="interpolate"), Colour(), 1001, 1002)


@pytest.mark.parametrize(
    ("knob", "space"),
    [("default (sRGB)", "sRGB"), ("sRGB", "sRGB"), ("rec709", "rec709"), ("linear", "linear"), ("default", "linear")],
)
def test_nukes_own_curves_that_the_worker_knows(knob: str, space: str) -> None:
    assert shot(replace(READ, colour_space=knob), Colour(), 1001, 1002).colour_space == space


@pytest.mark.parametrize("knob", ["AlexaV3LogC", "Cineon", "default (Panalog)", "Gamma1.8"])
def test_curves_that_only_nuke_knows_are_rendered(knob: str) -> None:
    with pytest.raises(NeedsRender, match="colour space"):
        shot(replace(READ, colour_space=knob), Colour(), 1001, 1002)


def test_default_of_a_log_or_mixed_file_is_rendered() -> None:
    for path in ("a.%04d.dpx", "a.mov"):
        with pytest.raises(NeedsRender, match="default"):
            shot(replace(READ, path=path, colour_space="default"), Colour(), 1001, 1002)
    png = replace(READ, path="a.%04d.png", colour_space="default")
    assert shot(png, Colour(), 1001, 1002).colour_space == "sRGB"
    with pytest.raises(NeedsRender, match="default"):
        shot(png, Colour(int16="linear"), 1001, 1002)


def test_ocio_names_go_to_the_worker_with_the_scripts_configuration() -> None:
    made = shot(replace(READ, colour_space="default (ACES - ACEScct)"), OCIO, 1001, 1002)
    assert (made.colour_space, made.ocio_config) == ("ACES - ACEScct", "/show/config.ocio")
    with pytest.raises(NeedsRender):
        shot(replace(READ, colour_space="default"), OCIO, 1001, 1002)


def test_a_raw_read_is_in_the_working_space() -> None:
    assert shot(replace(READ, raw=True), OCIO, 1001, 1002).colour_space == "ACES - ACEScg"
    assert shot(replace(READ, raw=True), Colour(), 1001, 1002).colour_space == "linear"


def test_the_users_colour_space_wins() -> None:
    assert shot(replace(READ, colour_space="AlexaV3LogC"), OCIO, 1001, 1002, override="LogC").colour_space == "LogC"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ACES - ACEScg", "ACES - ACEScg"),
        ("ACEScg\tACES/ACEScg,role", "ACEScg"),
        ("default (Input - ARRI - V3 LogC (EI800))", "Input - ARRI - V3 LogC (EI800)"),
        ("Input - ARRI - V3 LogC (EI800)", "Input - ARRI - V3 LogC (EI800)"),
        ("scene_linear (ACES - ACEScg)", "ACES - ACEScg"),
        ("default (matte_paint (Utility - sRGB - Texture))", "Utility - sRGB - Texture"),
        ("scene_linear", "scene_linear"),
        (" ", ""),
    ],
)
def test_colour_knobs_carry_more_than_a_name(text: str, name: str) -> None:
    assert colour_name(text) == name


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        (r"\\server\share\sh.%04d.exr", "//server/share/sh.%04d.exr"),
        ("//server/share/sh.####.exr", "//server/share/sh.####.exr"),
        (r"P:\show\sh.%04d.exr", "P:/show/sh.%04d.exr"),
    ],
)
def test_unc_and_windows_paths(typed: str, path: str) -> None:
    assert shot(replace(READ, path=typed), Colour(), 1001, 1002).path == path


def test_views_are_left_in_the_path_and_named() -> None:
    assert shot(replace(READ, path="/p/%V/sh.%04d.exr"), Colour(), 1001, 1002, "left").view == "left"
    assert shot(READ, Colour(), 1001, 1002, "left").view == ""


@pytest.mark.parametrize("part", ["%{shot}", "%shot", "%{set.shot}", "%version", "%_x"])
def test_a_variable_that_nuke_left_in_the_path_is_rendered(part: str) -> None:
    """Graph scope variables of Nuke 16 and later; %version is a view to older ones."""
    with pytest.raises(NeedsRender, match="variable"):
        shot(replace(READ, path=f"/p/{part}/sh.%04d.exr"), Colour(), 1001, 1002)


@pytest.mark.parametrize("path", ["/p/%V/sh.%04d.exr", "/p/sh_%v.%d.exr", "/p%20a/sh.%04d.exr", "/p/sh.####.exr"])
def test_frame_numbers_views_and_odd_names_are_no_variables(path: str) -> None:
    assert shot(replace(READ, path=path), Colour(), 1001, 1002, "left").path == path


def test_a_movie_counts_from_one_and_a_single_picture_is_rendered() -> None:
    movie = ReadFacts("/p/a.mov", 1, 50, 1, colour_space="rec709")
    assert shot(movie, Colour(), 1, 50).range == (1, 50)
    with pytest.raises(NeedsRender, match="single"):
        shot(replace(READ, path="/p/still.exr"), Colour(), 1001, 1002)


def test_a_read_without_a_file() -> None:
    with pytest.raises(MediaError, match="no file"):
        shot(replace(READ, path=""), Colour(), 1001, 1002)


def test_rendered_frames_are_in_the_working_space() -> None:
    made = rendered("/out/plate/plate.####.exr", OCIO, 5, 9)
    assert (made.range, made.colour_space, made.ocio_config) == ((5, 9), "ACES - ACEScg", "/show/config.ocio")
    assert rendered("/out/p.####.exr", Colour(), 5, 9).colour_space == "linear"
