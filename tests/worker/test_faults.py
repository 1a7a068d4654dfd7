"""What goes wrong, and that it costs no more than it must."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sa2va_plugin import connection, launcher
from sa2va_plugin.client import Client, WorkerLost
from sa2va_plugin.errors import OutputError, WorkerError
from sa2va_plugin.messages import Done, Event, Failed, FrameReady, Started, Warned

from sa2va_core.jobs.runner import run_job
from tests.jobs.brightness import Brightness

from .bench import SOON, TOY_WORKER, Bench, a, finish, kill, listen, results, until, wait_for

DEAD_WITHIN = 3.0
ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")


def hear_of_death(client: Client, heard: list[Event] | None = None) -> WorkerLost:
    """``heard``: where events that come before go.

    Of each wait of 0.1 s only 0.15 count: what a busy machine adds is no fault of the client.
    """
    spent = 0.0
    while spent < DEAD_WITHIN:
        began = time.monotonic()
        for event in client.wait(0.1):
            if isinstance(event, WorkerLost):
                return event
            if heard is not None:
                heard.append(event)
        spent += min(time.monotonic() - began, 0.15)
    raise AssertionError(f"not a word within {DEAD_WITHIN} s")


def frame(number: int):
    return lambda event: isinstance(event, FrameReady) and event.frame == number


# The worker


@posix
def test_kill_9_of_the_worker_loses_nothing(bench: Bench) -> None:
    client = bench.client()
    finished = bench.submit(client, bench.job("before"))
    finish(client, finished)
    bench.at(35, "hang")  # of the frames before it up to 8 may be untold
    job = bench.submit(client, bench.job(frames=60))
    waiting = bench.submit(client, bench.job("later"), follow=True)
    heard = [event for event in listen(client, frame(1025)) if isinstance(event, Event)]
    # It hangs once only: the engine after it must not.
    until(lambda: not (bench.control / "at-35").exists())
    engine = bench.engine
    kill(bench.pid)
    lost = hear_of_death(client, heard)
    assert str(connection.log_file(bench.folder)) in lost.hint
    engine.wait(SOON)

    client.reconnect()
    heard += [event for event in finish(client, waiting) if isinstance(event, Event)]
    mine = [event for event in heard if event.job == job]
    assert [event.seq for event in mine] == list(range(1, len(mine) + 1))
    assert any(isinstance(event, Warned) and "restarted" in event.message for event in mine)
    first, again = (event.kept for event in mine if isinstance(event, Started))
    assert first == 0
    assert again >= 25, "what was told as finished, also after the last checkpoint"
    assert isinstance(mine[-1], Done)
    assert client.call(client.status(finished)).state == "done"
    run_job(bench.job("undisturbed", frames=60), engine=Brightness())
    assert results(bench.out("out")) == results(bench.out("undisturbed"))


@posix
def test_a_worker_that_hangs_is_told_of_within_3_s(bench: Bench) -> None:
    client = bench.client()
    pid = bench.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        lost = hear_of_death(client)
        assert f"(process {pid}) does not answer" in lost.message
        second = bench.client("second", ready=False)
        assert f"(process {pid}) does not answer" in hear_of_death(second).message
    finally:
        os.kill(pid, signal.SIGCONT)
    client.reconnect()
    client.call(client.ping())
    assert bench.pid == pid


def test_a_busy_host_does_not_take_its_worker_for_dead(bench: Bench) -> None:
    client = bench.client()
    until(lambda: client.pump() or client._ping is not None)
    time.sleep(2.5)
    for _ in range(20):
        assert client.pump() == []
        time.sleep(0.05)
    assert client.state == "ready"


@posix
def test_a_shut_down_worker_resumes_at_its_next_start(bench: Bench) -> None:
    bench.delay(0.05)
    client = bench.client()
    job = bench.submit(client, bench.job(frames=200))
    listen(client, frame(1010))
    engine, pid = bench.engine, bench.pid
    os.kill(pid, signal.SIGTERM)
    assert hear_of_death(client).message == "The worker has ended."
    engine.wait(SOON)
    until(lambda: "worker ends" in bench.log())
    assert not connection.connection_file(bench.folder).exists()
    bench.delay(0)
    client.reconnect()
    heard = finish(client, job)
    assert isinstance(heard[-1], Done)
    started = next(event for event in heard if isinstance(event, Started))
    assert started.kept >= 10


@posix
def test_two_workers_started_at_once_are_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []  # perhaps by fewer than all: a client that comes late finds the worker
    start = launcher.start
    monkeypatch.setattr(launcher, "start", lambda folder, command: started.append(folder) or start(folder, command))
    clients = [bench.client(f"client {i}", ready=False) for i in range(4)]
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline and any(client.state != "ready" for client in clients):
        for client in clients:
            assert not client.pump()
        time.sleep(0.01)
    pids = {client.worker.pid for client in clients if client.worker}
    assert len(pids) == 1
    startup, said = Path(bench.folder) / "startup.log", f"running already (process {pids.pop()})"
    until(lambda: startup.read_text().count(said) == len(started) - 1)


@posix
def test_what_a_dead_worker_left_is_taken_over(bench: Bench) -> None:
    first = bench.client()
    kill(bench.pid)
    hear_of_death(first)
    folder = Path(bench.folder)
    assert (folder / "worker.json").exists()
    # A number that belongs to somebody else by now, and a port where a stranger listens.
    (folder / "worker.lock").write_text(f"{os.getpid()}\n")
    stranger = subprocess.Popen(
        [sys.executable, "-c", "import socket,time\ns=socket.create_server(('127.0.0.1',0))\n"
         "print(s.getsockname()[1],flush=True)\nwhile 1: s.accept()[0].sendall(b'x'*64)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert stranger.stdout is not None
        port = int(stranger.stdout.readline())
        left = connection.read_connection(bench.folder)
        assert left is not None
        connection.write_connection(bench.folder, connection.Connection(**{**vars(left), "port": port}))
        second = bench.client("second")
        assert second.worker is not None
        assert second.worker.pid not in (left.pid, os.getpid())
    finally:
        stranger.kill()
        stranger.communicate()


@posix
def test_a_clock_that_jumps_changes_nothing(bench: Bench) -> None:
    bench.delay(0.05)
    client = bench.client()
    first = bench.submit(client, bench.job("first", frames=30))
    jobs = [first]
    for number, jump in enumerate((signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR2)):
        os.kill(bench.pid, jump)
        time.sleep(0.1)
        jobs.append(bench.submit(client, bench.job(f"next{number}")))
    assert [status.job for status in client.call(client.jobs()).jobs] == jobs
    heard = [event for event in finish(client, jobs[-1]) if isinstance(event, Event)]
    assert [event.job for event in heard if isinstance(event, Done)] == jobs
    times = [event.time for event in heard]
    assert times != sorted(times), "the clock did jump"
    assert client.state == "ready"


# The host


@posix
def test_kill_9_of_the_host_leaves_a_job_that_can_be_collected(bench: Bench) -> None:
    bench.at(20, "hold")
    program = f"""
