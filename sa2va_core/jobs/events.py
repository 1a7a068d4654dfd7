"""What a running job tells whoever started it. The worker sends the same events over its socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sa2va_core.engines.base import Verdict


@dataclass(frozen=True)
class Started:
    """``total`` frames, of which ``kept`` are finished from an earlier run."""

    job: str
    engine: str
    total: int
    kept: int


@dataclass(frozen=True)
class Progress:
    """``eta`` in seconds, ``rate`` in frames a second; both None until they can be told."""

    stage: str
    done: int
    total: int
    rate: float | None
    eta: float | None


@dataclass(frozen=True)
class FrameReady:
    """All files of one result frame are on disk."""

    frame: int
    paths: Sequence[Path]
    preview: Path | None


@dataclass(frozen=True)
class VerdictReached:
    """Whether an object or a part of one is in the shot."""

    object_name: str
    verdict: Verdict


@dataclass(frozen=True)
class Warned:
    """A sentence for the user about something that did not stop the job."""

    message: str


@dataclass(frozen=True)
class Done:
    """The job is finished; nothing follows."""

    manifest: Path


Event = Started | Progress | FrameReady | VerdictReached | Warned | Done
Listener = Callable[[Event], None]
