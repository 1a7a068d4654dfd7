"""What every host does with a worker, written once: run a job, tell how it goes, cancel, go on, come back to it.

An adapter gives it a :class:`View` and calls :meth:`Session.tick` from its timer. All calls into the view are made from
inside those two, on the thread that makes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Optional, Union

from .client import Client, WorkerLost
from .errors import JobSpecError, Sa2vaError, WorkerError
from .jobspec import JobSpec
from .messages import (
    Done,
    Event,
    Failed,
    FrameReady,
    JobStatus,
    Preview,
    Progress,
    Queued,
    Started,
    Submitted,
    Subscribed,
    VerdictReached,
    Warned,
)
from .protocol import error_named
from .reply import Reply


class View(ABC):
    """A host's panel and document."""

    @abstractmethod
    def progress(self, text: str, fraction: Optional[float]) -> None:
        """``fraction``: 0..1, or None when it cannot be told."""

    @abstractmethod
    def finished(self, manifest: str) -> None:
        """The job is done: bring the mattes that the manifest names into the document."""

    @abstractmethod
    def failed(self, error: Sa2vaError) -> None:
        """The job is over without a result; also when somebody cancelled it (:class:`~.errors.Cancelled`)."""

    @abstractmethod
    def lost(self, message: str, hint: str) -> None:
        """The worker is gone, the job is not: offer :meth:`Session.go_on`."""

    @abstractmethod
    def remember(self, saved: Mapping[str, Any]) -> None:
        """Keep this (JSON) with the document; a later :class:`Session` takes it. Empty: nothing to come back to."""

    def frame(self, event: FrameReady) -> None:
        """A frame's files are on disk. May be told again after a return to the job."""

    def preview(self, event: Preview) -> None:
        """A small picture to show."""

    def verdict(self, event: VerdictReached) -> None:
        """Whether a phrase is in the shot."""

    def warning(self, message: str) -> None:
        """Something that the user should know."""


class Session:
    """One document's dealings with the worker: at most one job at a time.

    ``saved``: what :meth:`View.remember` was given before the host was closed; the job is taken up again.
    """

    def __init__(self, client: Client, view: View, saved: Optional[Mapping[str, Any]] = None) -> None:
        self._client, self._view = client, view
        self.job = ""
        self._reply: Union[Reply[Submitted], Reply[Subscribed], Reply[JobStatus], None] = None
        self._lost = self._cancelled = False
        job = saved.get("job") if saved else None
        if isinstance(job, str) and job:
            self.job = job
            self._reply = client.follow(job)

    @property
    def busy(self) -> bool:
        """Whether there is a job that is not over."""
        return bool(self.job) or self._reply is not None

    def run(self, spec: JobSpec, overwrite: bool = False) -> None:
        """Submit a job. What is wrong with it is told to the view. Raises JobSpecError while another one is on."""
        if self.busy:
            raise JobSpecError("A job of this document is running.", "Wait for it, or cancel it.")
        if self._client.state in ("lost", "closed"):
            self._client.reconnect()
        self._lost = self._cancelled = False
        self._view.progress("Reaching the worker", None)
        self._reply = self._client.submit(spec, overwrite=overwrite)

    def cancel(self) -> None:
        """Stop the job. The view hears of it when it has stopped."""
        if self._lost:
            self._over()
            self._view.failed(WorkerError("The job was left.", "It stays in the worker's list, see `sa2va jobs`."))
        elif self.job:
            self._client.cancel(self.job)
            self._view.progress("Stopping", None)
        else:
            # Not submitted yet: as soon as it has a name.
            self._cancelled = True

    def go_on(self) -> None:
        """After :meth:`View.lost`: reach or start a worker and follow the job again."""
        if self._lost:
            self._lost = False
            self._view.progress("Reaching the worker", None)
            self._client.reconnect()
            self._reply = self._client.status(self.job)

    def tick(self) -> None:
        """One small step, to be called some 10 times a second while the host runs."""
        heard = self._client.pump()
        if not any(isinstance(event, WorkerLost) for event in heard):
            self._take_reply()
        for event in heard:
            if isinstance(event, WorkerLost):
                self._lose(event)
            elif event.job == self.job:
                self._take(event)

    def _take_reply(self) -> None:
        if self._reply is None or not self._reply.done:
            return
        reply, self._reply = self._reply, None
        try:
            self.job = reply.get().job
        except Sa2vaError as error:
            self._over()
            self._view.failed(error)
        else:
            self._view.remember({"job": self.job})
            if self._cancelled:
                self._client.cancel(self.job)

    def _lose(self, event: WorkerLost) -> None:
        self._reply = None
        if self.job:
            self._lost = True
            self._view.lost(event.message, event.hint)
        else:
            self._view.failed(WorkerError(event.message, event.hint))

    def _take(self, event: Event) -> None:
        view = self._view
        if isinstance(event, Queued):
            text = "Next in the queue" if event.position == 1 else f"Place {event.position} in the queue"
            view.progress(text, None)
        elif isinstance(event, Started):
            view.progress(f"{event.kept} of {event.total} frames", event.kept / max(1, event.total))
        elif isinstance(event, Progress):
            view.progress(_progress_text(event), event.done / event.total if event.total else None)
        elif isinstance(event, FrameReady):
            view.frame(event)
        elif isinstance(event, Preview):
            view.preview(event)
        elif isinstance(event, VerdictReached):
            view.verdict(event)
        elif isinstance(event, Warned):
            view.warning(event.message)
        elif isinstance(event, Done):
            self._over()
            view.finished(event.manifest)
        elif isinstance(event, Failed):
            self._over()
            view.failed(error_named(event.error, event.message, event.hint))

    def _over(self) -> None:
        self.job, self._reply = "", None
        self._lost = self._cancelled = False
        self._view.remember({})


def _progress_text(event: Progress) -> str:
    text = event.stage[:1].upper() + event.stage[1:]
    if event.total:
        # Only there the count is of frames.
        unit = " frames" if event.stage == "matting" else ""
        text += f": {event.done} of {event.total}{unit}"
    if event.eta is not None:
        minutes, seconds = divmod(round(event.eta), 60)
        text += f", {minutes}:{seconds:02d} left"
    return text
