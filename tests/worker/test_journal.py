"""Jobs and events on disk, and the lock."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sa2va_plugin import files
from sa2va_plugin.jobspec import JobSpec, ObjectSpec, Outputs, Shot

from sa2va_core.worker import journal as journals
from sa2va_core.worker import scheduler as schedulers
from sa2va_core.worker.journal import EventLog, Journal
from sa2va_core.worker.lane import Lane
from sa2va_core.worker.lock import ProcessLock
from sa2va_core.worker.scheduler import Scheduler

SPEC = JobSpec(Shot("/plate.####.exr", fps=24.0), (ObjectSpec("man", "the man"),), Outputs("/out"))


def numbers(log: EventLog, offset: int = 0) -> list[int]:
    found = []
    while data := log.read(offset):
        assert data.endswith(b"\n")
        found += [json.loads(line)["params"]["seq"] for line in data.splitlines()]
        offset += len(data)
    return found


def filled(path: Path, count: int) -> EventLog:
    log = EventLog(path)
    for number in range(count):
        log.append("a", [{"kind": "warning", "message": f"{number} " + "x" * (number % 300)}])
    return log


def test_events_are_numbered_and_read_from_anywhere(tmp_path: Path) -> None:
    log = filled(tmp_path / "log", 1000)
    assert numbers(log) == list(range(1, 1001))
    for since in (0, 1, 499, 999, 1000, 5000):
        assert numbers(log, log.offset_after(since)) == list(range(since + 1, 1001))


def test_a_line_longer_than_a_piece_is_read_whole(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log")
    log.append("a", [{"kind": "warning", "message": "x" * 300_000}, {"kind": "warning", "message": "y"}])
    assert numbers(log) == [1, 2]


def test_watchers_are_woken(tmp_path: Path) -> None:
    log, woken = EventLog(tmp_path / "log"), threading.Event()
    log.watchers.add(woken.set)
    log.append("a", [{"kind": "warning", "message": "m"}])
    assert woken.is_set()


def test_a_half_line_is_cut_off_and_numbers_go_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    filled(path, 10)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    log = EventLog(path)
    assert log.last == 9
    log.append("a", [{"kind": "warning", "message": "m"}])
    assert numbers(log) == list(range(1, 11))


def test_events_are_told_even_where_the_disk_takes_none(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("no /dev/full here")
    path = tmp_path / "log"
    log = filled(path, 3)
    os.replace(path, tmp_path / "aside")  # noqa: PTH105
    path.symlink_to("/dev/full")
    log.append("a", [{"kind": "warning", "message": "m"}])
    assert log.failing
    path.unlink()
    os.replace(tmp_path / "aside", path)  # noqa: PTH105
    assert numbers(log) == [1, 2, 3, 4]
    log.append("a", [{"kind": "warning", "message": "n"}])
    assert not log.failing
    assert numbers(EventLog(path)) == [1, 2, 3, 4, 5]


def test_jobs_survive(tmp_path: Path) -> None:
    first = Journal(tmp_path / "jobs")
    first.load()
    jobs = [first.new(SPEC, number, "client", False) for number in range(3)]
    for job in jobs:
        first.add(job)
        first.jobs[job.id] = job
    job = jobs[1]
    job.state, job.manifest = "done", "/m"
    first.save(job)
    second = Journal(tmp_path / "jobs")
    second.load()
    assert [vars(a) | {"log": 0} for a in second.jobs.values()] == [vars(a) | {"log": 0} for a in first.jobs.values()]
    assert second.new(SPEC, 0, "client", False).order == 4


def test_a_record_that_is_held_open_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Windows tells it: somebody reads, or a virus scanner looks."""
    journal = Journal(tmp_path / "jobs")
    journal.load()
    job = journal.new(SPEC, 0, "client", False)
    journal.add(job)
    rename, refusals = Path.replace, iter(range(3))

    def refuse(self: Path, target: Path) -> Path:
        if next(refusals, None) is not None:
            raise PermissionError(errno.EACCES, "Access is denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(files, "_PAUSE", 0)
    job.state = "running"
    journal.save(job)
    assert json.loads((tmp_path / "jobs" / job.id / "job.json").read_text())["state"] == "running"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"id": "x"}', "[" * 100_000], ids=["empty", "half", "list", "bare", "other", "deep"]
)
def test_a_damaged_job_is_left_alone(tmp_path: Path, text: str) -> None:
    journal = Journal(tmp_path / "jobs")
    journal.load()
    kept, damaged = (journal.new(SPEC, 0, "client", False) for _ in range(2))
    for job in (kept, damaged):
        journal.add(job)
    path = tmp_path / "jobs" / damaged.id / "job.json"
    path.write_text(text)
    (tmp_path / "jobs" / "a stranger's folder").mkdir()
    again = Journal(tmp_path / "jobs")
    again.load()
    assert list(again.jobs) == [kept.id]
    assert path.read_text() == text


