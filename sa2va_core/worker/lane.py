"""One engine process and the job that runs in it. A worker has a lane for each GPU, or one."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from sa2va_plugin.errors import EngineError, Sa2vaError
from sa2va_plugin.protocol import error_named

from .engine_process import EngineDied, EngineProcess
from .journal import Job

_GPUS_WITHIN = 20.0
_logger = logging.getLogger(__name__)
Record = Callable[[Job, Sequence[dict[str, Any]]], None]


def devices(lanes: int | None = None) -> list[str]:
    """What each lane's engine means by ``auto``: every NVIDIA GPU that this process may use, or just ``auto``.

    ``lanes``: so many; they take the GPUs in turn.
    """
    names = _gpus()
    return names if lanes is None else [names[number % len(names)] for number in range(lanes)]


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        count = len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    else:
        count = _listed_gpus()
    return [f"cuda:{number}" for number in range(count)] if count > 1 else ["auto"]


def _listed_gpus() -> int:
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        listed = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=_GPUS_WITHIN, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


class Lane:
    """``device``: what ``auto`` means here. ``job``: the one that runs, if any. ``log``: where errors point to."""

    def __init__(self, number: int, device: str, command: Sequence[str], log: str) -> None:
        self.device = device
        self.job: Job | None = None
        #: The engine that is loaded here, as a job's spec names it.
        self.loaded: Any = None
        self._command = [*command, "--lane", str(number), "--device", device]
        self._log = log
        self._engine: EngineProcess | None = None
        self._stopped: Sa2vaError | None = None

    def begin(self, job: Job) -> None:
        """Take the lane for ``job``; :meth:`run` follows."""
        self.job, self._stopped, self.loaded = job, None, job.spec.get("engine")

    async def run(self, record: Record) -> Sa2vaError | None:
        """Run the job up to its closing event, which is kept back; returns its error."""
        assert self.job is not None
        error = await self._drive(self.job, record)
        if isinstance(error, EngineError):
            # What a failed engine left on the device is unknown.
            await self.end(kill=True)
        return error

    def stop(self, error: Sa2vaError, grace: float) -> None:
        """Ask the job to stop, for the reason ``error``, and kill its process if it has not after ``grace`` seconds."""
        if self._stopped is not None or self.job is None:
            return
        self._stopped = error
        if self._engine is not None:
            self._engine.cancel(self.job.id)
            asyncio.get_running_loop().call_later(grace, self._kill, self.job, self._engine)

    def _kill(self, job: Job, engine: EngineProcess) -> None:
        if self.job is job and self._engine is engine:
            _logger.warning("job %s does not stop: its engine process is killed", job.id)
            engine.kill()

    async def _drive(self, job: Job, record: Record) -> Sa2vaError | None:
        try:
            if self._engine is None or not self._engine.alive:
                await self.end(kill=True)
                self._engine = await EngineProcess.start(self._command)
                self.loaded = job.spec.get("engine")
            if self._stopped is not None:
                return self._stopped
            async for bodies in self._engine.run(job.id, job.spec, job.overwrite):
                closing = bodies.pop() if bodies[-1]["kind"] in ("done", "failed") else None
                record(job, bodies)
                if closing is None:
                    continue
                if closing["kind"] == "done":
                    job.manifest = closing["manifest"]
                    return None
                return self._stopped or error_named(closing["error"], closing["message"], closing["hint"])
        except EngineDied as died:
            return self._stopped or self._death(died.code)
        except OSError as error:
            return EngineError(f"The engine's process cannot be started ({error.strerror}).", self._see_log())
        except (ValueError, KeyError, TypeError):
            _logger.exception("job %s: the engine's process talks nonsense", job.id)
        return EngineError("The engine's process was not understood.", self._see_log())

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

    async def end(self, kill: bool = False) -> None:
        """End the engine's process: politely, or not."""
        engine, self._engine, self.loaded = self._engine, None, None
        if engine is not None:
            if kill:
                engine.kill()
            await engine.close()
