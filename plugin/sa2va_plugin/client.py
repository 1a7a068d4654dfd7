"""A host's end of the worker: never blocks, uses no threads.

Call :meth:`Client.pump` from a timer (10 times a second is plenty) and show what it returns. It takes milliseconds,
whatever the worker does: connecting, starting a worker, sending and receiving are all done in small steps. Programs
without a timer call :meth:`Client.wait` or :meth:`Client.call` instead.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Generic, Optional, TypeVar, Union

from . import connection as link
from . import launcher, protocol
from .errors import Sa2vaError, WorkerError
from .jobspec import JobSpec
from .messages import (
    Done,
    EngineList,
    Event,
    Failed,
    Hello,
    JobId,
    JobList,
    JobStatus,
    Nothing,
    Submit,
    Submitted,
    Subscribe,
    Subscribed,
    Welcome,
    event_of,
)

R = TypeVar("R")

START_WITHIN = 30.0
ANSWER_WITHIN = 1.5
PING_EVERY = 1.0
#: A host may be busy between two pumps; only so much of the gap counts as silence of the worker.
LONGEST_PUMP_GAP = 0.5
PUMP_BUDGET = 0.02
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class WorkerLost:
    """The worker died, does not answer, or cannot be started. Jobs are safe: :meth:`Client.reconnect` goes on."""

    message: str
    hint: str


class Reply(Generic[R]):
    """The answer to a request, once it is there."""

    def __init__(self, result: type[R], then: Optional[Callable[[R], None]] = None) -> None:
        self._type, self._then = result, then
        self._value: Union[R, Sa2vaError, None] = None

    @property
    def done(self) -> bool:
        return self._value is not None

    def get(self) -> R:
        """The result. Raises the worker's error, or WorkerError when there is no answer (yet)."""
        if self._value is None:
            raise WorkerError("The worker has not answered yet.", "Pump the client, then ask again.")
        if isinstance(self._value, Sa2vaError):
            raise self._value
        return self._value

    def _settle(self, response: protocol.Response) -> None:
        if response.error is not None:
            self._value = response.error
        else:
            self._value = protocol.from_params(self._type, response.result)
            if self._then is not None:
                self._then(self._value)

    def _fail(self, error: Sa2vaError) -> None:
        self._value = error


