"""The queue: which job runs next and where, and what becomes of it. Each lane runs one at a time, its engine warm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from sa2va_plugin.errors import Cancelled, JobSpecError, OutputError, Sa2vaError, WorkerError
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.messages import JobStatus

from .journal import Job, Journal
from .lane import Lane

ENGINE_IDLE = 600.0
CANCEL_GRACE = 10.0
SHUTDOWN_GRACE = 5.0
SAVE_AGAIN_AFTER = 5.0
MAX_PRIORITY = 1000
MAX_WAITING = 2000
_logger = logging.getLogger(__name__)


class _ShutDown(Cancelled):
    """Ends a run whose job stays in the queue."""


class Scheduler:
    """Runs the jobs of a journal, as many at a time as there are ``lanes``."""

    def __init__(self, journal: Journal, lanes: Sequence[Lane], engine_idle: float = ENGINE_IDLE) -> None:
        self.journal = journal
        self._lanes, self._engine_idle = lanes, engine_idle
        self._running: dict[asyncio.Task[None], Lane] = {}
        self._unsaved: set[str] = set()
        self._wake = asyncio.Event()
        self._stopping = False

    # What clients ask for

    async def submit(self, spec: JobSpec, priority: int, client: str, overwrite: bool = False) -> Job:
        """Raises JobSpecError, WorkerError (queue full), or OutputError where the job cannot be written down."""
        if abs(priority) > MAX_PRIORITY:
            raise JobSpecError(f"The priority {priority} is out of range.", f"Use -{MAX_PRIORITY} to {MAX_PRIORITY}.")
        if len(self._queue()) >= MAX_WAITING:
            raise WorkerError(f"{MAX_WAITING} jobs are waiting already.", "Submit it again once some are done.")
        job = self.journal.new(spec, priority, client, overwrite)
        await asyncio.to_thread(self.journal.add, job)
        self.journal.jobs[job.id] = job
        job.log.append(job.id, [{"kind": "queued", "position": self._position(job)}])
        _logger.info("job %s queued for %s", job.id, client)
        self._wake.set()
        return job

    async def cancel(self, identity: str) -> JobStatus:
        job = self.job(identity)
        error = Cancelled("The job was cancelled.", "Submit it again to go on from its finished frames.")
        lane = self._lane_of(job)
        if lane is not None:
            lane.stop(error, CANCEL_GRACE)
        elif not job.over:
            await self._close(job, error)
        return self.status(identity)

    def job(self, identity: str) -> Job:
        """Raises WorkerError for a job that is not here."""
        try:
            return self.journal.jobs[identity]
        except KeyError:
            raise WorkerError(f"The worker knows no job {identity[:64]!r}.", "`sa2va jobs` lists them.") from None

    def status(self, identity: str) -> JobStatus:
        job = self.job(identity)
        return job.status(self._position(job) if job.state == "queued" else None)

    def statuses(self) -> tuple[JobStatus, ...]:
        places = {job.id: place for place, job in enumerate(self._queue(), 1)}
        jobs = sorted(self.journal.jobs.values(), key=lambda job: job.order)
        return tuple(job.status(places.get(job.id)) for job in jobs)

    @property
    def idle(self) -> bool:
        return not self._running and not self._queue()

    def _queue(self) -> list[Job]:
        waiting = (job for job in self.journal.jobs.values() if job.state == "queued")
        return sorted(waiting, key=lambda job: (-job.priority, job.order))

    def _position(self, job: Job) -> int:
        return self._queue().index(job) + 1

    # Running

    def recover(self) -> None:
        """Put the jobs that an earlier worker left running back into the queue."""
        for job in self.journal.jobs.values():
            if job.state == "running":
                job.state = "queued"
                message = "The worker was restarted; the job goes on from its finished frames."
                waiting = {"kind": "queued", "position": self._position(job)}
                job.log.append(job.id, [{"kind": "warning", "message": message}, waiting])
                _logger.info("job %s goes on after a restart", job.id)

    async def run(self) -> None:
        """Work until :meth:`stop`."""
        try:
            while not self._stopping:
                self._wake.clear()
                for task in [task for task in self._running if task.done()]:
                    del self._running[task]
                    task.result()
                if not self._place():
                    await self._rest()
        finally:
            await asyncio.gather(*self._running)
            await self._end_engines()

    def _place(self) -> bool:
        """Start the next job that a lane is free for; False when there is none."""
        for job in self._queue():
            free = [lane for lane in self._lanes if lane.job is None and self._suits(lane, job)]
            if free:
                engine = job.spec.get("engine")
                # Where its engine is loaded, else where nothing is that another job may want.
                lane = min(free, key=lambda lane: (lane.loaded != engine, lane.loaded is not None))
                lane.begin(job)
                job.state = "running"
                task = asyncio.create_task(self._run(lane, job))
                task.add_done_callback(lambda _: self._wake.set())
                self._running[task] = lane
                return True
        return False

    def _suits(self, lane: Lane, job: Job) -> bool:
        """A job that names one lane's device waits for that lane."""
        wanted = job.spec.get("engine", {}).get("device")
        return lane.device == wanted or all(other.device != wanted for other in self._lanes)

    def _lane_of(self, job: Job) -> Lane | None:
        return next((lane for lane in self._lanes if lane.job is job), None)

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), SAVE_AGAIN_AFTER if self._unsaved else self._engine_idle)
            return
        for identity in tuple(self._unsaved):
            job = self.journal.jobs.get(identity)
            if job is None:
                # Forgotten since.
                self._unsaved.discard(identity)
            else:
                await self._save(job)
        if not self._unsaved and not self._running:
            await self._end_engines()

    def stop(self) -> None:
        """End :meth:`run`. Running jobs go back to the queue."""
        self._stopping = True
        self._wake.set()
        for lane in self._lanes:
            lane.stop(_ShutDown("The worker was shut down."), SHUTDOWN_GRACE)

    async def _run(self, lane: Lane, job: Job) -> None:
        _logger.info("job %s runs on %s", job.id, lane.device)
        try:
            await self._save(job)
            error = await lane.run(self._record)
        finally:
            lane.job = None
        if isinstance(error, _ShutDown):
            job.state = "queued"
            await self._save(job)
        else:
            await self._close(job, error)

    def _record(self, job: Job, bodies: Sequence[dict[str, Any]]) -> None:
        for body in bodies:
            if body["kind"] == "started":
                job.done, job.total = body["kept"], body["total"]
            elif body["kind"] == "progress":
                job.done, job.total = body["done"], body["total"]
        if bodies:
            job.log.append(job.id, bodies)
        if job.log.failing:
            problem = f"The worker cannot write down how the job goes: {job.log.path}"
            lane = self._lane_of(job)
            if lane is not None:
                lane.stop(OutputError(problem, "Make room on that disk, then submit the job again."), CANCEL_GRACE)

    async def _close(self, job: Job, error: Sa2vaError | None) -> None:
        """Give a job its last state and its last event."""
        closing: dict[str, Any] = {"kind": "done", "manifest": job.manifest}
        job.state = "done"
        if error is not None:
            job.state = "cancelled" if isinstance(error, Cancelled) else "failed"
            job.error, job.message, job.hint = type(error).__name__, error.message, error.hint
            closing = {"kind": "failed", "error": job.error, "message": job.message, "hint": job.hint}
        _logger.info("job %s %s %s", job.id, job.state, job.message)
        job.log.append(job.id, [closing])
        await self._save(job)
        self.journal.prune()

    async def _save(self, job: Job) -> None:
        try:
            await asyncio.to_thread(self.journal.save, job)
            self._unsaved.discard(job.id)
        except OSError as error:
            # The worker goes on; should it end before it can save, the job runs again and finds its frames.
            _logger.error("job %s cannot be saved (%s)", job.id, error.strerror)
            self._unsaved.add(job.id)

    async def _end_engines(self) -> None:
        await asyncio.gather(*(lane.end() for lane in self._lanes))
