"""The worker's handle on the engine's process (:mod:`sa2va_core.worker.child`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sa2va_plugin.errors import EngineError
from sa2va_plugin.messages import EngineList
from sa2va_plugin.protocol import ProtocolError, from_params

CLOSE_WITHIN = 5.0
DESCRIBE_WITHIN = 120.0
_CHUNK = 64 * 1024
_logger = logging.getLogger("engine")


class EngineDied(Exception):
    """The process ended in mid-job. ``code``: its exit status, negative for a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class EngineProcess:
    """One running child. Make it with :meth:`start`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._logging = asyncio.create_task(_log_lines(process))

    @staticmethod
    async def start(command: Sequence[str]) -> EngineProcess:
        """Raises OSError."""
        return EngineProcess(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE))

    @property
    def alive(self) -> bool:
        assert self._process.stdout is not None
        return self._process.returncode is None and not self._process.stdout.at_eof()

    async def run(self, job: str, spec: dict[str, Any], overwrite: bool) -> AsyncIterator[list[dict[str, Any]]]:
        """Batches of event bodies; the last one ends with ``done`` or ``failed``. Raises EngineDied."""
        stdout = self._process.stdout
        assert stdout is not None
        self._send({"run": job, "spec": spec, "overwrite": overwrite})
        rest = b""
        while True:
            data = await stdout.read(_CHUNK)
            if not data:
                raise EngineDied(await self._process.wait())
            *lines, rest = (rest + data).split(b"\n")
            batch = [json.loads(line) for line in lines]
            if batch:
                yield batch
                if batch[-1]["kind"] in ("done", "failed"):
                    return

    def cancel(self, job: str) -> None:
        """Ask the job to stop."""
        self._send({"cancel": job})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode("ascii") + b"\n")

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """End the process: politely, then not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), CLOSE_WITHIN)
        except TimeoutError:
            self.kill()
            await self._process.wait()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._logging, CLOSE_WITHIN)


async def _log_lines(process: Process) -> None:
    assert process.stderr is not None
    rest = b""
    while data := await process.stderr.read(_CHUNK):
        # Progress bars rewrite one line without ever ending it.
        *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
        rest = rest[-_CHUNK:]
        for line in lines:
            if line.strip():
                _logger.info("%s", line.decode("utf-8", "replace"))


async def describe_engines(command: Sequence[str]) -> EngineList:
    """Ask a short-lived child which engines there are, since telling means loading their code. Raises EngineError."""
    process = await asyncio.create_subprocess_exec(
        *command, "--describe", stdout=PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), DESCRIBE_WITHIN)
        return from_params(EngineList, json.loads(output))
    except (TimeoutError, ValueError, ProtocolError) as error:
        if process.returncode is None:
            process.kill()
        raise EngineError("The engines cannot be listed.", "Run `sa2va engines` to see why.") from error
