"""This Blender's line to the worker: made when a job needs it, hung up between jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import bpy
from sa2va_plugin import __version__
from sa2va_plugin.client import Client
from sa2va_plugin.errors import WorkerError
from sa2va_plugin.messages import EngineList, Nothing
from sa2va_plugin.reply import Reply
from sa2va_plugin.session import Session, View

from . import compat, machine, properties


class Worker:
    """``session``: what runs jobs, while the line is up. ``engines``: what the worker said it can do, once it did.

    ``command`` and ``folder`` stand for those of the preferences.
    """

    def __init__(self) -> None:
        self.command: Optional[Sequence[str]] = None
        self.folder = ""
        self.engines: Optional[EngineList] = None
        self.session: Optional[Session] = None
        self._client: Optional[Client] = None
        self._asked: Optional[Reply[EngineList]] = None
        self._ending: Optional[Reply[Nothing]] = None

    def reach(self, view: View, start: bool = True, saved: Optional[Mapping[str, Any]] = None) -> None:
        """Connect, or be on the way; ``start``: a worker, where none runs. ``saved``: a job to come back to."""
        if self._client is None:
            command = self.command if self.command is not None else machine.worker_command()
            name = f"Blender {bpy.app.version_string}"
            self._client = Client(name, self.folder, command, start, compat.user_ocio())
            self.session = Session(self._client, view, saved)
        elif self._client.state in ("lost", "closed"):
            self._client.reconnect()

    def ask(self) -> None:
        """What it can do: :meth:`answer` has it some steps later."""
        assert self._client is not None
        self._asked = self._client.engines()

    @property
    def asked(self) -> bool:
        """Whether an answer is awaited."""
        return self._asked is not None

    def answer(self) -> bool:
        """Whether the answer has just come. Raises the worker's error."""
        if self._asked is None or not self._asked.done:
            return False
        asked, self._asked = self._asked, None
        self.engines = asked.get()
        known = [(e.name, e.label, e.state) for e in self.engines.engines]
        properties.set_engines(known)
        machine.store().keep_engines({"engines": known})
        return True

    def ready(self) -> bool:
        """Whether jobs can be submitted. Raises WorkerError where it is of another release."""
        welcome = self._client.worker if self._client is not None else None
        if welcome is None:
            return False
        if welcome.version != __version__:
            raise WorkerError(
                f"The worker is Sa2VA Roto {welcome.version}, this extension {__version__}.",
                "Stop the worker in the preferences; if it comes back the same, update both.",
            )
        return True

    def shut_down(self, view: View) -> None:
        """End it: :meth:`ended` says some steps later that it did."""
        self.hang_up()
        self.reach(view, start=False)
        assert self._client is not None
        self._ending = self._client.shut_down_worker()

    @property
    def ending(self) -> bool:
        """Whether it is being ended."""
        return self._ending is not None

    def ended(self) -> bool:
        """Whether it has just ended. Raises the worker's error."""
        if self._ending is None or not self._ending.done:
            return False
        ending, self._ending = self._ending, None
        ending.get()
        return True

    def hang_up(self) -> None:
        """The worker stays, and goes on with what it has."""
        if self._client is not None:
            self._client.close()
        self._client = self.session = self._asked = self._ending = None
