"""Splines as a job's result, and made again from finished mattes."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from sa2va_plugin.errors import Cancelled, JobSpecError, MediaError, ResultError
from sa2va_plugin.jobspec import JobSpec, ObjectSpec, Outputs, Shot
from sa2va_plugin.splines import SplineSet

from sa2va_core.cli import main
from sa2va_core.jobs.events import Event, Progress, Warned
from sa2va_core.jobs.respline import make_splines
from sa2va_core.jobs.runner import run_job
from tests.jobs.brightness import Brightness

from . import redraw

FRAMES = 24
SIZE = (160, 90)


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """A white disc that crosses a dark field, frames 1001 on, PNG."""
    folder = tmp_path / "plate"
    folder.mkdir()
    for i in range(FRAMES):
        picture = np.full((SIZE[1], SIZE[0], 3), 20, np.uint8)
        cv2.circle(picture, (40 + 3 * i, 45), 22, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.imwrite(str(folder / f"disc.{1001 + i}.png"), picture)
    return folder


def job(plate: Path, out: Path, **outputs: object) -> JobSpec:
    objects = (ObjectSpec("light", "the light"), ObjectSpec("ghost", "nothing"))
    given = {"splines": True, **outputs}
    return JobSpec(Shot(str(plate / "disc.####.png"), fps=24), objects, Outputs(str(out), **given))  # type: ignore[arg-type]


def splines(folder: Path) -> SplineSet:
    return SplineSet.from_json((folder / "splines.json").read_bytes())


def test_a_job_writes_splines_of_every_object_and_names_them_in_its_manifest(plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    data = json.loads(run_job(job(plate, out), engine=Brightness()).read_text())
    assert {"splines.json", "splines.nk"} <= set(data["files"])
    found = splines(out)
    assert (found.width, found.height, found.fps, found.first, found.last) == (160, 90, "24/1", 1001, 1000 + FRAMES)
    assert [item.name for item in found.objects] == ["light", "ghost"]
    assert found.object("ghost").shapes == ()
    assert found.object("light").shapes
    assert (out / "splines.nk").read_text().count("Roto {") == 2
    assert not (out / ".sa2va").exists()


def test_without_the_wish_there_are_none(plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_job(job(plate, out, splines=False), engine=Brightness())
    assert not (out / "splines.json").exists()


def test_a_job_stopped_while_fitting_goes_on_and_gives_the_same(plate: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    run_job(job(plate, whole), engine=Brightness())
    cancelled = threading.Event()
    stages: list[Progress] = []

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "fitting splines":
            stages.append(event)
            cancelled.set()

    with pytest.raises(Cancelled, match="while fitting splines"):
        run_job(job(plate, out), engine=Brightness(), on_event=listen, cancelled=cancelled)
    assert stages
    assert not (out / "splines.json").exists()
    engine = Brightness()
    run_job(job(plate, out), engine=engine)
    assert len(engine.looked_at) < FRAMES
    assert (out / "splines.json").read_bytes() == (whole / "splines.json").read_bytes()


def test_progress_of_fitting_rises_to_the_end(plate: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    run_job(job(plate, tmp_path / "out"), engine=Brightness(), on_event=events.append)
    done = [event.done for event in events if isinstance(event, Progress) and event.stage == "fitting splines"]
    assert done == sorted(done)
    assert len(done) > FRAMES


def test_making_splines_again_tells_the_time_left_and_stops_when_asked(plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_job(job(plate, out), engine=Brightness())
    before = (out / "splines.json").read_bytes()
    events: list[Progress] = []
    make_splines(out, 3.0, lambda event: events.append(event) if isinstance(event, Progress) else None)
    for stage in ("reading mattes", "fitting splines"):
        steps = [event for event in events if event.stage == stage]
        assert all(event.eta is not None and event.eta >= 0 for event in steps if event.done)
        assert any(event.done for event in steps)
    assert events[-1].eta == 0
    after = (out / "splines.json").read_bytes()
    assert after != before
    cancelled = threading.Event()

    def stop(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "fitting splines":
            cancelled.set()

    with pytest.raises(Cancelled, match="that were there before stay"):
        make_splines(out, 1.0, stop, cancelled)
    assert (out / "splines.json").read_bytes() == after


def test_fitting_in_a_job_tells_the_time_left(plate: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    run_job(job(plate, tmp_path / "out"), engine=Brightness(), on_event=events.append)
    steps = [event for event in events if isinstance(event, Progress) and event.stage == "fitting splines"]
    assert all(event.eta is not None for event in steps if event.done)


@pytest.mark.parametrize("outputs", [{}, {"crop": True}, {"format": "png"}, {"format": "tiff"}])
def test_finished_mattes_give_splines_to_another_tolerance(
    outputs: dict[str, object], plate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run_job(job(plate, out, splines=False, **outputs), engine=Brightness())
    assert main(["splines", str(out), "--tolerance", "0.5"]) == 0
    assert capsys.readouterr().out.split() == [str(out / "splines.json"), str(out / "splines.nk")]
    made = splines(out)
    assert made.tolerance == 0.5
    assert made.object("light").fit.worst_iou > 0.97
    # The job still counts as finished, with its new files.
    engine = Brightness()
    run_job(job(plate, out, splines=False, **outputs), engine=engine)
    assert engine.looked_at == []


def test_splines_made_again_are_those_of_the_job(plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_job(job(plate, out), engine=Brightness())
    first = splines(out).object("light")
    make_splines(out)
    again = splines(out).object("light")
    # Mattes on disk are half floats: the same to less than a hundredth of a pixel.
    frame = first.shapes[0].first + 3
    a, b = (np.array(item.shapes[0].points_at(frame)) for item in (first, again))
    assert np.abs(a - b).max() < 0.5
    assert redraw.iou(redraw.mask_of(first, frame, SIZE), redraw.mask_of(again, frame, SIZE)) > 0.995


def test_splines_that_overlap_too_little_are_a_warning(plate: Path, tmp_path: Path) -> None:
    """Hair, which splines do not draw, beside a disc, which they do."""
    out, events = tmp_path / "out", list[Event]()
    run_job(job(plate, out, splines=False), engine=Brightness())
    make_splines(out, 2.0, events.append)
    assert not [event for event in events if isinstance(event, Warned)]
    for file in plate.iterdir():
        picture = cv2.imread(str(file))
        assert picture is not None
        picture[5:85, 4:40:3] = 240
        cv2.imwrite(str(file), picture)
    run_job(job(plate, tmp_path / "hair"), engine=Brightness(), on_event=events.append)
    told = [event.message for event in events if isinstance(event, Warned) and "overlap its matte" in event.message]
    assert len(told) == 1
    assert "'light' overlap its matte by less than 0.98" in told[0]


def test_what_is_no_finished_job_is_refused(plate: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no finished job"):
        make_splines(tmp_path)
    out = tmp_path / "out"
    run_job(job(plate, out, splines=False), engine=Brightness())
    with pytest.raises(JobSpecError, match="cannot be fitted to 0 pixels"):
        make_splines(out, 0.0)
    shutil.rmtree(out / "mattes")
    with pytest.raises(MediaError, match="missing or cannot be read"):
        make_splines(out)


def test_the_command_line_asks_for_splines(plate: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["matte", str(plate / "disc.####.png"), "the man", "-o", "out", "--print-job"]
    assert main([*command, "--splines", "--spline-tolerance", "2.5"]) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert (outputs["splines"], outputs["spline_tolerance"]) == (True, 2.5)
    assert main([*command, "--splines", "--spline-tolerance", "0"]) == 1
    assert "cannot be fitted to 0 pixels" in capsys.readouterr().err


def test_movies_are_refused(plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_job(job(plate, out, splines=False, format="prores"), engine=Brightness())
    with pytest.raises(ResultError, match="are movies"):
        make_splines(out)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, 1000.0, float("nan")])
def test_a_tolerance_that_makes_no_sense_is_refused(tolerance: float, plate: Path, tmp_path: Path) -> None:
    with pytest.raises(JobSpecError, match="cannot be fitted"):
        replace(job(plate, tmp_path), outputs=Outputs("out", spline_tolerance=tolerance))
