"""The worker's door: connections from this machine, each proven to be the same user's before a message is read.

No client can cost another one anything: what it does not read stays in its job's log on disk, and while its answers
pile up, its requests are not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from asyncio import StreamReader, StreamWriter
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sa2va_plugin import connection as link
from sa2va_plugin import protocol
from sa2va_plugin.errors import JobSpecError, Sa2vaError, WorkerError
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.messages import (
    VERBS,
    EngineList,
    Hello,
    JobId,
    JobList,
    JobStatus,
    List,
    Nothing,
    Submit,
    Submitted,
    Subscribe,
    Subscribed,
    Welcome,
)
from sa2va_plugin.protocol import ProtocolError, Request

from .engine_process import describe_engines
from .journal import Job
from .scheduler import Scheduler

HANDSHAKE_WITHIN = 5.0
MAX_UNREAD = 1024 * 1024
MAX_AT_ONCE = 16
MAX_PIECE = 256 * 1024
#: Time for the answer to `shutdown` to leave.
GOODBYE = 0.1
_CHUNK = 64 * 1024
_logger = logging.getLogger(__name__)


class Server:
    """Listens on a loopback port. ``welcome``: what hello answers; ``on_shutdown`` is called for that verb."""

    def __init__(
        self,
        scheduler: Scheduler,
        token: bytes,
        welcome: Welcome,
        child_command: list[str],
        on_shutdown: Callable[[], None],
        max_clients: int,
    ) -> None:
        self.scheduler, self.welcome, self.child_command = scheduler, welcome, child_command
        self.on_shutdown = on_shutdown
        self._token, self._max_clients = token, max_clients
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> int:
        """Start to listen; returns the port. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, link.HOST, 0, backlog=1024)
        return self._server.sockets[0].getsockname()[1]

    @property
    def clients(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= self._max_clients:
            _logger.warning("a connection over the limit of %d was closed", self._max_clients)
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            async with asyncio.timeout(HANDSHAKE_WITHIN):
                known = await self._handshake(reader, writer)
            if known:
                await Session(self, reader, writer).run()
            else:
                _logger.warning("a connection without the right token was closed")
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _handshake(self, reader: StreamReader, writer: StreamWriter) -> bool:
        if await reader.readexactly(len(link.MAGIC)) != link.MAGIC:
            return False
        theirs, ours = await reader.readexactly(link.NONCE_SIZE), link.new_nonce()
        writer.write(ours + link.worker_proof(self._token, theirs, ours))
        given = await reader.readexactly(link.PROOF_SIZE)
        return link.proves(given, link.client_proof(self._token, theirs, ours))


class Session:
    """One client that has proven itself."""

    def __init__(self, server: Server, reader: StreamReader, writer: StreamWriter) -> None:
        self._server, self._scheduler = server, server.scheduler
        self._reader, self._writer = reader, writer
        self._client = ""
        self._answers: deque[bytes] = deque()
        self._unread = 0
        self._room = asyncio.Event()
        self._wake = asyncio.Event()
        self._reading: dict[str, tuple[Job, int]] = {}
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._slow: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        sending = asyncio.create_task(self._send())
        sending.add_done_callback(lambda _: self._writer.transport.abort())
        try:
            await self._receive()
        except ProtocolError as error:
            _logger.warning("a client was cut off: %s", error.message)
            self._writer.write(protocol.frame(protocol.refusal(None, protocol.PARSE_ERROR, error)))
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(1.0):
                    await self._writer.drain()
            self._writer.close()
        finally:
            for task in (sending, *self._slow):
                task.cancel()
            for job, _ in self._reading.values():
                job.log.watchers.discard(self._wake.set)

    # In

    async def _receive(self) -> None:
        parser = protocol.Parser()
        while data := await self._reader.read(_CHUNK):
            for body in parser.feed(data):
                message = protocol.classify(body)
                if isinstance(message, Request):
                    await self._take(message)
                while self._unread > MAX_UNREAD:
                    self._room.clear()
                    await self._room.wait()

    async def _take(self, request: Request) -> None:
        handler = _HANDLERS.get(request.method)
        if handler is None:
            error = WorkerError(f"The worker has no verb {request.method[:64]!r}.", "Update Sa2VA Roto.")
            self._answer(protocol.refusal(request.id, protocol.UNKNOWN_METHOD, error))
        elif not self._client and request.method != "hello":
            error = WorkerError("The first request must be hello.", "Check the host's plug-in.")
            self._answer(protocol.refusal(request.id, protocol.HELLO_FIRST, error))
        elif request.method in ("submit", "cancel", "engines"):
            # They wait for a disk or a process; pings behind them must not.
            await self._at_once.acquire()
            task = asyncio.create_task(self._handle(handler, request))
            self._slow.add(task)
            task.add_done_callback(lambda done: (self._slow.discard(done), self._at_once.release()))
        else:
            await self._handle(handler, request)

    async def _handle(self, handler: Handler, request: Request) -> None:
        try:
            params = protocol.from_params(VERBS[request.method].params, request.params)
        except ProtocolError as error:
            self._answer(protocol.refusal(request.id, protocol.INVALID_PARAMS, error))
            return
        try:
            result = await handler(self, params)
        except VersionError as error:
            self._answer(protocol.refusal(request.id, protocol.NO_COMMON_VERSION, error))
        except Sa2vaError as error:
            self._answer(protocol.refusal(request.id, protocol.FAILED, error))
        else:
            self._answer(protocol.response(request.id, protocol.to_params(result)))

    # Out

    def _answer(self, body: bytes) -> None:
        if len(body) > protocol.MAX_BODY:
            error = WorkerError("The answer is too long to send.", "Ask for less.")
            body = protocol.refusal(json.loads(body)["id"], protocol.FAILED, error)
        self._answers.append(protocol.frame(body))
        self._unread += len(body)
        self._wake.set()

    async def _send(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._write_some():
                    await self._writer.drain()
                    # A drain that need not wait lets nobody else have a turn.
                    await asyncio.sleep(0)

    def _write_some(self) -> bool:
        """Hand over all answers and a piece of each log that is being followed; False when there was nothing."""
        wrote = bool(self._answers)
        if self._answers:
            self._writer.write(b"".join(self._answers))
            self._answers.clear()
            self._unread = 0
            self._room.set()
        size = 0
        for identity, (job, offset) in tuple(self._reading.items()):
            data = job.log.read(offset)
            if data:
                self._writer.write(b"".join(protocol.frame(line) for line in data.splitlines()))
                # To the end of the row: the next piece begins with another job.
                del self._reading[identity]
                self._reading[identity] = job, offset + len(data)
                size += len(data)
            elif job.over:
                self._forget(job)
            if size > MAX_PIECE:
                break
        return wrote or size > 0

    def _follow(self, job: Job, since: int) -> None:
        self._reading[job.id] = job, job.log.offset_after(since)
        job.log.watchers.add(self._wake.set)
        self._wake.set()

    def _forget(self, job: Job) -> None:
        del self._reading[job.id]
        job.log.watchers.discard(self._wake.set)

    # Verbs

    async def _hello(self, params: Hello) -> Welcome:
        common = set(params.protocols) & set(protocol.VERSIONS)
        if not common:
            ours = ", ".join(map(str, protocol.VERSIONS))
            raise VersionError(
                f"The worker ({self._server.welcome.version}) speaks protocol {ours}, the host does not.",
                "Update the older of the two, then end the worker with `sa2va worker --stop`.",
            )
        self._client = params.client[:100] or "unnamed"
        return Welcome(max(common), self._server.welcome.version, self._server.welcome.pid, self._server.welcome.log)

    async def _ping(self, params: Nothing) -> Nothing:
        return params

    async def _engines(self, params: Nothing) -> EngineList:
        return await describe_engines(self._server.child_command)

    async def _submit(self, params: Submit) -> Submitted:
        spec = JobSpec.from_dict(params.spec)
        _require_absolute(spec)
        job = await self._scheduler.submit(spec, params.priority, self._client, params.overwrite)
        if params.follow:
            # Answers are sent before logs: the client learns the job's name before it hears of the job.
            self._follow(job, 0)
        return Submitted(job.id)

    async def _cancel(self, params: JobId) -> JobStatus:
        return await self._scheduler.cancel(params.job)

    async def _status(self, params: JobId) -> JobStatus:
        return self._scheduler.status(params.job)

    async def _list(self, params: List) -> JobList:
        return JobList(self._scheduler.statuses()[-max(1, params.limit) :])

    async def _subscribe(self, params: Subscribe) -> Subscribed:
        job = self._scheduler.job(params.job)
        self._follow(job, params.since)
        return Subscribed(job.id, job.log.last)

    async def _shutdown(self, params: Nothing) -> Nothing:
        asyncio.get_running_loop().call_later(GOODBYE, self._server.on_shutdown)
        return params


def _require_absolute(spec: JobSpec) -> None:
    pins = [pin.path for item in spec.objects for pin in item.masks]
    for path in (spec.shot.path, spec.outputs.folder, *pins):
        if not Path(path).is_absolute():
            raise JobSpecError(f"The worker cannot tell where this is: {path}", "Give the path from its root on.")


class VersionError(WorkerError):
    """The two sides share no protocol version."""


Handler = Callable[[Session, Any], Awaitable[Any]]
_HANDLERS: dict[str, Handler] = {
    "hello": Session._hello,
    "ping": Session._ping,
    "engines": Session._engines,
    "submit": Session._submit,
    "cancel": Session._cancel,
    "status": Session._status,
    "list": Session._list,
    "subscribe": Session._subscribe,
    "shutdown": Session._shutdown,
}
