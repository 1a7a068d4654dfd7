"""The tests themselves, for unittest: hosts' Pythons have it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from .. import connection
from ..client import Client
from .plate import FIRST, write_plate

#: A host's window stutters above this.
LONGEST_TICK = 0.25
#: So many ticks of a job may take longer: starting the worker's process hangs on the machine, not on the adapter.
LONG_TICKS = 1
DEAD_WITHIN = 3.0
TICK = 0.05


class HostUnderTest(ABC):
    """A running host with its adapter and one open document, as its user and its timer know it."""

    @abstractmethod
    def fill_in(self, plate: str, name: str, phrase: str, folder: str, engine: str) -> None:
        """What the user chooses and types: a plate, one object, where results go."""

    @abstractmethod
    def press_run(self) -> None: ...

    @abstractmethod
    def press_cancel(self) -> None: ...

    @abstractmethod
    def press_go_on(self) -> None:
        """What the adapter offers once the worker was lost."""

    @abstractmethod
    def tick(self) -> None:
        """One call of the adapter's timer."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether the panel shows a job that is not over."""

    @property
    @abstractmethod
    def offers_go_on(self) -> bool:
        """Whether the panel offers to reach for the worker again."""

    @property
    @abstractmethod
    def shown(self) -> str:
        """All that the panel says at this moment."""

    @property
    @abstractmethod
    def mattes(self) -> Sequence[str]:
        """Matte files (patterns, of sequences) that the document refers to."""

    @abstractmethod
    def close(self) -> Any:
        """Quit the host; returns the saved document."""


