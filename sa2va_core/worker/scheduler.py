"""The queue: which job runs next, and what becomes of it. One at a time, in one engine process that is kept warm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from typing import Any

from sa2va_plugin.errors import Cancelled, EngineError, JobSpecError, OutputError, Sa2vaError, WorkerError
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.messages import JobStatus
from sa2va_plugin.protocol import error_named

from .engine_process import EngineDied, EngineProcess
from .journal import Job, Journal

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
    """Runs the jobs of a journal. ``command`` starts an engine process; ``log``: the file that errors point to."""

    def __init__(self, journal: Journal, command: Sequence[str], log: str, engine_idle: float = ENGINE_IDLE) -> None:
        self.journal = journal
        self._command, self._log, self._engine_idle = command, log, engine_idle
        self._engine: EngineProcess | None = None
        self._running: Job | None = None
        self._cancelled: Sa2vaError | None = None
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
        if job is self._running:
            self._stop_running(error, CANCEL_GRACE)
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
        return self._running is None and not self._queue()

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
                queue = self._queue()
                if queue:
                    await self._run(queue[0])
                else:
                    await self._rest()
        finally:
            await self._end_engine()

    async def _rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), SAVE_AGAIN_AFTER if self._unsaved else self._engine_idle)
            return
        for identity in tuple(self._unsaved):
            await self._save(self.job(identity))
        if not self._unsaved:
            await self._end_engine()

    def stop(self) -> None:
        """End :meth:`run`. A running job goes back to the queue."""
        self._stopping = True
        self._wake.set()
        if self._running is not None:
            self._stop_running(_ShutDown("The worker was shut down."), SHUTDOWN_GRACE)

    def _stop_running(self, error: Sa2vaError, grace: float) -> None:
        if self._cancelled is not None or self._running is None:
            return
        self._cancelled = error
        engine = self._engine
        if engine is not None:
            engine.cancel(self._running.id)
            asyncio.get_running_loop().call_later(grace, self._kill, self._running, engine)

    def _kill(self, job: Job, engine: EngineProcess) -> None:
        if self._running is job and self._engine is engine:
            _logger.warning("job %s does not stop: its engine process is killed", job.id)
            engine.kill()

    async def _run(self, job: Job) -> None:
        self._running, self._cancelled = job, None
        job.state = "running"
        _logger.info("job %s runs", job.id)
        try:
            await self._save(job)
            error = await self._drive(job)
        finally:
            self._running = None
        if isinstance(error, _ShutDown):
            job.state = "queued"
            await self._save(job)
            return
        if isinstance(error, EngineError):
            # What a failed engine left on the device is unknown.
            await self._end_engine(kill=True)
        await self._close(job, error)

    async def _drive(self, job: Job) -> Sa2vaError | None:
        """Run a job up to its closing event, which is kept back; returns its error."""
        try:
            if self._engine is None or not self._engine.alive:
                await self._end_engine(kill=True)
                self._engine = await EngineProcess.start(self._command)
            if self._cancelled is not None:
                return self._cancelled
            async for bodies in self._engine.run(job.id, job.spec, job.overwrite):
                closing = bodies.pop() if bodies[-1]["kind"] in ("done", "failed") else None
                self._record(job, bodies)
                if closing is None:
                    continue
                if closing["kind"] == "done":
                    job.manifest = closing["manifest"]
                    return None
                return self._cancelled or error_named(closing["error"], closing["message"], closing["hint"])
        except EngineDied as died:
            return self._cancelled or self._death(died.code)
        except OSError as error:
            return EngineError(f"The engine's process cannot be started ({error.strerror}).", self._see_log())
        except (ValueError, KeyError, TypeError):
            _logger.exception("job %s: the engine's process talks nonsense", job.id)
        return EngineError("The engine's process was not understood.", self._see_log())

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
            self._stop_running(OutputError(problem, "Make room on that disk, then submit the job again."), CANCEL_GRACE)

    def _death(self, code: int) -> EngineError:
        if code == -getattr(signal, "SIGKILL", 9):
            why = "was killed, perhaps by the system because memory ran out"
        elif code < 0:
            why = f"crashed ({signal.strsignal(-code)})"
        else:
            why = f"ended (code {code})"
        return EngineError(f"The engine's process {why}.", f"Submit the job again to go on. {self._see_log()}")

    def _see_log(self) -> str:
        return f"The worker's log has the details: {self._log}"

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

    async def _end_engine(self, kill: bool = False) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            if kill:
                engine.kill()
            await engine.close()
