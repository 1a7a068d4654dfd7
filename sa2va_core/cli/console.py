"""What the command line prints: lines and one moving progress line for people, JSON lines for machines."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import Sa2vaError

from sa2va_core.jobs.events import Done, Event, FrameReady, Progress, Started, VerdictReached, Warned
from sa2va_core.jobs.manifest import ranges


def print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False, default=_plain), flush=True)


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
