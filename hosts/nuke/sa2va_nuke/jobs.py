"""A node's job: the worker is heard on a thread of its own, the node is touched on Nuke's main thread.

Nuke has no timer without Qt, hence the thread. It lives as long as its job, and all of the client is used on it.
``nuke -t`` has no event loop that could take calls: there the same steps run on the thread that is there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Callable, Optional

import nuke
from sa2va_plugin.client import Client
from sa2va_plugin.errors import Sa2vaError
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.messages import Preview, VerdictReached
from sa2va_plugin.session import Session, View

from . import mattes

_TICK = 0.05
#: How often ``nuke -t`` reaches for a lost worker by itself.
_RETRIES = 2


class Document:
    """What a job changes in a script. Called on the main thread, or in ``nuke -t`` on the only one."""

    def show(self, text: str) -> None:
        """The status line."""

    def remember(self, job: str) -> None:
        """Keep the job's id; empty when it is over."""

    def offer(self, go_on: bool) -> None:
        """Whether the worker can be reached for again."""

    def finished(self, manifest: str) -> None:
        """Bring the mattes in."""

    def preview(self, path: str) -> None:
        """A small picture of the frame that was done last; empty when there is none to show."""

    def failed(self, error: Sa2vaError) -> None:
        """The job is over without a result."""

    def ended(self, job: Job) -> None:
        """Nothing follows from this job."""


def new_client() -> Client:
    """A connection to this user's worker, which starts it where there is none."""
    return Client(f"Nuke {nuke.NUKE_VERSION_STRING}")


class Job(View):
    """One job of one node, new (``spec``) or taken up again (``saved``, the job's id).

    ``label``: of Nuke's progress bar; None for none.
    """

    def __init__(
        self, document: Document, spec: Optional[JobSpec] = None, saved: str = "", label: Optional[str] = None
    ) -> None:
        self._document, self._spec, self._saved, self._label = document, spec, saved, label
        self._asked: deque[str] = deque()
        self._left = threading.Event()
        self._thread: Optional[threading.Thread] = None
        self._task: Optional[nuke.ProgressTask] = None
        self._lost = 0
        self._progress = ""
        self._verdicts: dict[str, str] = {}

    # Called on the main thread

    def start(self) -> None:
        """Follow the job in the background."""
        self._thread = threading.Thread(target=self._run, name="Sa2VA", daemon=True)
        self._thread.start()

    def run_here(self) -> None:
        """Follow the job to its end: ``nuke -t``."""
        self._run()

    def cancel(self) -> None:
        self._asked.append("cancel")

    def go_on(self) -> None:
        self._asked.append("go_on")

    def leave(self) -> None:
        """Stop following; the job goes on in the worker, and the script knows its id."""
        self._left.set()
        if self._thread is not None:
            self._thread.join()

    # The thread

    def _run(self) -> None:
        client = new_client()
        try:
            session = Session(client, self, {"job": self._saved} if self._saved else None)
            if self._spec is not None:
                session.run(self._spec)
            if self._label is not None:
                self._task = nuke.ProgressTask(self._label)
            stopping = False
            while session.busy and not self._left.is_set():
                if self._task is not None and self._task.isCancelled() and not stopping:
                    stopping = True
                    self._asked.append("cancel")
                while self._asked:
                    getattr(session, self._asked.popleft())()
                try:
                    session.tick()
                    time.sleep(_TICK)
                except KeyboardInterrupt:  # in nuke -t; a second one ends it all
                    if stopping:
                        raise
                    stopping = True
                    self._asked.append("cancel")
        finally:
            self._task = None  # closes Nuke's progress bar
            client.close()
            if not self._left.is_set():
                self._main(self._end)

    def _main(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._thread is None:
            call(*arguments)
        else:
            nuke.executeInMainThread(call, args=arguments)

    def _end(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._document.ended(self)

    # What the session tells, on the thread

    def progress(self, text: str, fraction: Optional[float]) -> None:
        if self._task is not None:
            self._task.setMessage(text)
            self._task.setProgress(int(100 * (fraction or 0)))
        self._progress = text
        self._show()

    def verdict(self, event: VerdictReached) -> None:
        self._verdicts[event.object_name] = mattes.said(event.object_name, event.state, event.reason)
        self._show()

    def preview(self, event: Preview) -> None:
        self._main(self._document.preview, event.path)

    def finished(self, manifest: str) -> None:
        self._main(self._document.finished, manifest)

    def failed(self, error: Sa2vaError) -> None:
        self._main(self._document.failed, error)

    def lost(self, message: str, hint: str) -> None:
        if self._thread is None:
            # Nobody is there to press a button.
            self._lost += 1
            self._document.show(f"{message}\n{hint}")
            self._asked.append("go_on" if self._lost <= _RETRIES else "cancel")
            return
        self._main(self._document.offer, True)
        self._main(self._document.show, f"{message}\n{hint}\nThe job is not lost: press Go on.")

    def remember(self, saved: Mapping[str, Any]) -> None:
        self._main(self._document.remember, str(saved.get("job", "")))

    def warning(self, message: str) -> None:
        self._main(self._document.show, message)

    def _show(self) -> None:
        self._main(self._document.show, "\n".join([self._progress, *self._verdicts.values()]))
