"""What the command line makes of its arguments, and what it says of bad ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sa2va_plugin.jobspec import JobSpec, MatteSettings

from sa2va_core.cli import main, matte
from sa2va_core.media.colour import BUILT_IN


def job_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> JobSpec:
    assert main(["matte", *arguments, "--print-job"]) == 0
    return JobSpec.from_json(capsys.readouterr().out)


def test_phrases_names_and_options_reach_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    spec = job_of(
        capsys,
        *("sh010.####.exr", "the man on the left", "ball=the white ball", "-o", "out", "--range", "1001-1100"),
        *("--colour-space", "ACEScg", "--format", "png", "--missing", "hold", "--stereo-view", "left", "--fps", "25"),
        *("--first-frame", "7", "--output-first", "1", "--no-refine"),
    )
    assert [(item.name, item.phrase) for item in spec.objects] == [
        ("man_on_the_left", "the man on the left"),
        ("ball", "the white ball"),
    ]
    shot = spec.shot
    assert (shot.path, shot.range, shot.colour_space, shot.missing) == (
        "sh010.####.exr",
        (1001, 1100),
        "ACEScg",
        "hold",
    )
    assert (shot.view, shot.fps, shot.movie_first, shot.output_first) == ("left", 25.0, 7, 1)
    assert (spec.outputs.folder, spec.outputs.format, spec.matte.refine) == ("out", "png", False)
    assert spec.engine.name == "starter"


def test_matte_options_reach_the_job(capsys: pytest.CaptureFixture[str]) -> None:
    spec = job_of(
        capsys,
        *("a.mov", "the man", "-o", "out", "--no-steady", "--grow", "-1.5", "--softness", "2", "--fill-holes", "9"),
        *("--drop-specks", "7", "--blur-band", "20", "--rgb", "foreground", "--second-look", "--engine", "sa2va"),
    )
    assert spec.matte == MatteSettings(
        steady=False, grow=-1.5, softness=2.0, fill_holes=9.0, drop_specks=7.0, blur_band=20.0, second_look=True
    )
    assert spec.outputs.rgb == "foreground"
    assert job_of(capsys, "a.mov", "the man", "-o", "out").matte == MatteSettings()


@pytest.mark.parametrize(
    ("text", "expected"), [("5", (5, 5)), ("1-10", (1, 10)), ("-10--2", (-10, -2)), ("-5-5", (-5, 5))]
)
def test_ranges(capsys: pytest.CaptureFixture[str], text: str, expected: tuple[int, int]) -> None:
    assert job_of(capsys, "a.mov", "the man", "-o", "out", f"--range={text}").shot.range == expected
    assert job_of(capsys, "a.mov", "the man", "-o", "out", "--range", text).shot.range == expected


def test_negative_phrases_go_to_the_object_that_is_named_or_to_all(capsys: pytest.CaptureFixture[str]) -> None:
    spec = job_of(
        capsys,
        *("a.mov", "the man", "dog=the dog", "-o", "out", "--per-object"),
        *("--negative", "man=the ball", "--negative", "the car"),
    )
    assert [item.negative_phrases for item in spec.objects] == [("the ball", "the car"), ("the car",)]
    assert spec.outputs.per_object


def test_help_is_short_of_usage_and_sorted_by_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["matte", "--help"])
    text = capsys.readouterr().out
    titles = ("usage: sa2va matte SHOT", "the plate:", "results:", "edges, in plate pixels:", "the engine:", "how it")
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    with pytest.raises(SystemExit):
        main(["matte", "a.mov", "the man", "-o", "out", "--fail-under", "most"])
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 3
    assert told.endswith("most is not a number from 0 to 1\n")


def test_a_printed_job_runs_as_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    spec = job_of(capsys, "a.mov", "the man", "-o", "out")
    path = tmp_path / "job.json"
    path.write_text(spec.to_json())
    assert job_of(capsys, str(path)) == spec
    assert job_of(capsys, str(path), "-o", "elsewhere").outputs.folder == "elsewhere"
    assert main(["matte", str(path), "--range", "1-5", "--no-refine", "--format", "png"]) == 1
    assert "these do nothing: --range, --format, --no-refine." in capsys.readouterr().err


BAD = {
    "no folder": (["a.mov", "the man"], "-o DIR"),
    "no phrase": (["a.mov", "-o", "out"], "phrase"),
    "an empty phrase": (["a.mov", "", "-o", "out"], "empty"),
    "a name without a phrase": (["a.mov", "man=", "-o", "out"], "empty"),
    "one name twice": (["a.mov", "man=the man", "Man =the ball", "man=the dog", "-o", "out"], "share the layer"),
    "nothing left out": (["a.mov", "the man", "-o", "out", "--negative", "man="], "negative phrase"),
    "left out of nothing": (["a.mov", "the man", "-o", "out", "--negative", "boy=the ball"], "no object 'boy'"),
    "a range backwards": (["a.mov", "the man", "-o", "out", "--range", "20-10"], "10-20"),
    "no range at all": (["a.mov", "the man", "-o", "out", "--range", "first"], "1001-1100"),
    "RGB without EXR": (["a.mov", "the man", "-o", "out", "--format", "png", "--rgb", "plate"], "--format) to exr"),
    "a crop without EXR": (["a.mov", "the man", "-o", "out", "--format", "tiff", "--crop"], "outputs.crop (--crop)"),
    "a tolerance of nothing": (["a.mov", "the man", "-o", "out", "--spline-tolerance", "1"], "Add --splines."),
    "a plate that is not there": (["plate.mov", "the man", "-o", "out"], "plate.mov"),
    "a job file that is not there": (["nowhere.json"], "job file"),
    "phrases beside a job file": (["job.json", "the man"], "names its own objects"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_two_lines_and_no_files(
    case: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, words = BAD[case]
    assert main(["matte", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert len(printed.err.splitlines()) <= 2
    assert words in printed.err
    assert not list(tmp_path.rglob("*.exr"))


def test_a_job_of_the_future_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text('{"version": 99, "shot": {}}')
    assert main(["matte", str(path), "--json"]) == 1
    event = json.loads(capsys.readouterr().out)
    assert (event["event"], event["error"]) == ("failed", "JobSpecError")
    assert "99" in event["message"]
    assert "Update" in event["hint"]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "null", '{"version": true}', "\x00", '{"version": 1}'])
def test_a_job_file_that_is_no_job(text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(text)
    assert main(["matte", str(path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Sa2VA Roto job"


def test_engines_say_whether_they_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["starter"]["label"] == "starter"
    assert [rows[name]["second_look"] for name in ("starter", "sa2va")] == [False, True]


def test_engines_without_weights_are_not_called_ready(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path))
    assert main(["engines"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (starter,) = (line for line in lines if "starter: Models are missing: ssd-mobilenet-v2-coco" in line)
    (sa2va,) = (line for line in lines if "Sa2VA: " in line)
    assert "Run `sa2va models fetch`" in starter
    # Where its packages are not installed, that comes first.
    assert "Sa2VA: Models are missing: put a folder" in sa2va or "Sa2VA: Not installed" in sa2va
    assert main(["engines", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert str(tmp_path) in rows["sa2va"]["missing"]
    assert "u2netp" in rows["starter"]["missing"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["matte"],
        *(["matte", "a.mov", "the man", "-o", "out", "--pause-after", count] for count in ("0", "-3", "\u00b2", "x")),
        ["look", "a.mov", "-o", "look.exr"],
    ],
)
def test_usage_errors_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_a_pipe_that_knows_no_such_letters_is_no_error(tmp_path: Path) -> None:
    """As on Windows, whose pipes are in the code page of the country."""
    (tmp_path / "plate").mkdir()

    def told(*arguments: str) -> str:
        environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "sa2va_core.cli", "matte", "pläte.mov", "the man", "-o", "out", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done.stdout

    assert JobSpec.from_json(told("--print-job")).shot.path == "pläte.mov"
    event = json.loads(told("--json"))
    assert event["message"].endswith("pläte.mov")


def test_a_job_is_the_same_job_by_a_relative_and_by_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[JobSpec] = []
    monkeypatch.setattr(matte, "run_job", lambda spec, **_: jobs.append(spec))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCIO", BUILT_IN)
    for folder in (Path(), tmp_path):
        plate, out = folder / "plate" / "grey.####.png", folder / "out"
        assert main(["matte", str(plate), "the man", "-o", str(out)]) == 0
    assert jobs[0] == jobs[1]
    assert jobs[0].shot.ocio_config == BUILT_IN