class AdapterConformance(unittest.TestCase):
    """Subclass it, and say how a host is opened. Every test has a worker of its own.

    ``command`` runs a worker; ``engine`` and ``phrase`` are for jobs of ``frames`` frames on a plate of a bright disc.
    """

    __test__ = False

    command: Sequence[str] = ()
    engine = "starter"
    phrase = "the man"
    frames = 12

    def open_host(self, folder: str, command: Sequence[str], document: Any = None) -> HostUnderTest:
        """Start the host with a worker folder and command, and open a new document or a saved one."""
        raise NotImplementedError

    def make_jobs_slow(self, slow: bool) -> None:
        """Where an engine can be slowed down: 50 ms a frame or more."""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="sa2va-conformance-"))
        self.addCleanup(shutil.rmtree, str(self.root), True)
        self.folder = str(self.root / "worker")
        self.addCleanup(self._end_worker)
        self.plate = write_plate(self.root / "plate", self.frames)
        self.out = str(self.root / "mattes of 'shot' 袋")
        self.host = self.open_host(self.folder, self.command)
        self.ticks: list[float] = []
        self.machine_stalls = 0

    # Tests

    def test_a_job_ends_with_mattes_in_the_document(self) -> None:
        before = set(sys.modules)
        self._start()
        self._tick_until(lambda: not self.host.busy, 120)
        assert self.host.mattes, self.host.shown
        for pattern in self.host.mattes:
            for number in (FIRST, FIRST + self.frames - 1):
                assert Path(pattern.replace("####", str(number))).is_file(), pattern
        foreign = {name.partition(".")[0] for name in set(sys.modules) - before} & {
            "numpy",
            "torch",
            "cv2",
            "sa2va_core",
        }
        assert foreign == set(), "an adapter brings no packages into its host"

    def test_the_window_never_waits(self) -> None:
        threads = set(threading.enumerate())
        self._start()
        self._tick_until(lambda: not self.host.busy, 120)
        long = [seconds for seconds in self.ticks if seconds > LONGEST_TICK]
        assert len(long) <= LONG_TICKS + self.machine_stalls, (long, self.machine_stalls)
        assert set(threading.enumerate()) - threads == set(), "hosts do not bear threads"

    def test_progress_is_shown(self) -> None:
        self.make_jobs_slow(True)
        self._start()
        seen = set()

        def look() -> bool:
            seen.add(self.host.shown)
            return not self.host.busy

        self._tick_until(look, 120)
        assert len(seen) > 3, seen
        assert any(f" of {self.frames}" in text for text in seen), seen

    def test_what_is_wrong_is_explained(self) -> None:
        for plate, phrase in (
            (str(self.root / "gone" / "plate.####.exr"), self.phrase),
            (self.plate, "a 袋 \"quoted\" 'thing' 🎒 [with] {tcl} \\ and $HOME"),
            (self.plate, "x" * 10_000),
            (self.plate, ""),
        ):
            self.host.fill_in(plate, "thing", phrase, self.out, self.engine)
            self.host.press_run()
            self._tick_until(lambda: not self.host.busy, 60)
            assert not self.host.mattes
            assert len(self.host.shown) > 10
            assert "Traceback" not in self.host.shown

    def test_run_pressed_twice_runs_once(self) -> None:
        self._start()
        self.host.press_run()
        self._tick_until(lambda: not self.host.busy, 120)
        client = Client("conformance", self.folder, start=False)
        self.addCleanup(client.close)
        assert len(client.call(client.jobs()).jobs) == 1

    def test_a_cancelled_job_stops_and_goes_on_later(self) -> None:
        self.make_jobs_slow(True)
        self._start()
        self._tick_until(self._some_frames, 60)
        self.host.press_cancel()
        self._tick_until(lambda: not self.host.busy, 30)
        assert not self.host.mattes
        self.make_jobs_slow(False)
        self.host.press_run()
        self._tick_until(lambda: not self.host.busy, 120)
        assert self.host.mattes, self.host.shown

    def test_a_dead_worker_is_told_and_gone_on_from(self) -> None:
        self.make_jobs_slow(True)
        self._start()
        self._tick_until(self._some_frames, 60)
        self._kill_worker()
        self._tick_until(lambda: self.host.offers_go_on, DEAD_WITHIN)
        assert str(connection.log_file(self.folder)) in self.host.shown
        self.make_jobs_slow(False)
        self.host.press_go_on()
        self._tick_until(lambda: not self.host.busy, 120)
        assert self.host.mattes, self.host.shown

    def test_a_job_is_collected_by_the_document_that_was_closed(self) -> None:
        self.make_jobs_slow(True)
        self._start()
        self._tick_until(self._some_frames, 60)
        document = self.host.close()
        self.make_jobs_slow(False)
        self.host = self.open_host(self.folder, self.command, document)
        assert self.host.busy
        self._tick_until(lambda: not self.host.busy, 120)
        assert self.host.mattes, self.host.shown

    def test_a_document_whose_job_is_forgotten_says_so(self) -> None:
        self.make_jobs_slow(True)
        self._start()
        self._tick_until(self._some_frames, 60)
        document = self.host.close()
        self._kill_worker()
        shutil.rmtree(self.folder)
        self.host = self.open_host(self.folder, self.command, document)
        self._tick_until(lambda: not self.host.busy, 60)
        assert "no job" in self.host.shown

    def test_a_worker_that_cannot_start_is_explained(self) -> None:
        self.host.close()
        self.host = self.open_host(self.folder, [sys.executable, "-c", "raise SystemExit('it is broken')"])
        self._start()
        self._tick_until(lambda: not self.host.busy or self.host.offers_go_on, 30)
        assert "it is broken" in self.host.shown

    # Help

    def _start(self) -> None:
        self.host.fill_in(self.plate, "thing", self.phrase, self.out, self.engine)
        self.host.press_run()
        assert self.host.busy, self.host.shown

    def _tick_until(self, reached: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            began = _own_time()
            self.host.tick()
            ended = _own_time()
            self.ticks.append(ended - began)
            if reached():
                return
            time.sleep(TICK)
            # Nothing of the adapter runs here.
            self.machine_stalls += _own_time() - ended > TICK + LONGEST_TICK
        self.fail(f"it did not come within {seconds} s; the panel says: {self.host.shown}")

    def _some_frames(self) -> bool:
        return written(self.out) >= 2

    def _pid(self) -> Optional[int]:
        found = connection.read_connection(self.folder)
        return found.pid if found else None

    def _kill_worker(self) -> None:
        pid = self._pid()
        assert pid is not None
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def _end_worker(self) -> None:
        self.host.close()
        if self._pid() is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._kill_worker()


def written(folder: str) -> int:
    """How many EXR files are in a folder and those in it; one of these may go away meanwhile, which ``rglob`` minds."""
    return sum(name.endswith(".exr") for _, _, names in os.walk(folder) for name in names)


def _own_time() -> float:
    """Seconds in which this thread ran or waited for something, without those in which others had its core.

    A loaded machine is no fault of an adapter. Linux alone says how long a thread was kept from running; elsewhere all
    time counts.
    """
    now = time.perf_counter()
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            return now - int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return now
