"""What the command line prints: lines and one moving progress line for people, JSON lines for machines."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import Sa2vaError

from sa2va_core.jobs.events import Done, Event, FrameReady, Progress, Started, VerdictReached, Warned
from sa2va_core.jobs.manifest import ranges


def print_json(data: Any) -> None:
    # In ASCII: whatever the encoding of a pipe is, machines read it alike.
    print(json.dumps(data, default=_plain), flush=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def report_error(error: Sa2vaError, as_json: bool) -> None:
    """Two lines on stderr, or one JSON object on stdout."""
    if as_json:
        print_json({"event": "failed", "error": type(error).__name__, "message": error.message, "hint": error.hint})
        return
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(error.hint, file=sys.stderr)


class JsonListener:
    """Every event as one JSON object on a line of its own."""

    def __call__(self, event: Event) -> None:
        name = "".join("_" + c.lower() if c.isupper() else c for c in type(event).__name__).lstrip("_")
        print_json({"event": name, **asdict(event)})


class OpenJdListener:
    """Progress as Open Job Description's sessions read it from a task's output (specification, "stdout messages")."""

    def __init__(self) -> None:
        self._told = -1

    def __call__(self, event: Event) -> None:
        match event:
            case Progress(total=total) if total:
                percent = int(100 * event.done / total)
                if percent != self._told:
                    self._told = percent
                    print(f"openjd_progress: {percent}", flush=True)
                    print(f"openjd_status: {event.stage} {event.done}/{total}", flush=True)
            case VerdictReached():
                print(f"{event.object_name}: {event.verdict.state}. {event.verdict.reason}", flush=True)
            case Warned():
                print(f"warning: {event.message}", flush=True)


class TextListener:
    """Results on stdout; warnings and, on a terminal, a progress line on stderr."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._width = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._progress(event)
            return
        if isinstance(event, FrameReady):
            return
        self._clear()
        if isinstance(event, Started) and event.kept:
            print(f"{event.kept} of {event.total} frames are finished already.")
        elif isinstance(event, VerdictReached):
            verdict = event.verdict
            where = f" on {ranges(verdict.frames)}" if verdict.frames else ""
            print(f"{event.object_name}: {verdict.state}{where}. {verdict.reason}")
        elif isinstance(event, Warned):
            print(f"warning: {event.message}", file=sys.stderr)
        elif isinstance(event, Done):
            folder = event.manifest.parent
            print(f"Results: {folder}")
            print(f"Look at: {folder / 'report.html'}")

    def _progress(self, event: Progress) -> None:
        if not self._live:
            return
        text = f"{event.stage} {event.done}/{event.total}" if event.total else event.stage
        if event.rate is not None:
            text += f"  {event.rate:.1f} frames/s"
        if event.eta is not None:
            minutes, seconds = divmod(round(event.eta), 60)
            text += f"  {minutes}:{seconds:02d} left"
        print("\r" + text.ljust(self._width), end="", file=sys.stderr, flush=True)
        self._width = len(text)

    def _clear(self) -> None:
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
            self._width = 0


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C stops at once, as usual."""
    cancelled = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in signals]

    def stop(number: int, frame: object) -> None:
        cancelled.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield cancelled
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
