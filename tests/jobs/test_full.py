"""A disk too full for the journal: the job says so, and once there is space it goes on from what is finished."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from sa2va_plugin.errors import OutputError

from sa2va_core.jobs import manifest
from sa2va_core.jobs.events import Started
from sa2va_core.jobs.journal import FrameRecord, Journal
from sa2va_core.jobs.runner import run_job
from tests.media_out.conftest import fill, tiny_disk

from .brightness import Brightness
from .test_runner import job, plate, stop_at, tree

__all__ = ["plate", "tiny_disk"]


def record(frame: int) -> FrameRecord:
    return FrameRecord(frame, frame, f"disc.{frame}.png", None, "0" * 64, {"light": {"coverage": 0.1}}, {})


@pytest.mark.parametrize("room", [0, 300], ids=["no byte", "some bytes of a line"])
def test_a_job_stopped_while_its_journal_is_full_goes_on(
    plate: Path, tmp_path: Path, tiny_disk: Path, room: int
) -> None:
    run_job(job(plate, tmp_path / "whole"), engine=Brightness())
    spec, cancelled, out = job(plate, tmp_path / "out"), threading.Event(), tmp_path / "out"
    path = out / ".sa2va" / "journal.jsonl"

    def fill_and_stop() -> None:
        # The journal alone: everything else still fits, so that only its own failure can be seen.
        text = path.read_bytes()
        (tiny_disk / "journal.jsonl").write_bytes(text)
        path.unlink()
        path.symlink_to(tiny_disk / "journal.jsonl")
        fill(tiny_disk, 0)
        if room < -len(text) % 4096:
            with (tiny_disk / "journal.jsonl").open("ab") as file:
                file.write(b" " * (-len(text) % 4096 - room - 1) + b"\n")
        cancelled.set()

    with pytest.raises(OutputError, match=r"The disk is full: .*journal\.jsonl") as caught:
        run_job(spec, engine=stop_at(33, fill_and_stop), cancelled=cancelled)
    assert "Free some space" in caught.value.hint
    assert not (out / manifest.NAME).exists()

    (tiny_disk / "fill").unlink()
    cancelled.clear()
    events = []
    run_job(spec, engine=(engine := Brightness()), on_event=events.append)
    assert engine.looked_at == list(range(1021, 1051)), "from the last checkpoint"
    assert next(event for event in events if isinstance(event, Started)).kept >= 19
    # The two manifests name different folders.
    assert {**tree(out), manifest.NAME: ""} == {**tree(tmp_path / "whole"), manifest.NAME: ""}


def _fill_up(journal: Journal) -> int:
    """The number of the record that no longer fits."""
    for frame in range(100):
        try:
            journal.append(record(frame))
        except OutputError as error:
            assert "disk is full" in error.message  # noqa: PT017
            return frame
    raise AssertionError("the disk did not fill up")


def test_a_line_that_did_not_fit_is_not_taken_for_finished(tiny_disk: Path) -> None:
    journal = Journal(tiny_disk, {"job_hash": "a"}, "p")
    fill(tiny_disk, 0)
    frame = _fill_up(journal)
    assert list(journal.records) == list(range(frame))
    (tiny_disk / "fill").unlink()
    again = Journal(tiny_disk, {"job_hash": "a"}, "p")
    assert list(again.records) == list(range(frame))
    again.append(record(frame))
    assert list(Journal(tiny_disk, {"job_hash": "a"}, "p").records) == list(range(frame + 1))


def test_a_state_that_does_not_fit_leaves_the_last_one(tiny_disk: Path) -> None:
    journal = Journal(tiny_disk, {"job_hash": "a"}, "p")
    journal.save_state({"mean": np.zeros(10)}, [1])
    fill(tiny_disk, 8192)
    with pytest.raises(OutputError, match="The disk is full"):
        journal.save_state({"mean": np.ones(10_000)}, [1, 2])
    state = journal.load_state()
    assert state is not None
    assert state[1] == [1]
    assert np.array_equal(state[0]["mean"], np.zeros(10))
    assert {path.name for path in tiny_disk.iterdir()} == {"journal.jsonl", "state.npz", "fill"}