class Client:
    """One host's connection. Not for use from several threads.

    ``state``: ``connecting``, ``ready``, ``lost`` or ``closed``. ``command`` runs a worker where none is running (None:
    what set-up recorded); with ``start=False`` none is started. ``ocio`` stands for $OCIO, which some hosts set for
    themselves (None: this process's).
    """

    def __init__(
        self,
        name: str,
        folder: str = "",
        command: Optional[Sequence[str]] = None,
        start: bool = True,
        ocio: Optional[str] = None,
    ) -> None:
        self.name = name
        self._ocio = os.environ.get("OCIO", "") if ocio is None else ocio
        self.folder = folder or link.worker_folder()
        self.state = "connecting"
        self.worker: Optional[Welcome] = None
        self._command, self._start = command, start
        self._followed: dict[str, int] = {}
        self._reset()

    def _reset(self) -> None:
        self._socket: Optional[socket.socket] = None
        self._outgoing = bytearray()
        self._waiting: deque[bytes] = deque()
        self._parser = protocol.Parser()
        self._replies: dict[int, Reply[Any]] = {}
        self._next_id = 1
        self._events: list[Union[Event, WorkerLost]] = []
        self._ping: Optional[Reply[Nothing]] = None
        self._silence = 0.0
        self._pumped = time.monotonic()
        self._connecting: Optional[Iterator[None]] = self._connect()

    # What hosts call

    def pump(self) -> list[Union[Event, WorkerLost]]:
        """Take one small step and return what has come in since the last call. Never blocks, never raises."""
        now = time.monotonic()
        gap, self._pumped = min(now - self._pumped, LONGEST_PUMP_GAP), now
        try:
            if self.state == "connecting" and self._connecting is not None:
                next(self._connecting, None)
            elif self.state == "ready":
                self._receive(now + PUMP_BUDGET)
                self._heartbeat(gap)
            self._flush()
        except (Sa2vaError, OSError) as error:
            self._lose(error)
        taken, self._events = self._events, []
        return taken

    def wait(self, seconds: float) -> list[Union[Event, WorkerLost]]:
        """Like :meth:`pump`, but waits up to ``seconds`` for something to come. For programs without a timer."""
        deadline = time.monotonic() + seconds
        while True:
            taken = self.pump()
            if taken or self.state in ("lost", "closed") or not self._sleep(deadline):
                return taken

    def call(self, reply: Reply[R], seconds: float = START_WITHIN + 10.0) -> R:
        """Wait for a reply and return its result. Events that come meanwhile stay for the next pump."""
        deadline, kept = time.monotonic() + seconds, []
        while True:
            kept += self.pump()
            if reply.done or not self._sleep(deadline):
                break
        self._events[:0] = kept
        return reply.get()

    def submit(
        self, spec: JobSpec, priority: int = 0, overwrite: bool = False, follow: bool = True
    ) -> Reply[Submitted]:
        """Queue a job and, unless told otherwise, follow it. ``overwrite``: as for `sa2va matte`."""
        params = Submit(resolve(spec, self._ocio).to_dict(), priority, overwrite, follow)
        return self._request("submit", protocol.to_params(params), Submitted, self._submitted if follow else None)

    def follow(self, job: str, since: int = 0) -> Reply[Subscribed]:
        """Get the events of a job after number ``since``, old ones first: how a host that was restarted re-attaches."""
        self._followed[job] = since
        return self._request("subscribe", protocol.to_params(Subscribe(job, since)), Subscribed, self._subscribed)

    def cancel(self, job: str) -> Reply[JobStatus]:
        return self._request("cancel", protocol.to_params(JobId(job)), JobStatus)

    def status(self, job: str) -> Reply[JobStatus]:
        return self._request("status", protocol.to_params(JobId(job)), JobStatus)

    def jobs(self, limit: int = 200) -> Reply[JobList]:
        """The newest jobs, at most ``limit``, in the order of their arrival."""
        return self._request("list", {"limit": limit}, JobList)

    def engines(self) -> Reply[EngineList]:
        return self._request("engines", {}, EngineList)

    def ping(self) -> Reply[Nothing]:
        return self._request("ping", {}, Nothing)

    def shut_down_worker(self) -> Reply[Nothing]:
        return self._request("shutdown", {}, Nothing)

    def reconnect(self) -> None:
        """Connect again, starting a worker if need be, and go on with every job that was followed."""
        self.close()
        self._reset()
        self.state = "connecting"
        for job, since in list(self._followed.items()):
            self.follow(job, since)

    def close(self) -> None:
        """Hang up. Jobs go on."""
        self._hang_up("closed", WorkerError("The connection was closed.", "Connect again."))

    def _hang_up(self, state: str, error: Sa2vaError) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.state, self._connecting = state, None
        for reply in self._replies.values():
            reply._fail(error)
        self._replies.clear()

    # Connecting: a generator, so that each pump takes one step of it

    def _connect(self) -> Iterator[None]:
        deadline = time.monotonic() + START_WITHIN
        process = None
        while True:
            found = link.read_connection(self.folder)
            if found is not None:
                connected = yield from self._greet(found)
                if connected:
                    break
            if process is None:
                if not self._start:
                    raise WorkerError("No worker is running.", "Start one with `sa2va worker`.")
                command = launcher.worker_command() if self._command is None else self._command
                process = launcher.start(self.folder, command)
            elif process.poll():
                raise self._start_failed(f"The worker ended as it started (code {process.returncode}).")
            elif process.returncode == 0:
                # Another one holds the lock, and is about to write its connection file.
                deadline = min(deadline, time.monotonic() + ANSWER_WITHIN)
            if time.monotonic() > deadline:
                raise self._start_failed("The worker cannot be reached.")
            yield
        hello = Hello(self.name, protocol.VERSIONS)
        welcome: Reply[Welcome] = Reply(Welcome)
        self._replies[0] = welcome
        self._outgoing += protocol.frame(protocol.request(0, "hello", protocol.to_params(hello)))
        deadline = time.monotonic() + ANSWER_WITHIN
        while not welcome.done:
            self._receive(time.monotonic() + PUMP_BUDGET)
            self._check_answer(deadline)
            yield
        self.worker = welcome.get()
        self.state = "ready"
        while self._waiting:
            self._outgoing += self._waiting.popleft()

    def _greet(self, found: link.Connection) -> Generator[None, None, bool]:
        """Reach the worker and shake hands; its value is False when there is nobody, or not the worker."""
        token, nonce = bytes.fromhex(found.token), link.new_nonce()
        peer = self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.monotonic() + ANSWER_WITHIN
        answer = b""
        try:
            if peer.connect_ex((link.HOST, found.port)) == errno.ECONNREFUSED:
                raise ConnectionRefusedError
            while not _is_connected(peer):
                if time.monotonic() > deadline:
                    raise ConnectionRefusedError
                yield
            peer.sendall(link.MAGIC + nonce)
            while len(answer) < link.ANSWER_SIZE:
                try:
                    data = peer.recv(link.ANSWER_SIZE - len(answer))
                    if not data:
                        raise ConnectionResetError
                    answer += data
                except BlockingIOError:
                    self._check_answer(deadline, found)
                    yield
            theirs, given = answer[: link.NONCE_SIZE], answer[link.NONCE_SIZE :]
            if link.proves(given, link.worker_proof(token, nonce, theirs)):
                peer.sendall(link.client_proof(token, nonce, theirs))
                return True
        except ConnectionError:
            pass
        # A connection file that a dead worker left: nobody at that port, or a stranger.
        peer.close()
        self._socket = None
        return False

    def _check_answer(self, deadline: float, found: Optional[link.Connection] = None) -> None:
        if time.monotonic() > deadline:
            who = f" (process {found.pid})" if found else ""
            raise WorkerError(f"The worker{who} does not answer.", f"End it, then try again. Its log: {self._log()}")

    def _start_failed(self, message: str) -> WorkerError:
        path = launcher.startup_log(self.folder)
        last = launcher.tail(path, 1)
        return WorkerError(f"{message} {last}".strip(), f"Its output: {path}")

    # Connected

    def _submitted(self, answer: Submitted) -> None:
        self._followed[answer.job] = 0

    def _subscribed(self, answer: Subscribed) -> None:
        # A machine that lost power may have lost the last events that were seen here; their numbers come again.
        self._followed[answer.job] = min(self._followed.get(answer.job, 0), answer.last)

    def _request(
        self, method: str, params: dict[str, Any], result: type[R], then: Optional[Callable[[R], None]] = None
    ) -> Reply[R]:
        reply: Reply[R] = Reply(result, then)
        if self.state in ("lost", "closed"):
            reply._fail(WorkerError("There is no worker.", "Connect again."))
            return reply
        data = protocol.frame(protocol.request(self._next_id, method, params))
        self._replies[self._next_id] = reply
        self._next_id += 1
        if self.state == "ready":
            self._outgoing += data
        else:
            self._waiting.append(data)
        return reply

    def _receive(self, until: float) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                return
            if not data:
                raise WorkerError("The worker has ended.", f"Its log says more: {self._log()}")
            self._silence = 0.0
            for body in self._parser.feed(data):
                self._take(protocol.classify(body))
            if time.monotonic() > until:
                return

    def _take(self, message: Union[protocol.Request, protocol.Notification, protocol.Response]) -> None:
        if isinstance(message, protocol.Response):
            self._settle(message)
        elif isinstance(message, protocol.Notification):
            event = event_of(message)
            # Unknown to this release, or told before.
            if event is None or event.seq <= self._followed.get(event.job, 0):
                return
            self._followed[event.job] = event.seq
            if isinstance(event, (Done, Failed)):
                del self._followed[event.job]
            self._events.append(event)

    def _settle(self, message: protocol.Response) -> None:
        if message.id is None and message.error is not None:
            raise WorkerError(message.error.message, message.error.hint)
        reply = self._replies.pop(message.id, None) if isinstance(message.id, int) else None
        if reply is not None:
            reply._settle(message)

    def _heartbeat(self, gap: float) -> None:
        self._silence += gap
        if self._ping is None or self._ping.done:
            if self._silence >= PING_EVERY:
                self._ping, self._silence = self.ping(), 0.0
        elif self._silence > ANSWER_WITHIN:
            pid = self.worker.pid if self.worker else "?"
            raise WorkerError(
                f"The worker (process {pid}) does not answer.", f"End it, then try again. Its log: {self._log()}"
            )

    def _flush(self) -> None:
        while self._outgoing and self._socket is not None:
            try:
                sent = self._socket.send(self._outgoing)
            except (BlockingIOError, InterruptedError):
                return
            del self._outgoing[:sent]

    def _lose(self, error: Union[Sa2vaError, OSError]) -> None:
        if isinstance(error, OSError):
            error = WorkerError("The worker has ended.", f"Its log says more: {self._log()}")
        self._hang_up("lost", error)
        self._events.append(WorkerLost(error.message, error.hint))

    def _sleep(self, deadline: float) -> bool:
        """Wait for the worker, for a moment at most; False when it is too late to wait."""
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        if self._socket is None or self.state != "ready":
            time.sleep(min(left, 0.01))
            return True
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0))
            selector.select(min(left, 0.1))
        return True

    def _log(self) -> str:
        return self.worker.log if self.worker else str(link.log_file(self.folder))


def _is_connected(peer: socket.socket) -> bool:
    """Raises ConnectionError once the attempt has failed."""
    if peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise ConnectionRefusedError
    try:
        peer.getpeername()
    except OSError:
        return False
    return True


def resolve(spec: JobSpec, ocio: str) -> JobSpec:
    """The job as another process understands it: paths made absolute, and the host's $OCIO written in."""
    config = spec.shot.ocio_config or ocio
    if config and "://" not in config:
        config = _absolute(config)
    shot = dataclasses.replace(spec.shot, path=_absolute(spec.shot.path), ocio_config=config)
    objects = tuple(
        dataclasses.replace(item, masks=tuple(dataclasses.replace(pin, path=_absolute(pin.path)) for pin in item.masks))
        for item in spec.objects
    )
    outputs = dataclasses.replace(spec.outputs, folder=_absolute(spec.outputs.folder))
    return dataclasses.replace(spec, shot=shot, objects=objects, outputs=outputs)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
