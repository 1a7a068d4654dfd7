"""The worker from the command line's side: jobs run there as :func:`~sa2va_core.jobs.runner.run_job` runs them here."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from sa2va_plugin import messages as m
from sa2va_plugin.client import Client, WorkerLost
from sa2va_plugin.errors import WorkerError
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.protocol import error_named

from sa2va_core.engines.base import Verdict
from sa2va_core.jobs import events
from sa2va_core.jobs.events import Listener

COMMAND = (sys.executable, "-P", "-m", "sa2va_core.worker")
_LOOK_EVERY = 0.2
#: How often a lost worker is reached for: half a minute where it is silent, and a moment where it is gone.
_TRIES = 20


def connect(start: bool = False) -> Client:
    """A client of this user's worker. Raises WorkerError when there is none, unless it is to be started."""
    client = Client("sa2va", command=COMMAND, start=start)
    client.call(client.ping())
    return client


def run_in_worker(spec: JobSpec, *, on_event: Listener, cancelled: threading.Event, overwrite: bool = False) -> Path:
    """Like run_job, in the worker, which is started if need be. Raises what the job raised, or WorkerError.

    A worker that a slow disk keeps silent for a while is waited for; one that has ended is not started again, since
    somebody may have ended it.
    """
    client = connect(start=True)
    try:
        job = client.call(client.submit(spec, overwrite=overwrite)).job
        client.start = False
        asked, lost = False, list[WorkerLost]()
        while True:
            for event in client.wait(_LOOK_EVERY):
                if isinstance(event, m.Done):
                    on_event(events.Done(Path(event.manifest)))
                    return Path(event.manifest)
                if isinstance(event, m.Failed):
                    raise error_named(event.error, event.message, event.hint)
                if isinstance(event, WorkerLost):
                    lost.append(event)
                    if len(lost) > _TRIES:
                        raise WorkerError(lost[0].message, f"Run the same command to go on. {lost[0].hint}")
                    # The job is followed on from its last event; whether a cancel arrived is not known.
                    client.reconnect()
                    asked = False
                    break
                told = _core_event(event)
                if told is not None:
                    on_event(told)
            if client.state == "ready":
                lost.clear()
            if cancelled.is_set() and not asked:
                asked = True
                client.cancel(job)
    finally:
        client.close()


def _core_event(event: m.Event) -> events.Event | None:
    match event:
        case m.Queued(position=position) if position > 1 or event.seq > 1:
            return events.Progress(f"waiting, place {position} in the queue", 0, 0, None, None)
        case m.Started():
            return events.Started(event.job, event.engine, event.total, event.kept)
        case m.Progress():
            return events.Progress(event.stage, event.done, event.total, event.rate, event.eta)
        case m.FrameReady():
            return events.FrameReady(event.frame, [Path(path) for path in event.paths], None)
        case m.VerdictReached(state=("found" | "not in shot" | "ambiguous") as state):
            return events.VerdictReached(event.object_name, Verdict(state, event.reason, event.frames))
        case m.Warned():
            return events.Warned(event.message)
    return None