def test_old_finished_jobs_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "KEEP", 2)
    journal = Journal(tmp_path / "jobs")
    journal.load()
    for number in range(5):
        job = journal.new(SPEC, 0, "client", False)
        journal.add(job)
        journal.jobs[job.id] = job
        job.state = "queued" if number == 0 else "done"
    journal.prune()
    assert [job.order for job in journal.jobs.values()] == [1, 4, 5]
    assert len(list((tmp_path / "jobs").iterdir())) == 3


@pytest.mark.parametrize("restart", [False, True])
def test_a_long_job_is_not_forgotten_at_its_own_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    monkeypatch.setattr(journals, "KEEP", 2)
    journal = Journal(tmp_path / "jobs")
    journal.load()
    jobs = [journal.new(SPEC, 0, "client", False) for _ in range(4)]
    for job in jobs:
        journal.add(job)
        journal.jobs[job.id] = job
    long, *quick = (job.id for job in jobs)
    for identity in quick:
        journal.jobs[identity].state = "done"
        journal.save(journal.jobs[identity])
        journal.prune()
    if restart:
        journal = Journal(tmp_path / "jobs")
        journal.load()
    journal.jobs[long].state = "done"
    journal.save(journal.jobs[long])
    journal.prune()
    assert list(journal.jobs) == [long, quick[-1]]
    assert {path.name for path in (tmp_path / "jobs").iterdir()} == {long, quick[-1]}


def test_a_job_that_is_forgotten_unsaved_does_not_end_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Idle(Lane):
        """Told to end its engine: the scheduler has nothing left to do."""

        async def end(self, kill: bool = False) -> None:
            scheduler.stop()

    def full(temporary: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def forget_and_rest() -> None:
        jobs = [await scheduler.submit(SPEC, 0, "client") for _ in range(2)]
        monkeypatch.setattr(journals, "replace", full)
        for job in jobs:
            await scheduler.cancel(job.id)
        assert list(journal.jobs) == [jobs[1].id]
        monkeypatch.setattr(journals, "replace", files.replace)
        monkeypatch.setattr(schedulers, "SAVE_AGAIN_AFTER", 0)
        await scheduler.run()
        assert json.loads((tmp_path / "jobs" / jobs[1].id / "job.json").read_text())["state"] == "cancelled"

    monkeypatch.setattr(journals, "KEEP", 1)
    journal = Journal(tmp_path / "jobs")
    journal.load()
    scheduler = Scheduler(journal, [Idle(0, "auto", [], "log")])
    asyncio.run(forget_and_rest())


def test_a_lock_is_held_by_one_process_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys,time\nfrom pathlib import Path\nfrom sa2va_core.worker.lock import ProcessLock\n"
        "lock=ProcessLock(Path(sys.argv[1]))\nprint(lock.acquire(),flush=True)\ntime.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    mine = ProcessLock(path)
    assert not mine.acquire()
    assert mine.owner() == str(holder.pid)
    holder.kill()
    holder.communicate()
    assert mine.acquire()
    assert mine.owner() == str(os.getpid())
    mine.release()
    assert mine.acquire()
    mine.release()


def test_the_log_rotates(tmp_path: Path) -> None:
    program = (
        "import logging,sys\nfrom sa2va_core.worker import service\nservice.LOG_BYTES=20000\n"
        "service._open_log(sys.argv[1])\nfor i in range(3000): logging.info('line %d', i)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, env=environment)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["worker.log", "worker.log.1", "worker.log.2", "worker.log.3", "worker.log.4"]
    assert all(path.stat().st_size <= 20000 for path in tmp_path.iterdir())
    assert "line 2999" in (tmp_path / "worker.log").read_text()


def test_a_log_that_was_pruned_reads_as_ended(tmp_path: Path) -> None:
    log = filled(tmp_path / "log", 3)
    (tmp_path / "log").unlink()
    assert log.read(0) == b""
