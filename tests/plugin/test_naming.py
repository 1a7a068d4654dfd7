"""Layer names that every reader takes, and file patterns in every spelling."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sa2va_plugin import naming
from sa2va_plugin.naming import (
    MAX_LAYER_LENGTH,
    RESERVED_LAYERS,
    FramePattern,
    layer_name,
    matte_pattern,
    name_from_phrase,
    split_object,
)


@given(st.text())
def test_any_text_gives_a_layer_that_nuke_takes(name: str) -> None:
    layer = layer_name(name)
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", layer)
    assert layer.lower() not in RESERVED_LAYERS
    assert len(layer) <= MAX_LAYER_LENGTH
    assert layer_name(name) == layer


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("man", "man"),
        ("The Man", "The_Man"),
        ("man's hat!", "man_s_hat"),
        ("über größe", "uber_grosse"),
        ("42", "_42"),
        ("Alpha", "Alpha_"),
        ("depth", "depth_"),
        ("Ci", "Ci_"),
        ("disparityL", "disparityL_"),
        ("a/b\\c:d", "a_b_c_d"),
        ("..", "object_2e_2e"),
        ("__x__", "x"),
        ("x" * 60, "x" * 40),
        ("4" * 60, "_" + "4" * 39),
        ("\U0001f600" * 6, "object_" + "1f600_" * 5 + "1f6"),
    ],
)
def test_layers_of_odd_names(name: str, layer: str) -> None:
    assert layer_name(name) == layer


def test_names_in_other_scripts_stay_apart() -> None:
    names = ["人", "球", "человек", "мяч", "😀"]
    assert len({layer_name(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("the man on the left", "man_on_the_left"),
        ("a ball", "ball"),
        ("all the people", "people"),
        ("each of the riders", "riders"),
        ("the", "the"),
        ("theatre", "theatre"),
        ("  The   red  car ", "red_car"),
    ],
)
def test_a_phrase_gives_a_short_name(phrase: str, name: str) -> None:
    assert name_from_phrase(phrase) == name


def test_an_object_is_a_phrase_or_a_name_and_a_phrase() -> None:
    assert split_object("the man") == (None, "the man")
    assert split_object(" left = the man on the left ") == ("left", "the man on the left")
    assert split_object("sum=a=b") == ("sum", "a=b")
    assert split_object("=the man") == ("", "the man")
    assert split_object("man=") == ("man", "")


@pytest.mark.parametrize(
    ("path", "frame", "file"),
    [
        ("sh010.####.exr", 1001, "sh010.1001.exr"),
        ("sh010.#.exr", 7, "sh010.7.exr"),
        ("sh010.######.exr", 7, "sh010.000007.exr"),
        ("sh010.%04d.exr", 7, "sh010.0007.exr"),
        ("sh010.%d.exr", 1001, "sh010.1001.exr"),
        ("sh010.%010d.exr", 7, "sh010.0000000007.exr"),
        ("sh010.<f>.exr", 7, "sh010.0007.exr"),
        ("sh010.<f6>.exr", 7, "sh010.000007.exr"),
        ("sh010.####.exr", 123456, "sh010.123456.exr"),
        ("sh010.####.exr", -5, "sh010.-0005.exr"),
        ("take#3/sh.####.exr", 7, "take#3/sh.0007.exr"),
        ("%V/sh.%V.%04d.exr", 7, "%V/sh.%V.0007.exr"),
    ],
)
def test_every_spelling_of_a_pattern(path: str, frame: int, file: str) -> None:
    pattern = FramePattern.parse(path)
    assert pattern is not None
    assert pattern.path(frame) == file
    again = FramePattern.parse(str(pattern))
    assert again is not None
    assert again.path(frame) == file


@pytest.mark.parametrize("path", ["movie.mp4", "plate.1001.exr", "50%.png", "a<b>.exr", ""])
def test_what_is_no_pattern(path: str) -> None:
    assert FramePattern.parse(path) is None


def test_result_files_have_one_place_each() -> None:
    assert matte_pattern("sh010", "exr").path(1001) == "mattes/sh010_mattes.1001.exr"
    assert matte_pattern("sh010", "png", "man").path(7) == "mattes/man/sh010_man.0007.png"
    assert str(matte_pattern("sh010", "exr")) == "mattes/sh010_mattes.####.exr"


def test_the_examples_in_the_documentation_are_true() -> None:
    assert doctest.testmod(naming).failed == 0
