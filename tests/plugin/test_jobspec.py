"""The one job object: strict, versioned, hashing, and described by a schema that agrees with it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sa2va_plugin.errors import JobSpecError
from sa2va_plugin.jobspec import (
    FORMATS,
    MISSING_POLICIES,
    VERSION,
    Box,
    EngineSpec,
    JobSpec,
    MaskPin,
    MatteSettings,
    ObjectSpec,
    Outputs,
    Point,
    Shot,
    json_schema,
)
from sa2va_plugin.naming import layer_name

JOB = JobSpec(
    shot=Shot("plates/sh010.####.exr", range=(1001, 1100), fps=23.976),
    objects=(
        ObjectSpec("man", "the man on the left", points=(Point(1001, 10.5, 20.0),)),
        ObjectSpec("bag", "the bag", negative_phrases=("the strap",), masks=(MaskPin(1010, "pin.png"),)),
    ),
    outputs=Outputs("out"),
)

text = st.text(max_size=12)
words = st.text(min_size=1, max_size=12).filter(str.strip)
#: No disk takes a zero in a name, and a job with one is refused.
folders = words.filter(lambda word: "\0" not in word)
frames = st.integers(-10_000, 10_000_000)
number = st.floats(allow_nan=False, allow_infinity=False, width=32)
ranges = st.tuples(frames, st.integers(0, 500)).map(lambda pair: (pair[0], pair[0] + pair[1]))
points = st.builds(Point, frames, number, number, st.booleans())
boxes = st.builds(Box, frames, number, number, number, number)
objects = st.builds(
    ObjectSpec,
    words,
    words,
    negative_phrases=st.lists(text, max_size=2).map(tuple),
    points=st.lists(points, max_size=2).map(tuple),
    boxes=st.lists(boxes, max_size=2).map(tuple),
    masks=st.lists(st.builds(MaskPin, frames, text), max_size=2).map(tuple),
)
shots = st.builds(
    Shot,
    words,
    range=st.none() | ranges,
    frames=st.none() | st.sets(frames, min_size=1, max_size=5).map(lambda found: tuple(sorted(found))),
    output_first=st.none() | frames,
    movie_first=frames,
    fps=st.none() | st.floats(0.5, 240),
    missing=st.sampled_from(MISSING_POLICIES),
    view=text,
    colour_space=text,
)
jobs = st.builds(
    JobSpec,
    shots,
    st.lists(objects, min_size=1, max_size=3, unique_by=lambda item: layer_name(item.name).lower()).map(tuple),
    # What is of EXR files goes with EXR files alone.
    st.builds(Outputs, folders, st.sampled_from(FORMATS), cryptomatte=st.booleans(), plate_name=text)
    | st.builds(Outputs, folders, crop=st.booleans(), rgb=st.sampled_from(["none", "plate"]), plate_name=text),
    st.builds(EngineSpec, text, vram_gib=st.none() | st.floats(0, 200), mode=st.sampled_from(["default", "compat"])),
    st.builds(MatteSettings, st.booleans()),
)


@given(jobs)
@settings(max_examples=60)
def test_every_job_survives_json_and_fits_the_schema(job: JobSpec) -> None:
    again = JobSpec.from_json(job.to_json())
    assert again == job
    assert again.hash() == job.hash()
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(job.to_json()))


def test_the_schema_is_a_schema_and_names_every_field() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(schema["properties"]) == ["version", "shot", "objects", "outputs", "engine", "matte"]
    assert schema["properties"]["outputs"]["properties"]["format"]["enum"] == list(FORMATS)
    assert schema["properties"]["shot"]["properties"]["colour_space"]["description"]


def test_the_schema_describes_in_plain_words() -> None:
    """What editors show beside a field: no markup of docstrings."""

    def described(value: Any) -> list[str]:
        if isinstance(value, list):
            return [text for item in value for text in described(item)]
        if not isinstance(value, dict):
            return []
        own = [value["description"]] if isinstance(value.get("description"), str) else []
        return own + [text for item in value.values() for text in described(item)]

    texts = described(json_schema())
    assert len(texts) > 40
    assert not [text for text in texts if re.search(r":\w+:`|``|^$|\n", text) or not text.endswith(".")]


def test_a_short_job_takes_the_defaults() -> None:
    data = {
        "version": 1,
        "shot": {"path": "a.mp4"},
        "objects": [{"name": "man", "phrase": "the man"}],
        "outputs": {"folder": "out"},
    }
    jsonschema.validate(data, json_schema())
    job = JobSpec.from_dict(data)
    assert job.engine == EngineSpec("starter")
    assert job.outputs.format == "exr"
    assert job.shot.range is None


def test_the_hash_survives_json_whatever_kind_of_number_was_given() -> None:
    spec = replace(JOB, shot=replace(JOB.shot, fps=24))
    assert (
        spec.hash()
        == JobSpec.from_json(spec.to_json()).hash()
        == replace(spec, shot=replace(spec.shot, fps=24.0)).hash()
    )


# A hash that changes from one release to the next makes every half-finished job start over: never by accident.
def test_the_hash_is_the_same_on_every_machine_and_forgets_the_folder_alone() -> None:
    assert JOB.hash() == "08e997a1c8760393824171cea1462b98050aef0240aba1c2075fb0cadf0e0e63"
    assert replace(JOB, outputs=replace(JOB.outputs, folder="elsewhere")).hash() == JOB.hash()
    for other in (
        replace(JOB, shot=replace(JOB.shot, range=(1001, 1101))),
        replace(JOB, objects=JOB.objects[::-1]),
        replace(JOB, objects=(replace(JOB.objects[0], phrase="the man on the right"), JOB.objects[1])),
        replace(JOB, engine=EngineSpec("sa2va")),
        replace(JOB, matte=MatteSettings(refine=False)),
        replace(JOB, matte=MatteSettings(second_look=True)),
        replace(JOB, outputs=replace(JOB.outputs, format="png")),
    ):
        assert other.hash() != JOB.hash()


@pytest.mark.parametrize("version", [VERSION + 1, 99])
def test_a_newer_job_is_refused_with_both_versions(version: int) -> None:
    with pytest.raises(JobSpecError) as caught:
        JobSpec.from_dict({**JOB.to_dict(), "version": version, "shape_of_tomorrow": {}})
    assert f"of version {version}" in caught.value.message
    assert f"up to {VERSION}" in caught.value.message
    assert "Update" in caught.value.hint


@pytest.mark.parametrize("version", [None, 0, -1, "1", 1.0, True])
def test_a_job_without_a_proper_version_is_refused(version: Any) -> None:
    with pytest.raises(JobSpecError, match="version"):
        JobSpec.from_dict({**JOB.to_dict(), "version": version})


def _with(path: str, value: Any) -> dict[str, Any]:
    data: Any = JOB.to_dict()
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place = data
    for part in parents:
        place = place[part]
    place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("shot", [], "shot must be an object"),
        ("shot/path", 7, "shot.path must be text, not 7"),
        ("shot/range", "1-2", "shot.range must be a list"),
        ("shot/range", [1, 2, 3], "shot.range must be a list of 2"),
        ("shot/range", [1, "2"], "shot.range[1] must be a whole number, not '2'"),
        ("shot/range", [True, 2], "shot.range[0] must be a whole number"),
        ("shot/frames", [1, 2.5], "shot.frames[1] must be a whole number"),
        ("shot/fps", "24", "shot.fps must be a number"),
        ("shot/missing", "ignore", "shot.missing must be one of error, hold, skip"),
        ("objects", {}, "objects must be a list"),
        ("objects/0", "the man", "objects[0] must be an object"),
        ("objects/1/masks/0/frame", None, "objects[1].masks[0].frame must be a whole number"),
        ("objects/0/points/0/positive", 1, "objects[0].points[0].positive must be true or false"),
        ("outputs/format", "EXR", "outputs.format must be one of exr"),
        ("outputs/folder", None, "outputs.folder must be text"),
        ("engine/vram_gib", "8", "engine.vram_gib must be a number"),
        ("matte/refine", "yes", "matte.refine must be true or false"),
        ("matte/feather", 3, "no field matte.feather"),
        ("objects/1/colour", "red", "no field objects[1].colour"),
        ("shot/path", "x" * 500, ""),
    ],
)
def test_a_wrong_type_names_its_path(path: str, value: Any, said: str) -> None:
    data = _with(path, value)
    if not said:
        assert JobSpec.from_dict(data).shot.path == value
        return
    with pytest.raises(JobSpecError) as caught:
        JobSpec.from_dict(data)
    assert said in caught.value.message
    assert caught.value.hint
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(data), "the schema would let it pass"


@pytest.mark.parametrize("name", ["blur_band", "fill_holes", "drop_specks", "grow", "softness"])
@pytest.mark.parametrize("value", [-501.0, -0.5, 501.0, float("nan"), float("inf")])
def test_matte_sizes_out_of_range_are_refused(name: str, value: float) -> None:
    if name == "grow" and value == -0.5:
        assert replace(JOB, matte=MatteSettings(grow=value)).matte.grow == value
        return
    with pytest.raises(JobSpecError, match=f"matte.{name}") as caught:
        replace(JOB, matte=replace(MatteSettings(), **{name: value}))
    assert caught.value.hint


def test_a_missing_field_is_named() -> None:
    data = JOB.to_dict()
    del data["objects"][1]["phrase"]
    with pytest.raises(JobSpecError, match=r"lacks the field objects\[1\]\.phrase"):
        JobSpec.from_dict(data)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"job"', "{]", "\x00", "[" * 100_000, b"\xff\xfe"])
def test_what_is_no_json_object_is_refused_in_words(content: Any) -> None:
    with pytest.raises(JobSpecError) as caught:
        JobSpec.from_json(content)
    assert caught.value.hint


def test_two_objects_of_one_name_or_one_layer_are_refused() -> None:
    for first, second in (("man", "man"), ("The man", "The_man"), ("bag 2", "bag-2"), ("Man", "man")):
        with pytest.raises(JobSpecError) as caught:
            replace(JOB, objects=(ObjectSpec(first, "a"), ObjectSpec(second, "b")))
        assert repr(first) in caught.value.message
        assert repr(second) in caught.value.message
        assert "own name" in caught.value.hint


@pytest.mark.parametrize("name", ["left man", "名前", "Zoë's bag", "42", "alpha", "../../etc", 'a"b', "x" * 300])
def test_odd_names_are_kept_as_typed_and_get_a_layer(name: str) -> None:
    job = replace(JOB, objects=(ObjectSpec(name, "the man"),))
    assert JobSpec.from_json(job.to_json()).objects[0].name == name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"objects": ()}, "names no object"),
        ({"objects": (ObjectSpec("man", ""),)}, "phrase of 'man' is empty"),
        ({"objects": (ObjectSpec("man", " \t\n"),)}, "phrase of 'man' is empty"),
        ({"objects": (ObjectSpec("Zo\udceb", "the girl"),)}, r"'Zo\udceb' is no text"),
        ({"objects": (ObjectSpec("girl", "the girl", ("\ud83d",)),)}, r"'\ud83d' is no text"),
        ({"objects": (ObjectSpec("  ", "the man"),)}, "has no name"),
        ({"outputs": Outputs("")}, "no output folder"),
        ({"outputs": Outputs("a\0b")}, "no output folder"),
        ({"outputs": Outputs("out", "png", rgb="plate")}, "outputs.rgb (--rgb) is of EXR files"),
        ({"outputs": Outputs("out", "prores", rgb="matte", cryptomatte=True)}, "outputs.rgb (--rgb)"),
        ({"outputs": Outputs("out", "tiff", crop=True)}, "outputs.crop (--crop)"),
        ({"outputs": Outputs("out", "png", compression="zips")}, "outputs.compression (--compression)"),
        ({"outputs": Outputs("out", "png", per_object=True)}, "outputs.per_object (--per-object)"),
        ({"matte": MatteSettings(grow=float("nan"))}, "matte.grow (--grow) is nan"),
        ({"matte": MatteSettings(drop_specks=-1.0)}, "matte.drop_specks (--drop-specks) is -1.0"),
        ({"matte": MatteSettings(refine=False, blur_band=8.0)}, "matte.blur_band (--blur-band) is of edges"),
        ({"shot": Shot("")}, "names no plate"),
        ({"shot": Shot("a", range=(10, 1))}, "ends before it starts"),
        ({"shot": Shot("a", frames=())}, "list of frames is empty"),
        ({"shot": Shot("a", frames=(3, 2, 1))}, "results need numbers of their own"),
        ({"shot": Shot("a", frames=(1, 1))}, "results need numbers of their own"),
        ({"shot": Shot("a", fps=0.0)}, "not a frame rate"),
        ({"shot": Shot("a", fps=0.0001)}, "not a frame rate"),
        ({"shot": Shot("a", fps=1e9)}, "not a frame rate"),
        ({"shot": Shot("a", range=(1, 10**9))}, "1000000000 is not a frame number"),
        ({"shot": Shot("a", frames=(-(10**12),))}, "-1000000000000 is not a frame number"),
        ({"shot": Shot("a", movie_first=2**31)}, "2147483648 is not a frame number"),
        ({"shot": Shot("a", output_first=2**31)}, "2147483648 is not a frame number"),
        ({"shot": Shot("caf\udce9.mov")}, "not UTF-8 text"),
        ({"outputs": Outputs("\udce9")}, "not UTF-8 text"),
        ({"shot": Shot("a", fps=float("nan"))}, "not a frame rate"),
        ({"shot": Shot("a", fps=float("inf"))}, "not a frame rate"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(JobSpecError) as caught:
        replace(JOB, **change)
    assert said in caught.value.message
    assert caught.value.hint


def test_a_cryptomatte_is_an_exr_whatever_the_mattes_are() -> None:
    outputs = Outputs("out", "png", crop=True, compression="zips", cryptomatte=True)
    assert JobSpec.from_json(replace(JOB, outputs=outputs).to_json()).outputs == outputs


def test_an_object_without_a_phrase_may_be_pointed_at() -> None:
    pointed = ObjectSpec("man", "", points=(Point(1, 5.5, 6.5),))
    assert replace(JOB, objects=(pointed,)).objects[0].points[0].positive
    assert replace(JOB, shot=Shot("a", frames=(3, 2, 2), output_first=1)).shot.frames == (3, 2, 2)
