"""``sa2va worker``, ``status``, ``jobs``, ``cancel``, ``logs`` and ``matte --worker``, with the starter engine."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sa2va_plugin.connection import FOLDER_VARIABLE, connection_file
from sa2va_plugin.errors import Cancelled, WorkerError

from sa2va_core.cli import main
from sa2va_core.jobs.events import Event, FrameReady, Progress
from sa2va_core.worker import remote
from sa2va_core.worker.service import worker_lock

from .bench import TOY_WORKER, Bench, finish, kill, results, until, wait_for

REAL_WORKER = (sys.executable, str(Path(__file__).with_name("real_worker.py")))
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def cli(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv(FOLDER_VARIABLE, bench.folder)
    monkeypatch.setattr(remote, "COMMAND", REAL_WORKER)
    return bench


def test_without_a_worker_each_command_says_so(cli: Bench, capsys: Printed) -> None:
    for command in (["status"], ["jobs"], ["cancel", "x"], ["worker", "--stop"]):
        assert main(command) == 75
        assert capsys.readouterr().err == "error: No worker is running.\nStart one with `sa2va worker`.\n"
    assert main(["logs"]) == 75
    assert "no worker has run yet" in capsys.readouterr().err


def test_a_matte_by_the_worker_is_the_matte_without_it(cli: Bench, capsys: Printed) -> None:
    plate = cli.plate(2)
    assert main(["matte", plate, "the man", "-o", cli.out("by_worker"), "--fps", "24", "--worker"]) == 0
    by_worker = capsys.readouterr()
    assert main(["matte", plate, "the man", "-o", cli.out("by_hand"), "--fps", "24"]) == 0
    by_hand = capsys.readouterr()
    assert by_worker.out == by_hand.out.replace("by_hand", "by_worker")
    assert results(cli.out("by_worker")) == results(cli.out("by_hand"))

    assert main(["jobs", "--json"]) == 0
    [job] = json.loads(capsys.readouterr().out)
    assert (job["state"], job["done"], job["client"]) == ("done", 2, "sa2va")
    assert main(["jobs"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "STATE", "FRAMES", "FROM", "AGE", "OBJECTS", "PLATE"]
    assert row.split()[:4] == [job["job"], "done", "2/2", "sa2va"]
    assert row.endswith(plate)
    assert main(["status", job["job"]]) == 0
    assert "done, 2 of 2 frames" in capsys.readouterr().out
    assert main(["status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["jobs"]["done"] == 1
    assert main(["cancel", job["job"]]) == 0
    assert capsys.readouterr().out == f"{job['job']}: done\n"
    assert main(["cancel", "nothing"]) == 75
    assert "no job 'nothing'" in capsys.readouterr().err

    assert main(["matte", plate, "the blorb", "-o", cli.out("odd"), "--worker"]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert main(["logs", "-n", "3"]) == 0
    assert "failed" in capsys.readouterr().out
    assert main(["worker", "--stop"]) == 0
    assert capsys.readouterr().out == "The worker has ended.\n"
    assert main(["status"]) == 75


@pytest.fixture
def stubborn(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A worker whose engine has to be killed at its end, which takes it seconds."""
    monkeypatch.setattr(remote, "COMMAND", TOY_WORKER)
    cli.at(2, "hang")
    cli.submit(cli.client("a host"), cli.job())
    until(lambda: not (cli.control / "at-2").exists())
    return cli


def test_a_worker_has_ended_once_its_engine_has(stubborn: Bench, capsys: Printed) -> None:
    assert main(["worker", "--stop"]) == 0
    assert capsys.readouterr().out == "The worker has ended.\n"
    lock = worker_lock(stubborn.folder)
    assert lock.acquire()
    lock.release()


