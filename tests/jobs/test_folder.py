"""One at a time in an output folder, on every kind of disk, and nothing of it left behind."""

from __future__ import annotations

import errno
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from sa2va_plugin.errors import Cancelled, OutputError, ResultError
from sa2va_plugin.jobspec import JobSpec, ObjectSpec, Outputs, Shot

from sa2va_core.jobs.events import Event, Progress
from sa2va_core.jobs.folder import sole_use
from sa2va_core.jobs.respline import make_splines
from sa2va_core.jobs.runner import run_job

from .brightness import Brightness

BUSY = "Another job is writing to this folder"


@pytest.fixture
def spec(tmp_path: Path) -> JobSpec:
    (tmp_path / "plate").mkdir()
    for frame in range(1, 4):
        picture = np.full((40, 60, 3), 20, np.uint8)
        cv2.circle(picture, (20 + frame, 20), 9, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.imwrite(str(tmp_path / "plate" / f"disc.{frame}.png"), picture)
    shot = Shot(str(tmp_path / "plate" / "disc.#.png"), fps=24)
    return JobSpec(shot, (ObjectSpec("light", "the light"),), Outputs(str(tmp_path / "out")))


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_no_job_begins_while_another_removes_what_it_needed(spec: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    remove, removed = shutil.rmtree, list[Path]()

    def slow(path: Path, ignore_errors: bool = False) -> None:
        monkeypatch.setattr(shutil, "rmtree", remove)
        with pytest.raises(OutputError, match=BUSY):
            run_job(spec, engine=Brightness())
        removed.append(path)
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", slow)
    out = Path(spec.outputs.folder)
    run_job(spec, engine=Brightness())
    assert removed == [out / ".sa2va"]
    assert hidden(out) == []


def test_a_lock_that_was_taken_away_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first job ends when the second has opened its lock and not locked it yet."""
    fcntl = pytest.importorskip("fcntl")
    first, lock = sole_use(tmp_path), fcntl.flock

    def late(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        first.__exit__(None, None, None)
        lock(fd, operation)

    first.__enter__()
    monkeypatch.setattr(fcntl, "flock", late)
    with sole_use(tmp_path):
        assert hidden(tmp_path) == [".sa2va.lock"]
        with pytest.raises(OutputError, match=BUSY), sole_use(tmp_path):
            pass
    assert hidden(tmp_path) == []


def test_the_next_jobs_lock_is_not_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second job begins the moment that the first one lets go."""
    fcntl = pytest.importorskip("fcntl")
    second, lock = sole_use(tmp_path), fcntl.flock

    def at_once(fd: int, operation: int) -> None:
        lock(fd, operation)
        if operation == fcntl.LOCK_UN:
            monkeypatch.setattr(fcntl, "flock", lock)
            second.__enter__()

    with sole_use(tmp_path):
        monkeypatch.setattr(fcntl, "flock", at_once)
    with pytest.raises(OutputError, match=BUSY), sole_use(tmp_path):
        pass
    second.__exit__(None, None, None)
    assert hidden(tmp_path) == []


def test_a_job_that_is_refused_leaves_nothing(spec: JobSpec) -> None:
    out = Path(spec.outputs.folder)
    run_job(spec, engine=Brightness())
    other = JobSpec(spec.shot, (ObjectSpec("dark", "the dark"),), spec.outputs)
    with pytest.raises(ResultError, match="another job"):
        run_job(other, engine=Brightness())
    assert hidden(out) == []


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_disk_without_file_locks(spec: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lustre, mounted without ``flock``: that a lock is there means that it is held."""

    def missing(fd: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", missing)
    out = Path(spec.outputs.folder)
    run_job(spec, engine=Brightness())
    with sole_use(out), pytest.raises(OutputError, match=BUSY):
        run_job(spec, engine=Brightness())
    run_job(spec, engine=Brightness())
    assert hidden(out) == []


def test_no_splines_are_made_again_while_a_job_runs(spec: JobSpec) -> None:
    """The job loses nothing by it."""
    out = Path(spec.outputs.folder)

    def ask(number: int) -> None:
        with pytest.raises(OutputError, match=BUSY) as caught:
            make_splines(out)
        assert "Wait for it" in caught.value.hint

    run_job(spec, engine=Brightness(ask))
    assert (out / "manifest.json").exists()


def test_splines_are_made_again_once_at_a_time_and_without_a_job(spec: JobSpec) -> None:
    out = Path(spec.outputs.folder)
    run_job(spec, engine=Brightness())

    stages = set[str]()

    def ask(event: Event) -> None:
        if isinstance(event, Progress) and event.stage not in stages:
            stages.add(event.stage)
            for action in (lambda: make_splines(out), lambda: run_job(spec, engine=Brightness())):
                with pytest.raises(OutputError, match=BUSY):
                    action()

    assert make_splines(out, on_event=ask)
    assert stages == {"reading mattes", "fitting splines"}
    assert hidden(out) == []


def test_splines_of_no_job_leave_the_folder_as_it_is(spec: JobSpec, tmp_path: Path) -> None:
    """One that is not there, or a stopped job's, which goes on afterwards."""
    out = Path(spec.outputs.folder)
    with pytest.raises(ResultError, match="no finished job"):
        make_splines(out)
    assert not out.exists()
    cancelled = threading.Event()
    with pytest.raises(Cancelled):
        run_job(spec, engine=Brightness(lambda number: cancelled.set() if number else None), cancelled=cancelled)
    with pytest.raises(ResultError, match="no finished job"):
        make_splines(out)
    run_job(spec, engine=(engine := Brightness()))
    assert 0 < len(engine.looked_at) < 3
