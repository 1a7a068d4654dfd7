"""A worker of its own for each test: folder, plate, engine that does as told, and clients."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import psutil
import pytest
from sa2va_plugin import connection, launcher
from sa2va_plugin.client import Client, WorkerLost
from sa2va_plugin.jobspec import EngineSpec, JobSpec, ObjectSpec, Outputs, Shot
from sa2va_plugin.messages import Done, Event, Failed, JobStatus

TOY_WORKER = (sys.executable, str(Path(__file__).with_name("toy_worker.py")))
SOON = 60.0
Seen = Event | WorkerLost
T = TypeVar("T")


class Bench:
    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.control = root, str(root / "worker"), root / "control"
        self.control.mkdir()
        self._clients: list[Client] = []

    def client(self, name: str = "test", command: tuple[str, ...] = TOY_WORKER, ready: bool = True) -> Client:
        client = Client(name, self.folder, command)
        self._clients.append(client)
        if ready:
            client.call(client.ping())
        return client

    def plate(self, frames: int) -> str:
        """A white disc that crosses a dark field, from frame 1001 on."""
        folder = self.root / f"plate{frames}"
        if not folder.exists():
            folder.mkdir()
            for i in range(frames):
                picture = np.full((54, 96, 3), 20, np.uint8)
                cv2.circle(picture, (20 + i, 27), 12, (240, 240, 240), -1, cv2.LINE_AA)
                cv2.imwrite(str(folder / f"disc.{1001 + i}.png"), picture)
        return str(folder / "disc.####.png")

    def job(self, out: str = "out", frames: int = 4, phrase: str = "the light", plate: str = "") -> JobSpec:
        shot = Shot(plate or self.plate(frames), fps=24.0)
        return JobSpec(shot, (ObjectSpec("light", phrase),), Outputs(self.out(out)), EngineSpec("brightness"))

    def out(self, name: str) -> str:
        return str(self.root / name)

    def submit(self, client: Client, spec: JobSpec, priority: int = 0, follow: bool = True) -> str:
        return client.call(client.submit(spec, priority, follow=follow)).job

    def delay(self, seconds: float) -> None:
        (self.control / "delay").write_text(str(seconds))

    def at(self, frame: int, what: str) -> None:
        """``what`` happens before the session's frame of that number, counted from 0; see toy_child."""
        (self.control / f"at-{frame}").write_text(what)

    def looked(self) -> list[str]:
        """The picture of every frame that any engine of this bench has looked at so far."""
        log = self.control / "looked"
        return log.read_text().splitlines() if log.exists() else []

    def release(self) -> None:
        """Let an engine that is told to ``hold`` go on."""
        (self.control / "release").touch()

    def wake_at_second_try(self, monkeypatch: pytest.MonkeyPatch) -> list[Client]:
        """Of clients that reach again for a stopped worker: one for each try, filled as they come. At the second the
        worker goes on, and its engine from where it holds."""
        reconnect, tries = Client.reconnect, list[Client]()

        def counted(client: Client) -> None:
            tries.append(client)
            if len(tries) == 2:
                os.kill(self.pid, signal.SIGCONT)
                self.release()
            reconnect(client)

        monkeypatch.setattr(Client, "reconnect", counted)
        return tries

    @property
    def pid(self) -> int:
        found = connection.read_connection(self.folder)
        assert found is not None
        return found.pid

    @property
    def engine(self) -> psutil.Process:
        """The engine's process, once there is one."""
        return until(lambda: next(iter(psutil.Process(self.pid).children()), None))

    def log(self) -> str:
        return connection.log_file(self.folder).read_text()

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for process in launcher._started:
            if process.poll() is None:
                for child in psutil.Process(process.pid).children():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
                process.kill()
                process.wait()
        launcher._started.clear()
        self.kill_worker()

    def kill_worker(self) -> None:
        """SIGKILL to whatever worker has its folder here, if one does."""
        left = connection.read_connection(self.folder)
        if left is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(left.pid)
            # A number of old may be somebody else's by now, or nobody's.
            if any(Path(word).name.endswith("_worker.py") for word in process.cmdline()):
                process.kill()


def until(what: Callable[[], T | None], seconds: float = SOON) -> T:
    """The first true value of ``what``."""
    deadline = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def listen(client: Client, stop: Callable[[Seen], bool], seconds: float = SOON) -> list[Seen]:
    """All that a client hears up to the first thing that ``stop`` wants."""
    deadline, heard = time.monotonic() + seconds, list[Seen]()
    while time.monotonic() < deadline:
        came = client.wait(0.2)
        for number, event in enumerate(came, 1):
            heard.append(event)
            if stop(event):
                # What comes with it is for the next who listens.
                client._events[:0] = came[number:]
                return heard
            assert not isinstance(event, WorkerLost), event
    raise AssertionError(f"it did not come; heard: {heard[-3:]}")


def closing(job: str) -> Callable[[Seen], bool]:
    return lambda event: isinstance(event, Done | Failed) and event.job == job


def a(kind: type) -> Callable[[Seen], bool]:
    return lambda event: isinstance(event, kind)


def finish(client: Client, job: str) -> list[Seen]:
    return listen(client, closing(job))


def wait_for(client: Client, job: str, state: str) -> JobStatus:
    def reached() -> JobStatus | None:
        status = client.call(client.status(job))
        return status if status.state == state else None

    return until(reached)


def results(folder: str) -> dict[str, str]:
    """Every result file's hash; the manifest without what names the folder."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and ".sa2va" not in path.parts:
            data = path.read_bytes()
            if path.name == "manifest.json":
                manifest = json.loads(data)
                manifest["job"]["outputs"]["folder"] = ""
                data = json.dumps(manifest).encode()
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
