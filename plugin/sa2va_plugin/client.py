"""A host's end of the worker: never blocks, uses no threads.

Call :meth:`Client.pump` from a timer (10 times a second is plenty) and show what it returns. It takes milliseconds,
whatever the worker does: connecting, starting a worker, sending and receiving are all done in small steps. Programs
without a timer call :meth:`Client.wait` or :meth:`Client.call` instead.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, TypeVar, Union

from . import connection as link
from . import protocol
from .dial import ANSWER_WITHIN, START_WITHIN, dial, no_answer
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
from .paths import resolve
from .reply import Reply
from .transport import Transport

R = TypeVar("R")

PING_EVERY = 1.0
#: A host may be busy between two pumps; only so much of the gap counts as silence of the worker.
LONGEST_PUMP_GAP = 0.5
PUMP_BUDGET = 0.02


@dataclass(frozen=True)
class WorkerLost:
    """The worker died, does not answer, or cannot be started. Jobs are safe: :meth:`Client.reconnect` goes on."""

    message: str
    hint: str


class Client:
    """One host's connection. Not for use from several threads.

    ``state``: ``connecting``, ``ready``, ``lost`` or ``closed``. ``command`` runs a worker where none is running (None:
    what set-up recorded); while ``start`` is false none is started. ``ocio`` stands for $OCIO, which some hosts set for
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
        self.start = start
        self._command = command
        self._followed: dict[str, int] = {}
        self._reset()

    def _reset(self) -> None:
        self._transport: Optional[Transport] = None
        self._waiting: list[bytes] = []
        self._replies: dict[int, Reply[Any]] = {}
        self._next_id = 1
        self._events: list[Union[Event, WorkerLost]] = []
        self._ping: Optional[Reply[Nothing]] = None
        self._pumped = time.monotonic()
        self._connecting = self._connect()

    # What hosts call

    def pump(self) -> list[Union[Event, WorkerLost]]:
        """Take one small step and return what has come in since the last call. Never blocks, never raises."""
        now = time.monotonic()
        gap, self._pumped = min(now - self._pumped, LONGEST_PUMP_GAP), now
        try:
            if self.state == "connecting":
                next(self._connecting, None)
            elif self.state == "ready" and self._transport is not None:
                self._receive(self._transport)
                self._heartbeat(self._transport, gap)
            if self._transport is not None:
                self._transport.flush()
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
        self._connecting.close()
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self.state = state
        for reply in self._replies.values():
            reply.fail(error)
        self._replies.clear()

    # Connecting: a generator, so that each pump takes one step of it

    def _connect(self) -> Generator[None, None, None]:
        peer = yield from dial(self.folder, self._command, self.start)
        transport = self._transport = Transport(peer)
        hello = Hello(self.name, protocol.VERSIONS)
        welcome: Reply[Welcome] = Reply(Welcome)
        self._replies[0] = welcome
        transport.send(protocol.frame(protocol.request(0, "hello", protocol.to_params(hello))))
        deadline = time.monotonic() + ANSWER_WITHIN
        while not welcome.done:
            self._receive(transport)
            if time.monotonic() > deadline:
                raise no_answer(None, self._log())
            yield
        self.worker = welcome.get()
        self.state = "ready"
        for data in self._waiting:
            transport.send(data)
        self._waiting.clear()

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
            reply.fail(WorkerError("There is no worker.", "Connect again."))
            return reply
        data = protocol.frame(protocol.request(self._next_id, method, params))
        self._replies[self._next_id] = reply
        self._next_id += 1
        if self.state == "ready" and self._transport is not None:
            self._transport.send(data)
        else:
            self._waiting.append(data)
        return reply

    def _receive(self, transport: Transport) -> None:
        for message in transport.receive(time.monotonic() + PUMP_BUDGET):
            self._take(message)

    def _take(self, message: protocol.Message) -> None:
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
            reply.settle(message)

    def _heartbeat(self, transport: Transport, gap: float) -> None:
        transport.silence += gap
        if self._ping is None or self._ping.done:
            if transport.silence >= PING_EVERY:
                self._ping, transport.silence = self.ping(), 0.0
        elif transport.silence > ANSWER_WITHIN:
            raise no_answer(self.worker.pid if self.worker else None, self._log())

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
        if self._transport is None or self.state != "ready":
            time.sleep(min(left, 0.01))
        else:
            self._transport.wait(min(left, 0.1))
        return True

    def _log(self) -> str:
        return self.worker.log if self.worker else str(link.log_file(self.folder))