import sys, time
sys.path[:0] = [{str(ROOT / "plugin")!r}, {str(ROOT)!r}]
from sa2va_plugin.client import Client
from sa2va_plugin.jobspec import JobSpec
client = Client("host", {bench.folder!r}, {list(TOY_WORKER)!r})
job = client.call(client.submit(JobSpec.from_json(sys.stdin.read()))).job
print(job, flush=True)
while True:
    client.wait(1)
"""
    host = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert host.stdin is not None
        assert host.stdout is not None
        host.stdin.write(bench.job(frames=40).to_json())
        host.stdin.close()
        job = host.stdout.readline().strip()
        host.stdout.close()
        worker = bench.pid
        watcher = bench.client("watcher")
        until(lambda: watcher.call(watcher.status(job)).done >= 3)
    finally:
        host.kill()
        host.wait()
    bench.release()

    again = bench.client("the host again")
    assert again.worker is not None
    assert again.worker.pid == worker
    again.call(again.follow(job, since=4))
    heard = [event for event in finish(again, job) if isinstance(event, Event)]
    assert [event.seq for event in heard] == list(range(5, 5 + len(heard)))
    assert isinstance(heard[-1], Done)
    assert results(bench.out("out"))


# The engine


FAILURES = {
    "kill": "was killed, perhaps by the system because memory ran out",
    "segfault": "crashed (Segmentation fault)",
    "exit": "ended (code 9)",
    "error": "CUDA error: an illegal memory access",
    "memory": "The engine failed: MemoryError",
    "unheard of": "The engine failed: ValueError: unheard of",
}


@posix
def test_an_engine_that_fails_costs_one_job(bench: Bench) -> None:
    client = bench.client()
    for what, words in FAILURES.items():
        bench.at(1, "hold")
        bench.at(2, what)
        job = bench.submit(client, bench.job(what))
        process = bench.engine
        bench.release()
        failed = finish(client, job)[-1]
        assert isinstance(failed, Failed)
        assert failed.error == "EngineError"
        assert words in failed.message
        assert failed.hint
        process.wait(SOON)
    assert isinstance(finish(client, bench.submit(client, bench.job("following")))[-1], Done)


@posix
def test_a_job_whose_engine_was_killed_goes_on(bench: Bench) -> None:
    client = bench.client()
    bench.at(25, "kill")
    finish(client, bench.submit(client, bench.job(frames=40)))
    again = finish(client, bench.submit(client, bench.job(frames=40)))
    started = next(event for event in again if isinstance(event, Started))
    assert 19 <= started.kept <= 25, "those of the checkpoint, and what else was finished"
    run_job(bench.job("undisturbed", frames=40), engine=Brightness())
    assert results(bench.out("out")) == results(bench.out("undisturbed"))


@posix
def test_kill_of_the_idle_engine_costs_nothing(bench: Bench) -> None:
    client = bench.client()
    finish(client, bench.submit(client, bench.job("first")))
    process = bench.engine
    process.kill()
    process.wait(SOON)
    assert isinstance(finish(client, bench.submit(client, bench.job("second")))[-1], Done)


def test_an_engine_that_does_not_stop_is_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANCEL_GRACE", "0.5")
    client = bench.client()
    bench.at(2, "hang")
    job = bench.submit(client, bench.job())
    wait_for(client, job, "running")
    until(lambda: not (bench.control / "at-2").exists())
    client.call(client.cancel(job))
    failed = finish(client, job)[-1]
    assert isinstance(failed, Failed)
    assert failed.error == "Cancelled"
    assert "does not stop" in bench.log()
    assert isinstance(finish(client, bench.submit(client, bench.job("next")))[-1], Done)


# Files


@posix
def test_files_that_the_user_may_not_read_fail_the_job(bench: Bench) -> None:
    # Root may read everything, unless it is without its powers, as in a user namespace.
    plain = (*(("unshare", "-U") if os.geteuid() == 0 else ()), *TOY_WORKER)
    if subprocess.run([*plain[:-2], "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    client = bench.client(command=plain)
    spec = bench.job()
    forbidden = Path(spec.shot.path.replace("####", "1002"))
    forbidden.chmod(0)
    failed = finish(client, bench.submit(client, spec))[-1]
    assert isinstance(failed, Failed)
    assert failed.error == "MediaError"
    assert str(forbidden) in failed.message
    assert failed.hint
    (bench.root / "locked").mkdir(mode=0)
    locked = finish(client, bench.submit(client, bench.job("a", plate=str(bench.root / "locked" / "a.####.png"))))[-1]
    assert isinstance(locked, Failed)
    assert locked.error == "MediaError"
    unwritable = finish(client, bench.submit(client, bench.job("locked/out", frames=5)))[-1]
    assert isinstance(unwritable, Failed)
    assert unwritable.error == "UnwritableError"
    assert isinstance(finish(client, bench.submit(client, bench.job("next", frames=5)))[-1], Done)


def on_small_disk(bench: Bench, folder: Path, size: str) -> tuple[str, ...]:
    """The worker with a file system of its own mounted on ``folder``, which only it sees."""
    folder.mkdir(parents=True, mode=0o700)
    mount = f"mount -t tmpfs -o size={size} tmpfs {folder}"
    if sys.platform != "linux" or subprocess.run(["unshare", "-Urm", *mount.split()], capture_output=True).returncode:
        pytest.skip("no mounts of one's own here")
    return ("unshare", "-Urm", "sh", "-c", f"{mount} && exec {' '.join(TOY_WORKER)}")


def test_a_full_disk_under_the_results_fails_the_job_alone(bench: Bench) -> None:
    client = bench.client(command=on_small_disk(bench, bench.root / "small", "120k"))
    failed = finish(client, bench.submit(client, bench.job("small/out", frames=60)))[-1]
    assert isinstance(failed, Failed)
    assert failed.error == "OutputError"
    assert "disk is full" in failed.message
    assert isinstance(finish(client, bench.submit(client, bench.job("roomy")))[-1], Done)


def test_a_full_disk_under_the_journal_is_said_and_survived(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each frame's event is over 150 bytes, so those of 150 frames alone do not fit. The engine then hangs: however
    # fast it is, the job is not done before the worker has noticed.
    monkeypatch.setenv("CANCEL_GRACE", "0.5")
    bench.at(150, "hang")
    client = bench.client(command=on_small_disk(bench, Path(bench.folder) / "jobs", "20k"))
    job = bench.submit(client, bench.job("a", frames=200))
    failed = finish(client, job)[-1]
    assert isinstance(failed, Failed)
    assert failed.error == "OutputError"
    assert "cannot write down" in failed.message
    assert client.call(client.status(job)).state == "failed"
    with pytest.raises(OutputError, match="cannot write the job down"):
        bench.submit(client, bench.job("b"))
    assert [status.job for status in client.call(client.jobs()).jobs] == [job]


def test_the_connection_file_is_for_its_user_only(bench: Bench) -> None:
    bench.client()
    path = connection.connection_file(bench.folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    lost = hear_of_death(bench.client("second", ready=False))
    assert "Other users have access" in lost.message
    path.chmod(0o600)


def test_a_worker_that_cannot_start_says_why(bench: Bench) -> None:
    client = bench.client(command=(sys.executable, "-c", "raise SystemExit('no such thing: torch')"), ready=False)
    lost = listen(client, a(WorkerLost))[-1]
    assert isinstance(lost, WorkerLost)
    assert "ended as it started (code 1). no such thing: torch" in lost.message
    nobody = bench.client(command=("/nowhere/python",), ready=False)
    lost = listen(nobody, a(WorkerLost))[-1]
    assert isinstance(lost, WorkerLost)
    assert "cannot be started" in lost.message
    with pytest.raises(WorkerError, match="no worker"):
        nobody.submit(bench.job()).get()
    quiet = Client("quiet", bench.folder, start=False)
    with pytest.raises(WorkerError, match="No worker is running"):
        quiet.call(quiet.ping())
