"""A planned sheet, run through this machine's worker: its queue, its engines, its resume.

A batch keeps only a few jobs in the queue at a time, at a low priority, so that an artist's own job goes first and a
batch that is killed leaves little behind. A batch that is run again follows what it finds running, skips what is
finished and unchanged (the runner compares hashes) and does the rest.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sa2va_plugin import messages as m
from sa2va_plugin.client import Client, WorkerLost
from sa2va_plugin.errors import Cancelled, OutputError, ResultError, Sa2vaError, WorkerError
from sa2va_plugin.protocol import error_named

from sa2va_core.engines.base import Verdict
from sa2va_core.jobs import manifest
from sa2va_core.jobs.folder import frames_of_another
from sa2va_core.mattes.qc import result as qc
from sa2va_core.media.atomic import output_error, write_bytes
from sa2va_core.media.stored import read_stored
from sa2va_core.media.write import SCRATCH

from .plan import ShotJob

RECORD = "batch.json"
_VERSION = 1
PRIORITY = -10
#: Jobs of a batch that wait or run in the worker at one time.
WINDOW = 16
_LOOK_EVERY = 0.2
_LIVES = 5
_LISTED = 2000


@dataclass(eq=False)
class ShotState:
    """How far a shot is. ``state``: waiting, running, done, failed or cancelled. ``kept``: frames that an earlier run
    had finished; ``eta`` in seconds. ``scores``: the QC's, by object, 0..1. ``error``: why there is no result, or why
    it is not good enough."""

    job: ShotJob
    state: str = "waiting"
    done: int = 0
    total: int = 0
    kept: int = 0
    eta: float | None = None
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: Sa2vaError | None = None

    @property
    def folder(self) -> Path:
        return Path(self.job.spec.outputs.folder)

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


def standing(job: ShotJob) -> str:
    """What a batch would find of ``job``, from what is on disk: ``new``, ``unfinished``, ``finished`` (so it is only
    checked), ``changed`` (another job's results, whole or in part, which it replaces if they are the batch's own), or
    ``unreadable`` (results of a later version, or damaged: the shot will fail)."""
    folder = Path(job.spec.outputs.folder)
    try:
        data = manifest.read(folder)
    except ResultError:
        return "unreadable"
    if data is not None:
        return "finished" if data["job_hash"] == job.spec.hash() else "changed"
    if frames_of_another(job.spec, folder):
        return "changed"
    return "unfinished" if (folder / SCRATCH).is_dir() else "new"


Listener = Callable[[ShotState], None]


def run_batch(
    jobs: Sequence[ShotJob],
    folder: Path,
    connect: Callable[[], Client],
    *,
    on_change: Listener = lambda state: None,
    cancelled: threading.Event | None = None,
    fail_under: float | None = None,
) -> list[ShotState]:
    """Run ``jobs`` and return how each ended; one that fails does not stop the others.

    ``connect`` gives a client of the worker. ``on_change`` is called on this thread. ``cancelled``: set it from
    anywhere to stop; what is finished stays. ``fail_under``: a shot whose QC scores an object below it has failed, and
    keeps its results. Raises OutputError and WorkerError where nothing at all can be done.
    """
    batch = _Batch(jobs, folder, connect(), on_change, cancelled or threading.Event(), fail_under)
    try:
        batch.run()
    finally:
        batch.client.close()
    return batch.states


class _Batch:
    def __init__(
        self,
        jobs: Sequence[ShotJob],
        folder: Path,
        client: Client,
        on_change: Listener,
        cancelled: threading.Event,
        fail_under: float | None,
    ) -> None:
        self.client, self._on_change, self._cancelled, self._fail_under = client, on_change, cancelled, fail_under
        self.states = [ShotState(job) for job in jobs]
        self._record = _Record(folder)
        self._waiting = list(reversed(self.states))
        self._followed: dict[str, ShotState] = {}
        self._left_over: set[str] = set()
        self._stopping = False
        self._lives = _LIVES

    def run(self) -> None:
        self._find_running()
        while self._followed or self._waiting:
            if self._cancelled.is_set() and not self._stopping:
                self._stop()
            while self._waiting and len(self._followed) < WINDOW and not self._stopping:
                self._submit(self._waiting.pop())
            if not self._followed:
                continue
            for event in self.client.wait(_LOOK_EVERY):
                if isinstance(event, WorkerLost):
                    self._reconnect(event)
                    break
                state = self._followed.get(event.job)
                if state is not None:
                    self._take(event, state)

    def _find_running(self) -> None:
        """Go on with jobs that a killed batch left in the worker."""
        ours = {str(state.folder.absolute()): state for state in self.states}
        for status in self.client.call(self.client.jobs(_LISTED)).jobs:
            state = ours.get(status.folder)
            if state is not None and status.state in ("queued", "running") and state in self._waiting:
                self._waiting.remove(state)
                self._left_over.add(status.job)
                self._follow(status.job, state)
                self.client.call(self.client.follow(status.job))

    def _follow(self, job: str, state: ShotState) -> None:
        self._followed[job] = state

    def _submit(self, state: ShotState) -> None:
        try:
            overwrite = state.job.shot in self._record
            reply = self.client.submit(state.job.spec, priority=PRIORITY, overwrite=overwrite)
            self._follow(self.client.call(reply).job, state)
        except WorkerError as error:
            if self.client.state == "ready":
                self._close(state, "failed", error)
            else:
                self._waiting.append(state)
                self._reconnect(WorkerLost(error.message, error.hint))
        except Sa2vaError as error:
            self._close(state, "failed", error)

    def _stop(self) -> None:
        """Cancel what is queued; what never was stays as it is."""
        self._stopping = True
        error = Cancelled("The batch was stopped.", "Run the same command to go on.")
        for state in self._waiting:
            self._close(state, "cancelled", error)
        self._waiting.clear()
        for job in list(self._followed):
            self.client.cancel(job)

    def _reconnect(self, lost: WorkerLost) -> None:
        """Reach for the worker again, which starts one that has ended; its journal still has the jobs, and the client
        follows them on."""
        if self._lives == 0:
            raise WorkerError(lost.message, f"Run the same command to go on. {lost.hint}")
        self._lives -= 1
        self.client.reconnect()

    def _take(self, event: m.Event, state: ShotState) -> None:
        match event:
            case m.Started():
                state.state, state.total, state.done, state.kept = "running", event.total, event.kept, event.kept
                self._record.add(state.job.shot)
            case m.Progress():
                state.done, state.total, state.eta = event.done, event.total or state.total, event.eta
                self._lives = _LIVES
            case m.VerdictReached(state=("found" | "not in shot" | "ambiguous") as found):
                state.verdicts[event.object_name] = Verdict(found, event.reason, event.frames)
            case m.Done():
                del self._followed[event.job]
                self._finish(state, event.job)
                return
            case m.Failed():
                del self._followed[event.job]
                error = error_named(event.error, event.message, event.hint)
                self._close(state, "cancelled" if isinstance(error, Cancelled) else "failed", error)
                return
            case _:
                return
        self._on_change(state)

    def _finish(self, state: ShotState, job: str) -> None:
        try:
            data = manifest.read(state.folder)
        except ResultError as error:
            self._close(state, "failed", error)
            return
        other = data is not None and data["job_hash"] != state.job.spec.hash()
        if other and job in self._left_over and not self._stopping:
            # It was of an older sheet, left in the queue by a batch that was killed.
            state.state, state.verdicts = "waiting", {}
            self._waiting.append(state)
            return
        if data is None:
            self._close(state, "failed", OutputError("Its results are gone.", f"Run it again. {state.folder}"))
            return
        state.warnings = list(data["warnings"])
        state.scores = {item["name"]: item["score"] for item in data["objects"] if item["score"] is not None}
        try:
            if self._fail_under is not None:
                qc.require_score(qc.require(state.folder), state.folder, self._fail_under)
        except Sa2vaError as error:
            self._close(state, "failed", error)
            return
        self._close(state, "done", None)

    def _close(self, state: ShotState, how: str, error: Sa2vaError | None) -> None:
        state.state, state.error, state.eta = how, error, None
        self._on_change(state)


class _Record:
    """``batch.json``: the shots whose folders are this batch's own, and may be replaced when the sheet changes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORD
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(folder, error) from error
        data = read_stored(self._path, _VERSION, {"shots": list}) or {"shots": []}
        self._shots: dict[str, None] = dict.fromkeys(data["shots"])

    def __contains__(self, shot: str) -> bool:
        return shot in self._shots

    def add(self, shot: str) -> None:
        if shot not in self._shots:
            self._shots[shot] = None
            data = {"version": _VERSION, "shots": sorted(self._shots)}
            write_bytes(self._path, (json.dumps(data, indent=1) + "\n").encode())
