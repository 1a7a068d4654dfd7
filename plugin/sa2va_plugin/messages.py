"""What hosts and the worker say to each other. The tables of docs/protocol.md are generated from these classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Optional

from .protocol import Notification, from_params
from .schema import doc

STATES = ("queued", "running", "done", "failed", "cancelled")


# Events: notifications of the worker about one job. Method: event/<kind>.


@dataclass(frozen=True)
class Event:
    """Common to all events."""

    kind: ClassVar[str] = ""

    job: str = doc("The job's id.")
    seq: int = doc("Number of this event in its job, from 1, without gaps.")
    time: float = doc("Seconds since 1970 by the worker's clock: for showing only.")


@dataclass(frozen=True)
class Queued(Event):
    """The job is written down and waits; after a restart of the worker, it waits again."""

    kind: ClassVar[str] = "queued"

    position: int = doc("Place in the queue; 1 is next.")


@dataclass(frozen=True)
class Started(Event):
    """The engine is loaded and the plate is open."""

    kind: ClassVar[str] = "started"

    engine: str = doc("Name of the engine.")
    total: int = doc("Frames of the job.")
    kept: int = doc("Frames that an earlier run had finished.")


@dataclass(frozen=True)
class Progress(Event):
    """How far the job is."""

    kind: ClassVar[str] = "progress"

    stage: str = doc("What is being done, in a word or two.")
    done: int = doc("Frames finished.")
    total: int = doc("Frames of the job.")
    rate: Optional[float] = doc("Frames a second, once it can be told.", None)
    eta: Optional[float] = doc("Seconds left, once they can be told.", None)


@dataclass(frozen=True)
class FrameReady(Event):
    """All files of one result frame are on disk, whole."""

    kind: ClassVar[str] = "frame_ready"

    frame: int = doc("Number of the result frame.")
    paths: tuple[str, ...] = doc("Its files.")


@dataclass(frozen=True)
class Preview(Event):
    """A small picture of the mattes over the plate, for showing now, about two a second: it is gone once the job is."""

    kind: ClassVar[str] = "preview"

    frame: int = doc("Number of the result frame.")
    path: str = doc("A PNG of at most 480 pixels a side.")


@dataclass(frozen=True)
class VerdictReached(Event):
    """Whether a phrase is in the shot."""

    kind: ClassVar[str] = "verdict"

    object_name: str = doc("The object's name in the job, or the name of a part of it.")
    state: str = doc("found, not in shot or ambiguous.")
    reason: str = doc("One sentence.")
    frames: tuple[int, ...] = doc("Result frames on which the object was seen.", ())


@dataclass(frozen=True)
class Warned(Event):
    """Something that the user should know, and that did not stop the job."""

    kind: ClassVar[str] = "warning"

    message: str = doc("What happened.")


@dataclass(frozen=True)
class Done(Event):
    """The job is finished. Nothing follows."""

    kind: ClassVar[str] = "done"

    manifest: str = doc("The job's manifest file.")


@dataclass(frozen=True)
class Failed(Event):
    """The job is over without a result. Nothing follows. Finished frames stay on disk."""

    kind: ClassVar[str] = "failed"

    error: str = doc("Class of the error (errors.py); Cancelled when somebody stopped it.")
    message: str = doc("What is wrong.")
    hint: str = doc("What to do next.", "")


EVENTS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (Queued, Started, Progress, FrameReady, Preview, VerdictReached, Warned, Done, Failed)
}  # fmt: skip


def event_of(message: Notification) -> Optional[Event]:
    """The event in a notification; None for a kind that this release does not know, which is to be passed over."""
    space, _, kind = message.method.partition("/")
    cls = EVENTS.get(kind)
    return from_params(cls, message.params) if space == "event" and cls is not None else None


# Verbs: requests of a host, and what answers them.


@dataclass(frozen=True)
class Hello:
    client: str = doc("Who is calling: a host's name and version.")
    protocols: tuple[int, ...] = doc("Protocol versions that it speaks.")


@dataclass(frozen=True)
class Welcome:
    protocol: int = doc("The version that both will use: the highest that both speak.")
    version: str = doc("The worker's release.")
    pid: int = doc("The worker's process.")
    log: str = doc("The worker's log file.")


@dataclass(frozen=True)
class Nothing:
    """No members."""


@dataclass(frozen=True)
class EngineDescription:
    name: str = doc("What a job's engine.name says.")
    label: str = doc("For people.")
    unavailable: Optional[str] = doc("Why it cannot run on this machine, with the next step; null when it can.")
    missing: Optional[str] = doc("Weights that are not on this machine, with the next step; null for none.", None)

    @property
    def state(self) -> str:
        """For people: ready, or what is in the way."""
        return self.unavailable or self.missing or "ready"


@dataclass(frozen=True)
class ModelDescription:
    """Weights in the catalogue."""

    name: str = doc("Name in the catalogue.")
    role: str = doc("What they do.")
    state: str = doc("bundled, verified, altered or missing, on this machine.")
    licence: str = doc("Their licence.")
    size: int = doc("Bytes.")


@dataclass(frozen=True)
class EngineList:
    engines: tuple[EngineDescription, ...] = doc("All that this release has.")
    models: tuple[ModelDescription, ...] = doc("All weights of the catalogue.")


@dataclass(frozen=True)
class Submit:
    spec: dict[str, Any] = field(metadata={"doc": "The job (JobSpec as JSON). Its paths are absolute."})
    priority: int = doc("Higher runs first; equal ones run in the order of their arrival.", 0)
    overwrite: bool = doc("Replace another job's results in the same folder, which is an error otherwise.", False)
    follow: bool = doc("Send this job's events over this connection.", True)


@dataclass(frozen=True)
class Submitted:
    job: str = doc("The job's id.")


@dataclass(frozen=True)
class JobId:
    job: str = doc("The job's id.")


@dataclass(frozen=True)
class JobStatus:
    job: str = doc("The job's id.")
    state: str = doc(" | ".join(STATES))
    priority: int = doc("Higher runs first.")
    position: Optional[int] = doc("Place in the queue; null when it is not waiting.")
    plate: str = doc("The plate's path.")
    objects: tuple[str, ...] = doc("Names of the objects.")
    folder: str = doc("Where results go.")
    client: str = doc("Who submitted it.")
    submitted: float = doc("Seconds since 1970 by the worker's clock: for showing only.")
    done: int = doc("Frames finished.")
    total: int = doc("Frames of the job; 0 until it has started.")
    last: int = doc("seq of the job's last event.")
    manifest: str = doc("The manifest file; empty until the job is done.", "")
    error: str = doc("Class of the error of a failed job.", "")
    message: str = doc("What went wrong.", "")
    hint: str = doc("What to do next.", "")


@dataclass(frozen=True)
class List:
    limit: int = doc("At most so many jobs, the newest.", 200)


@dataclass(frozen=True)
class JobList:
    jobs: tuple[JobStatus, ...] = doc("In the order of their arrival.")


@dataclass(frozen=True)
class Subscribe:
    job: str = doc("The job's id.")
    since: int = doc("seq of the last event already seen; 0 for all.", 0)


@dataclass(frozen=True)
class Subscribed:
    job: str = doc("The job's id.")
    last: int = doc("seq of the job's last event so far.")


@dataclass(frozen=True)
class Verb:
    params: type
    result: type
    doc: str


VERBS: dict[str, Verb] = {
    "hello": Verb(Hello, Welcome, "Agree on a protocol version. The first request of every connection."),
    "ping": Verb(Nothing, Nothing, "Is anybody there?"),
    "engines": Verb(Nothing, EngineList, "Which engines and models there are. Takes seconds: code is loaded."),
    "submit": Verb(Submit, Submitted, "Put a job in the queue. Answered once the job is on disk."),
    "cancel": Verb(JobId, JobStatus, "Stop a job. Its frames stay, and the same job goes on from there."),
    "status": Verb(JobId, JobStatus, "How one job is."),
    "list": Verb(List, JobList, "How all jobs are."),
    "subscribe": Verb(
        Subscribe, Subscribed, "Send the events of a job after `since`, old ones first, then as they come."
    ),
    "shutdown": Verb(Nothing, Nothing, "End the worker. A running job goes back to the queue for the next start."),
}
