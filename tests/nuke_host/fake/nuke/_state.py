"""What the fake Nuke is at this moment, and the rules about threads. Tests reach in here; adapters do not."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any


class Misuse(AssertionError):
    """What Nuke would hang on, crash on, or pass over in silence."""


class State:
    def __init__(self) -> None:
        self.reset()

    def reset(self, gui: bool = True) -> None:
        self.gui = gui
        self.main = threading.current_thread()
        self.calls: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self.root: Any = None
        self.script = ""
        self.modified = False
        self.context: list[Any] = []
        #: The group whose view was clicked last.
        self.clicked: Any = None
        self.this: Any = None
        self.views = ["main"]
        self.layers: dict[str, list[str]] = {
            "rgba": ["rgba.red", "rgba.green", "rgba.blue", "rgba.alpha"],
            "rgb": ["rgba.red", "rgba.green", "rgba.blue"],
            "alpha": ["rgba.alpha"],
        }
        self.messages: list[str] = []
        #: Nuke shows a progress bar as long as its task lives.
        self.tasks: weakref.WeakSet[Any] = weakref.WeakSet()
        self.asked: list[list[str]] = []
        self.answer: int | None = None
        self.undo_off = 0
        self.undos = 0
        self._edits: list[int] = []
        self.executing = False
        self.executed: list[tuple[Any, int, int, int, list[str], bool]] = []
        self.render: Callable[[str, int], None] | None = None
        self.environment: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.filters: dict[str, str] = {}

    def need_main(self, what: str) -> None:
        if threading.current_thread() is not self.main:
            raise Misuse(f"{what} off the main thread")

    def edited(self) -> None:
        """A change: a step of undo, alone or with all others of its group."""
        self.modified = True
        if self._edits:
            self._edits[-1] += 1
        elif not self.undo_off:
            self.undos += 1

    def begin_undo(self) -> None:
        self._edits.append(0)

    def end_undo(self) -> None:
        if self._edits.pop():
            self.edited()

    def pump(self) -> int:
        """Run what other threads asked the main thread for, as Nuke's event loop does."""
        self.need_main("the event loop")
        done = 0
        while not self.calls.empty():
            self.calls.get()()
            done += 1
        return done


STATE = State()
