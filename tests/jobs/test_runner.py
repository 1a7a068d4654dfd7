"""The job runner around a small real engine: results, resume, cancel, faults."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock
from sa2va_plugin.errors import Cancelled, JobSpecError, MediaError, OutputError, PhraseError, QualityError, ResultError
from sa2va_plugin.jobspec import JobSpec, MatteSettings, ObjectSpec, Outputs, Shot

from sa2va_core.engines import registry
from sa2va_core.engines.base import Verdict
from sa2va_core.jobs import manifest
from sa2va_core.jobs.events import Done, Event, FrameReady, Progress, Started, VerdictReached, Warned
from sa2va_core.jobs.respline import make_splines
from sa2va_core.jobs.runner import run_job
from sa2va_core.mattes.qc import result

from .brightness import Brightness, BrightnessSession
from .finished import stamps_of, written_again

FRAMES = 50
LIGHT = ObjectSpec("light", "the light")


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """A white disc that crosses a dark field, frames 1001-1050, PNG."""
    folder = tmp_path / "plate"
    folder.mkdir()
    for i in range(FRAMES):
        picture = np.full((90, 160, 3), 20, np.uint8)
        cv2.circle(picture, (20 + 2 * i, 45), 18, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.imwrite(str(folder / f"disc.{1001 + i}.png"), picture)
    return folder


def job(plate: Path, out: Path, *objects: ObjectSpec, **outputs: str) -> JobSpec:
    return JobSpec(Shot(str(plate / "disc.####.png"), fps=24), objects or (LIGHT,), Outputs(str(out), **outputs))  # type: ignore[arg-type]


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".sa2va" not in path.parts
    }


def stop_at(n: int, action: Callable[[], None]) -> Brightness:
    def before(i: int) -> None:
        if i == n:
            action()

    return Brightness(before)


def fail() -> None:
    raise RuntimeError("the engine broke")


def test_a_job_gives_every_file_and_event(plate: Path, tmp_path: Path) -> None:
    out, events = tmp_path / "out", list[Event]()
    spec = job(plate, out, LIGHT, ObjectSpec("ghost", "nothing"))
    path = run_job(spec, engine=Brightness(), on_event=events.append)

    data = json.loads(path.read_text())
    assert [record["frame"] for record in data["frames"]] == list(range(1001, 1001 + FRAMES))
    assert data["job"] == spec.to_dict()
    assert {item["name"]: item["verdict"] for item in data["objects"]} == {"light": "found", "ghost": "not in shot"}
    assert data["objects"][0]["frames"] == "1001-1050"
    assert set(data["files"]) == {"overlay.mp4", "contact_sheet.png", "qc.json", "report.html"}
    judged = json.loads((out / "qc.json").read_text())["objects"]
    assert [(item["score"], item["worst_frame"]) for item in data["objects"]] == [
        (judged[0]["score"], judged[0]["worst_frame"]),
        (None, None),
    ]
    named = {name: digest for record in data["frames"] for name, digest in record["files"].items()} | data["files"]
    on_disk = tree(out)
    on_disk.pop(manifest.NAME)
    assert on_disk == named
    disc = (np.asarray(cv2.imread(str(plate / "disc.1001.png"))) > 127).mean()
    assert data["frames"][0]["objects"]["light"]["coverage"] == pytest.approx(disc, rel=0.05)
    assert data["frames"][0]["objects"]["ghost"]["coverage"] == 0.0

    ready = [event.frame for event in events if isinstance(event, FrameReady)]
    assert ready == list(range(1001, 1001 + FRAMES))
    assert [event.done for event in events if isinstance(event, Progress) and event.stage == "matting"] == list(
        range(1, FRAMES + 1)
    )
    assert isinstance(events[-1], Done)
    assert {event.object_name for event in events if isinstance(event, VerdictReached)} == {"light", "ghost"}


@pytest.mark.parametrize("form", ["exr", "png", "prores"])
def test_a_job_that_broke_goes_on_and_equals_an_undisturbed_one(plate: Path, tmp_path: Path, form: str) -> None:
    run_job(job(plate, tmp_path / "whole", format=form), engine=Brightness())
    spec = job(plate, tmp_path / "broken", format=form)
    with pytest.raises(RuntimeError, match="the engine broke"):
        run_job(spec, engine=stop_at(33, fail))

    lines = (tmp_path / "broken" / ".sa2va" / "journal.jsonl").read_text().splitlines()[1:]
    there = [json.loads(line)["frame"] for line in lines]
    before = stamps_of(tmp_path / "broken")
    engine, events = Brightness(), list[Event]()
    run_job(spec, engine=engine, on_event=events.append)
    started = next(event for event in events if isinstance(event, Started))
    assert started.kept == len(there) > 19
    assert engine.looked_at == list(range(1021, 1051)), "the engine goes on from its last checkpoint"
    made = [event.frame for event in events if isinstance(event, FrameReady)]
    assert made == [frame for frame in range(1001, 1051) if frame not in there]
    assert before
    assert not written_again(before)
    whole, broken = tree(tmp_path / "whole"), tree(tmp_path / "broken")
    # The folder is part of the job that the manifest repeats, and of nothing else.
    assert {**whole, manifest.NAME: ""} == {**broken, manifest.NAME: ""}
    assert not (tmp_path / "broken" / ".sa2va").exists()


def test_a_job_stopped_by_an_earlier_version_starts_anew(plate: Path, tmp_path: Path) -> None:
    run_job(job(plate, tmp_path / "whole"), engine=Brightness())
    spec = job(plate, tmp_path / "broken")
    with pytest.raises(RuntimeError, match="the engine broke"):
        run_job(spec, engine=stop_at(33, fail))
    journal = tmp_path / "broken" / ".sa2va" / "journal.jsonl"
    header, *records = map(json.loads, journal.read_text().splitlines())
    header.pop("form", None)
    for record in records:
        del record["objects"]["light"]["peak"]
    journal.write_text("".join(json.dumps(line) + "\n" for line in (header, *records)))
    run_job(spec, engine=(engine := Brightness()))
    assert engine.looked_at == list(range(1001, 1051))
    whole, broken = tree(tmp_path / "whole"), tree(tmp_path / "broken")
    assert {**whole, manifest.NAME: ""} == {**broken, manifest.NAME: ""}


def test_the_same_job_twice_is_run_once(plate: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "out")
    run_job(spec, engine=Brightness())
    before = tree(tmp_path / "out")
    engine, events = Brightness(), list[Event]()
    run_job(spec, engine=engine, on_event=events.append)
    assert engine.looked_at == []
    assert tree(tmp_path / "out") == before
    verdict = next(event for event in events if isinstance(event, VerdictReached)).verdict
    assert (verdict.state, list(verdict.frames)) == ("found", list(range(1001, 1051)))


class SeesLittle(BrightnessSession):
    """It brings its mattes over frames on which it does not see the object, as trackers do."""

    def verdicts(self) -> Mapping[str, Verdict]:
        return {name: replace(verdict, frames=verdict.frames[:2]) for name, verdict in super().verdicts().items()}


def test_the_frames_of_a_verdict_are_those_that_have_a_matte(plate: Path, tmp_path: Path) -> None:
    engine, events = Brightness(), list[Event]()
    engine.session = SeesLittle
    run_job(job(plate, tmp_path / "out", LIGHT, ObjectSpec("ghost", "nothing")), engine=engine, on_event=events.append)
    told = {event.object_name: list(event.verdict.frames) for event in events if isinstance(event, VerdictReached)}
    assert told == {"light": list(range(1001, 1051)), "ghost": []}
    data = manifest.read(tmp_path / "out")
    assert data is not None
    assert [item["frames"] for item in data["objects"]] == ["1001-1050", ""]


def test_a_changed_plate_frame_is_matted_again(plate: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "out")
    run_job(spec, engine=Brightness())
    cv2.imwrite(str(plate / "disc.1030.png"), np.full((90, 160, 3), 240, np.uint8))
    engine = Brightness()
    run_job(spec, engine=engine)
    assert 1030 in engine.looked_at
    data = manifest.read(tmp_path / "out")
    assert data is not None
    assert data["frames"][29]["objects"]["light"]["coverage"] > 0.5


@pytest.mark.parametrize("harm", ["delete", "truncate"])
def test_a_harmed_result_is_made_again(plate: Path, tmp_path: Path, harm: str) -> None:
    spec = job(plate, tmp_path / "out")
    run_job(spec, engine=Brightness())
    before = tree(tmp_path / "out")
    victim = next((tmp_path / "out").rglob("*1010.exr"))
    if harm == "delete":
        victim.unlink()
    else:
        os.truncate(victim, 100)
    run_job(spec, engine=Brightness())
    assert tree(tmp_path / "out") == before


def test_frames_finished_before_a_plate_change_are_not_kept_after_a_break(plate: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "out")
    with pytest.raises(RuntimeError):
        run_job(spec, engine=stop_at(33, fail))
    cv2.imwrite(str(plate / "disc.1005.png"), np.full((90, 160, 3), 240, np.uint8))
    run_job(spec, engine=(engine := Brightness()))
    assert engine.looked_at[0] == 1001


def test_judging_shows_progress_and_can_be_cancelled(plate: Path, tmp_path: Path) -> None:
    whole, spec, cancelled = tmp_path / "whole", job(plate, tmp_path / "out"), threading.Event()
    run_job(job(plate, whole), engine=Brightness())
    with pytest.raises(Cancelled):
        run_job(spec, engine=stop_at(45, cancelled.set), cancelled=cancelled)
    cancelled.clear()
    told: list[Progress] = []

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "comparing frames":
            told.append(event)
            if event.done == 9:
                cancelled.set()

    with pytest.raises(Cancelled, match="Stopped while comparing frames; all frames are matted"):
        run_job(spec, engine=Brightness(), on_event=listen, cancelled=cancelled)
    assert [event.done for event in told] == list(range(1, 10))
    assert all(event.total > 60 and event.eta is not None for event in told)
    assert not (tmp_path / "out" / "qc.json").exists()
    run_job(spec, engine=Brightness())
    # The two manifests name different folders.
    assert {**tree(tmp_path / "out"), "manifest.json": ""} == {**tree(whole), "manifest.json": ""}


def test_the_overlay_is_encoded_with_progress_and_can_be_cancelled(plate: Path, tmp_path: Path) -> None:
    whole, spec, cancelled = tmp_path / "whole", job(plate, tmp_path / "out"), threading.Event()
    told: list[Progress] = []

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == "encoding the overlay":
            told.append(event)
            if event.done == 9:
                cancelled.set()

    with pytest.raises(Cancelled, match="Stopped while encoding the overlay; all frames are matted"):
        run_job(spec, engine=Brightness(), on_event=listen, cancelled=cancelled)
    assert [(event.done, event.total) for event in told] == [(n, FRAMES) for n in range(10)]
    assert all(event.eta is not None for event in told[1:])
    assert not list((tmp_path / "out").glob("*overlay*")), "no half of a movie"
    cancelled.clear()
    run_job(spec, engine=(engine := Brightness()))
    assert len(engine.looked_at) < FRAMES, "frames are not matted again"
    run_job(job(plate, whole), engine=Brightness())
    # The two manifests name different folders.
    assert {**tree(tmp_path / "out"), manifest.NAME: ""} == {**tree(whole), manifest.NAME: ""}


def test_a_plate_change_ahead_costs_what_was_finished_after_the_checkpoint(plate: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "out")
    with pytest.raises(RuntimeError):
        run_job(spec, engine=stop_at(33, fail))
    cv2.imwrite(str(plate / "disc.1049.png"), np.full((90, 160, 3), 240, np.uint8))
    events = list[Event]()
    run_job(spec, engine=Brightness(), on_event=events.append)
    assert [event.kept for event in events if isinstance(event, Started)] == [19], (
        "the twentieth frame waited for its neighbour"
    )


def test_cancel_keeps_what_is_finished(plate: Path, tmp_path: Path) -> None:
    spec, cancelled = job(plate, tmp_path / "out"), threading.Event()
    with pytest.raises(Cancelled, match="of 50 frames") as caught:
        run_job(spec, engine=stop_at(7, cancelled.set), cancelled=cancelled)
    assert "go on" in caught.value.hint
    assert not (tmp_path / "out" / manifest.NAME).exists()
    events = list[Event]()
    run_job(spec, engine=(engine := Brightness()), on_event=events.append)
    assert engine.looked_at == list(range(1009, 1051))
    progress = [event for event in events if isinstance(event, Progress) and event.stage == "matting"]
    assert progress[0].done == 8, "the last frame seen waited for its neighbour"


def test_a_torn_journal_line_loses_one_frame_only(plate: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "out")
    with pytest.raises(RuntimeError):
        run_job(spec, engine=stop_at(45, fail))
    path = tmp_path / "out" / ".sa2va" / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-25])
    run_job(spec, engine=(engine := Brightness()))
    assert engine.looked_at == list(range(1041, 1051))


def test_a_damaged_state_starts_over(plate: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "out")
    with pytest.raises(RuntimeError):
        run_job(spec, engine=stop_at(33, fail))
    (tmp_path / "out" / ".sa2va" / "state.npz").write_bytes(b"PK\x03\x04 not a zip")
    run_job(spec, engine=(engine := Brightness()))
    assert engine.looked_at[0] == 1001


def test_another_job_in_the_folder_is_not_overwritten_unasked(plate: Path, tmp_path: Path) -> None:
    run_job(job(plate, tmp_path / "out", format="png"), engine=Brightness())
    before = tree(tmp_path / "out")
    other = job(plate, tmp_path / "out", ObjectSpec("dark", "the dark"), format="png")
    with pytest.raises(ResultError, match="another job") as caught:
        run_job(other, engine=Brightness())
    assert "--overwrite" in caught.value.hint
    assert caught.value.exit_code == 1, "a farm must not try it again"
    assert tree(tmp_path / "out") == before

    keep = tmp_path / "out" / "mattes" / "notes.txt"
    keep.write_text("mine")
    run_job(other, engine=Brightness(), overwrite=True)
    names = tree(tmp_path / "out")
    assert not any("light" in name for name in names)
    assert keep.read_text() == "mine"


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        (MatteSettings(grow=-200), "empty on every frame"),
        (MatteSettings(softness=200), "nowhere over one half (at most 0."),
        (MatteSettings(blur_band=300), "nowhere over one half (at most 0."),
    ],
)
def test_a_matte_of_which_settings_leave_no_inside_is_told_of(
    plate: Path, tmp_path: Path, settings: MatteSettings, left: str
) -> None:
    outputs = Outputs(str(tmp_path / "out"))
    objects = (LIGHT, ObjectSpec("ghost", "nothing"))
    spec = JobSpec(Shot(str(plate), range=(1001, 1003), fps=24), objects, outputs, matte=settings)
    told: list[Event] = []
    run_job(spec, engine=Brightness(), on_event=told.append)
    (warned,) = [event.message for event in told if isinstance(event, Warned)]
    assert warned.startswith(f"'light' was found, but its matte is {left}")
    data = manifest.read(tmp_path / "out")
    assert data is not None
    assert data["warnings"] == [warned]
    assert data["objects"][0]["frames"] == ""
    with pytest.raises(QualityError, match=re.escape(f"'light' was found, but its matte is {left}")):
        result.require_score(result.require(tmp_path / "out"), tmp_path / "out", 0.5)
    run_job(replace(spec, matte=MatteSettings()), engine=Brightness(), on_event=told.append, overwrite=True)
    assert [event.message for event in told if isinstance(event, Warned)] == [warned]


def test_a_stopped_job_is_not_overwritten_by_another_unasked(plate: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "out")
    other = job(plate, tmp_path / "out", ObjectSpec("dark", "the dark"))
    with pytest.raises(RuntimeError):
        run_job(spec, engine=stop_at(33, fail))
    before = tree(tmp_path / "out")
    with pytest.raises(ResultError, match=r"another job, stopped after \d\d frames") as caught:
        run_job(other, engine=Brightness())
    assert "--overwrite" in caught.value.hint
    assert tree(tmp_path / "out") == before
    run_job(spec, engine=(engine := Brightness()))
    assert engine.looked_at[0] > 1001, "it goes on as if nothing had been asked"

    with pytest.raises(RuntimeError):
        run_job(replace(spec, outputs=Outputs(str(tmp_path / "second"))), engine=stop_at(33, fail))
    run_job(replace(other, outputs=Outputs(str(tmp_path / "second"))), engine=Brightness(), overwrite=True)
    data = manifest.read(tmp_path / "second")
    assert data is not None
    assert [item["name"] for item in data["objects"]] == ["dark"]


UNREADABLE = {
    "of a later version": (lambda text: text.replace('"version": 1', '"version": 2', 1), "later version", "Update"),
    "cut short": (lambda text: text[:200], "damaged", "another folder"),
    "empty": (lambda text: "", "damaged", "another folder"),
    "no object": (lambda text: "[1]", "damaged", "another folder"),
    "another program's": (lambda text: '{"name": "My page", "version": "1.0"}', "none of Sa2VA", "another folder"),
    "without its frames": (lambda text: text.replace('"frames": [\n', '"pictures": [\n'), "damaged", "another folder"),
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("how", UNREADABLE)
def test_a_manifest_that_makes_no_sense_is_never_replaced(
    how: str, overwrite: bool, plate: Path, tmp_path: Path
) -> None:
    change, words, hint = UNREADABLE[how]
    path = tmp_path / "out" / manifest.NAME
    spec = JobSpec(Shot(str(plate), range=(1001, 1002), fps=24), (LIGHT,), Outputs(str(tmp_path / "out")))
    run_job(spec, engine=Brightness())
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before
    files = tree(tmp_path / "out")
    for again in (spec, replace(spec, objects=(ObjectSpec("dark", "the dark"),))):
        engine = Brightness()
        with pytest.raises(ResultError, match=words) as caught:
            run_job(again, engine=engine, overwrite=overwrite)
        assert hint in caught.value.hint
        assert caught.value.exit_code == 1, "a farm must not try it again"
        assert engine.looked_at == []
        assert tree(tmp_path / "out") == files
    with pytest.raises(ResultError, match=words):
        make_splines(tmp_path / "out")


@pytest.mark.parametrize("name", ["../up", "a:b", "x" * 181])
def test_a_name_that_no_file_can_have_costs_no_earlier_results(name: str, plate: Path, tmp_path: Path) -> None:
    spec = JobSpec(Shot(str(plate), range=(1001, 1002), fps=24), (LIGHT,), Outputs(str(tmp_path / "out")))
    run_job(spec, engine=Brightness())
    before = tree(tmp_path / "out")
    with pytest.raises(JobSpecError, match="begin a file's name"):
        run_job(replace(spec, outputs=replace(spec.outputs, plate_name=name)), engine=Brightness(), overwrite=True)
    assert tree(tmp_path / "out") == before


def test_another_job_is_seen_before_an_engine_is_loaded(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(job(plate, tmp_path / "out"), engine=Brightness())
    monkeypatch.setattr(registry, "create", lambda spec: pytest.fail("weights take minutes to load"))
    with pytest.raises(ResultError, match="another job"):
        run_job(job(plate, tmp_path / "out", ObjectSpec("dark", "the dark")))


@pytest.mark.parametrize("line", ['{"frame": 1001, "later": 1}', "[]", "3", '"text"'])
def test_a_journal_of_another_version_starts_over(plate: Path, tmp_path: Path, line: str) -> None:
    spec = job(plate, tmp_path / "out")
    with pytest.raises(RuntimeError):
        run_job(spec, engine=stop_at(33, fail))
    path = tmp_path / "out" / ".sa2va" / "journal.jsonl"
    path.write_text("\n".join([path.read_text().splitlines()[0], line, ""]))
    run_job(spec, engine=(engine := Brightness()))
    assert engine.looked_at[0] == 1001


def test_a_plate_that_is_not_there_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        run_job(job(tmp_path / "nowhere", tmp_path / "out"), engine=Brightness())
    assert not (tmp_path / "out").exists()


def test_two_jobs_in_one_folder_at_once(plate: Path, tmp_path: Path) -> None:
    with FileLock(tmp_path / "out" / ".sa2va.lock"), pytest.raises(OutputError, match="Another job is writing"):
        run_job(job(plate, tmp_path / "out"), engine=Brightness())


def test_a_phrase_that_is_not_understood_reads_no_frame(plate: Path, tmp_path: Path) -> None:
    engine = Brightness()
    with pytest.raises(PhraseError, match="runner") as caught:
        run_job(job(plate, tmp_path / "out", ObjectSpec("x", "the second runner")), engine=engine)
    assert "I know these words" in caught.value.hint
    assert engine.looked_at == []


def test_a_plate_frame_that_cannot_be_read_keeps_the_frames_before(plate: Path, tmp_path: Path) -> None:
    victim = plate / "disc.1041.png"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:200])
    spec = job(plate, tmp_path / "out")
    with pytest.raises(MediaError, match=r"1041|disc"):
        run_job(spec, engine=Brightness())
    victim.write_bytes(whole)
    run_job(spec, engine=(engine := Brightness()))
    assert engine.looked_at == list(range(1041, 1051))


def test_a_folder_that_cannot_be_made(plate: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        run_job(job(plate, tmp_path / "file" / "out"), engine=Brightness())


def test_result_numbers_of_their_own(plate: Path, tmp_path: Path) -> None:
    shot = Shot(str(plate), frames=(1010, 1009, 1009, 1008), output_first=1, fps=24)
    run_job(JobSpec(shot, (LIGHT,), Outputs(str(tmp_path / "out"))), engine=Brightness())
    data = manifest.read(tmp_path / "out")
    assert data is not None
    assert [(r["frame"], r["plate_frame"]) for r in data["frames"]] == [(1, 1010), (2, 1009), (3, 1009), (4, 1008)]


@pytest.mark.parametrize("frames", [[], [5], [1, 2, 3, 7], [-3, -2, 0], list(range(1001, 1100))])
def test_ranges_and_back(frames: list[int]) -> None:
    assert manifest.parse_ranges(manifest.ranges(frames)) == frames
