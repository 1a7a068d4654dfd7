"""The way to a worker, where another one just begins, just ends, or has left things behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sa2va_plugin import connection as link
from sa2va_plugin import launcher

from sa2va_core.worker import service
from sa2va_core.worker.lock import ProcessLock

from .bench import Bench, until


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody asks whether a process is there")
def test_a_silent_stranger_on_a_dead_workers_port_is_passed_over(bench: Bench) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    link.make_private(bench.folder)
    with socket.create_server((link.HOST, 0)) as stranger:
        port = stranger.getsockname()[1]
        link.write_connection(bench.folder, link.Connection(port, "00" * 32, dead.pid, "", "", ""))
        client = bench.client()
        assert client.worker is not None
        assert client.worker.pid not in (dead.pid, os.getpid())


def test_a_startup_log_that_another_host_removes_first_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = launcher.startup_log(str(tmp_path))
    log.write_bytes(b"x" * (launcher._MAX_STARTUP_LOG + 1))
    unlink = Path.unlink

    def too_late(path: Path) -> None:
        if path == log:
            unlink(path)
        unlink(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", too_late)
        process = launcher.start(str(tmp_path), [sys.executable, "-c", "print('new')"])
    assert process.wait() == 0
    launcher._started.clear()
    assert log.read_text() == "new\n"


class Looked(Exception):
    pass


def test_no_lock_is_held_while_the_gpus_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = ProcessLock(tmp_path / "worker.lock")

    def look(engines: int | None) -> list[str]:
        assert lock.acquire()
        lock.release()
        raise Looked

    monkeypatch.setattr(service, "devices", look)
    monkeypatch.setenv(link.FOLDER_VARIABLE, "")  # the worker sets it
    with pytest.raises(Looked):
        service.run_worker(str(tmp_path))


def test_a_worker_is_started_once_another_one_lets_go(bench: Bench) -> None:
    """One that ends has no connection file any more, and its lock for as long as it stops its engines."""
    link.make_private(bench.folder)
    ending = ProcessLock(Path(bench.folder) / "worker.lock")
    assert ending.acquire()
    client, startup = bench.client(ready=False), launcher.startup_log(bench.folder)

    def turned_away() -> bool:
        assert client.pump() == []
        return startup.exists() and startup.read_text().count("running already") >= 2

    until(turned_away)
    ending.release()
    client.call(client.ping())
    assert client.worker is not None
    assert client.worker.pid == bench.pid