def test_a_worker_that_does_not_end_is_said(stubborn: Bench, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = stubborn.pid
    monkeypatch.setattr("sa2va_core.cli.worker._ENDS_WITHIN", 0.0)
    assert main(["worker", "--stop"]) == 75
    assert capsys.readouterr().err.startswith(f"error: The worker (process {pid}) was asked to end, but still runs")
    until(lambda: not connection_file(stubborn.folder).exists())
    # Who wants one while it still ends gets the next.
    stubborn.client("another host")
    assert stubborn.pid != pid


def test_a_job_in_the_worker_is_stopped_from_here(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "COMMAND", TOY_WORKER)
    cli.delay(0.05)
    stop = threading.Event()

    def stop_soon(event: Event) -> None:
        if isinstance(event, FrameReady):
            stop.set()

    with pytest.raises(Cancelled):
        remote.run_in_worker(cli.job(frames=200), on_event=stop_soon, cancelled=stop)


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_worker_that_dies_under_a_job_is_said_with_what_to_do(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "COMMAND", TOY_WORKER)
    cli.at(10, "hang")

    def kill_it(event: Event) -> None:
        if isinstance(event, FrameReady):
            kill(cli.pid)

    with pytest.raises(WorkerError, match="The worker has ended") as caught:
        remote.run_in_worker(cli.job(frames=40), on_event=kill_it, cancelled=threading.Event())
    assert "Run the same command to go on" in caught.value.hint
    assert caught.value.exit_code == 75


def stop_at_first_frame(cli: Bench, frames: list[int]) -> Callable[[Event], None]:
    """A listener that has the worker say nothing more from the first frame on; the engine then holds at another."""
    cli.at(10, "hold")

    def listener(event: Event) -> None:
        if isinstance(event, FrameReady):
            if not frames:
                os.kill(cli.pid, signal.SIGSTOP)
            frames.append(event.frame)

    return listener


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_job_whose_worker_is_silent_for_a_while_is_followed_on(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "COMMAND", TOY_WORKER)
    tries = cli.wake_at_second_try(monkeypatch)
    frames: list[int] = []
    listener = stop_at_first_frame(cli, frames)
    manifest = remote.run_in_worker(cli.job(frames=20), on_event=listener, cancelled=threading.Event())
    assert len(tries) >= 2
    assert frames == list(range(1001, 1021))
    assert manifest.is_file()


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_worker_that_stays_silent_under_a_job_is_said(cli: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "COMMAND", TOY_WORKER)
    monkeypatch.setattr(remote, "_TRIES", 1)
    with pytest.raises(WorkerError, match="does not answer") as caught:
        remote.run_in_worker(cli.job(frames=20), on_event=stop_at_first_frame(cli, []), cancelled=threading.Event())
    assert "Run the same command to go on" in caught.value.hint


def test_the_list_says_who_waits_where_and_what_failed(
    cli: Bench, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "COMMAND", TOY_WORKER)
    cli.at(2, "error")
    client = cli.client("a host")
    finish(client, cli.submit(client, cli.job("bad")))
    cli.at(3, "hold")
    running = cli.submit(client, cli.job("running"))
    wait_for(client, running, "running")
    heard: list[Event] = []
    stop = threading.Event()

    def stop_at_once(event: Event) -> None:
        heard.append(event)
        stop.set()
        cli.submit(client, cli.job("third"))

    cli.submit(client, cli.job("second"))
    with pytest.raises(Cancelled):
        remote.run_in_worker(cli.job("by hand"), on_event=stop_at_once, cancelled=stop)
    assert heard == [Progress("waiting, place 2 in the queue", 0, 0, None, None)]
    assert main(["jobs"]) == 0
    shown = capsys.readouterr().out.splitlines()
    states = [line[14:].split("  ")[0] for line in shown[1:6]]
    assert states == ["failed", "running", "queued, place 1", "cancelled", "queued, place 2"]
    assert "a host" in shown[1]
    assert shown[6].endswith("failed: CUDA error: an illegal memory access was encountered.")
    cli.release()
