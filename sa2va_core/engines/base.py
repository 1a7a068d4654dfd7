"""The engine seam: frames and phrases in, mask logits and verdicts out.

An :class:`Engine` holds loaded weights and serves many shots. A :class:`ShotSession` is one shot with all of its
objects: each frame is looked at once, however many objects there are, and leaves as a :class:`FrameResult`, in whatever
order the engine works (a tracker may walk out both ways from its best frame).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import EngineError
from sa2va_plugin.jobspec import EngineSpec, ObjectSpec

from sa2va_core.media.frames import FrameSource, Picture

#: Logit of a pixel that is surely outside: its sigmoid is 0 at half precision.
NOTHING = -32.0

VerdictState = Literal["found", "not in shot", "ambiguous"]


@dataclass(frozen=True)
class EngineInfo:
    """What made a matte. ``device``: as torch names it, ``cpu`` or ``cuda:0``; edges are fitted there too.
    ``weights`` maps a weight file's name to its SHA-256 (hex)."""

    name: str
    label: str
    version: str
    model: str
    device: str
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Detail:
    """A part of the picture at a finer scale.

    ``logits``: float32 (h, w), covering ``box``: (x0, y0, x1, y1), each a share of the picture's width or height, 0..1.
    Towards those of the box's sides that lie inside the picture they become the logits of the whole map, so the one can
    be laid over the other without a seam.
    """

    logits: NDArray[np.float32]
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class ObjectTrack:
    """One object on one frame.

    ``logits``: float32 (h, w) at the engine's own scale, covering the whole picture; > 0 is inside. ``presence``: how
    sure the engine is that the object is visible here, 0..1. ``quality``: the mask's predicted IoU, 0..1, where the
    engine gives one. ``pin``: a matte that the user made for this frame, float32 (height, width), 0..1: it is the
    result as it stands, whatever else is done to mattes. ``details``: what a second look gave, to be laid over
    ``logits``, later ones on top; all that is in doubt lies in one of them, or there are none.
    """

    logits: NDArray[np.float32]
    presence: float
    quality: float | None = None
    pin: NDArray[np.float32] | None = None
    details: tuple[Detail, ...] = ()

    @staticmethod
    def absent(presence: float = 0.0) -> ObjectTrack:
        """No object on this frame."""
        return ObjectTrack(np.full((1, 1), NOTHING, np.float32), presence)


@dataclass(frozen=True)
class FrameResult:
    """All objects and their parts on one frame, by name, with the picture they were found in (so nothing is read
    twice)."""

    picture: Picture
    objects: Mapping[str, ObjectTrack]


@dataclass(frozen=True)
class Verdict:
    """Whether a phrase is in the shot. ``reason``: one sentence. ``frames``: from an engine, those on which it saw the
    object; as a job tells it, those on which the object's matte has an inside (alpha over one half)."""

    state: VerdictState
    reason: str
    frames: Sequence[int] = ()


class ShotSession(ABC):
    """One shot being matted."""

    @abstractmethod
    def run(self) -> Iterator[FrameResult]:
        """Every frame once, or, after a resume, every frame that the given state had not passed yet."""

    @abstractmethod
    def verdicts(self) -> Mapping[str, Verdict]:
        """A verdict for each object and part by name; valid once :meth:`run` is exhausted."""

    def parts(self) -> Mapping[str, Sequence[str]]:
        """Names of the single things, by object, where a phrase turned out to name several.

        A part has a track and a verdict of its own beside those of the object, which is all of them together. Known
        before :meth:`run`, and the same after a resume; the engine may look over the shot to tell.
        """
        return {}

    def state(self) -> dict[str, NDArray[np.generic]] | None:
        """All that a later session needs to go on after the last result that :meth:`run` gave, as plain arrays.

        A session resumed from it must give the very same numbers. None: the engine starts over instead.
        """
        return None


class Engine(ABC):
    """Loaded weights. Made by :func:`sa2va_core.engines.registry.create`."""

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """What the manifest says of the engine and its weights."""

    @abstractmethod
    def check(self, objects: Sequence[ObjectSpec], second_look: bool = False) -> None:
        """Raise PhraseError for a phrase or prompt kind that is not understood, EngineError for a ``second_look`` that
        this engine cannot take; cheap, before any frame."""

    @abstractmethod
    def open_shot(
        self,
        source: FrameSource,
        objects: Sequence[ObjectSpec],
        state: Mapping[str, NDArray[np.generic]] | None = None,
        second_look: bool = False,
    ) -> ShotSession:
        """Start a shot, or go on from a :meth:`ShotSession.state` of the same job.

        ``second_look``: look at small objects again, at the scale of a crop (:attr:`ObjectTrack.details`).
        """

    def ask(self, source: FrameSource, question: str) -> str:
        """The answer in words to a question about the shot. Raises PhraseError, and EngineError where the engine has
        no words of its own (see :attr:`EngineFactory.answers`)."""
        raise EngineError(f"The engine {self.info.name} cannot answer questions.", "Use the engine sa2va.")

    def close(self) -> None:
        """Give back memory and devices. Safe to call twice."""


@dataclass(frozen=True)
class Needs:
    """What a machine must have to run an engine, in MiB; ``gpu_memory_mib`` 0: no GPU. A farm places tasks by it."""

    memory_mib: int
    gpu_memory_mib: int = 0


class EngineFactory(ABC):
    """What the registry knows of an engine before it is loaded."""

    name: str
    label: str
    #: Whether :meth:`Engine.ask` answers.
    answers = False
    #: Whether :meth:`Engine.open_shot` takes a ``second_look``.
    looks_twice = False

    @abstractmethod
    def unavailable(self) -> str | None:
        """Why this engine cannot run on this machine, with the next step; None when it can."""

    def missing(self) -> str | None:
        """Which of its weights are not on this machine, with the next step; None when all are."""
        return None

    def check(self, objects: Sequence[ObjectSpec], second_look: bool = False) -> None:
        """As :meth:`Engine.check`, as far as can be told without weights: many shots are checked before one is run."""
        if second_look and not self.looks_twice:
            raise EngineError(
                f"The engine {self.name} cannot take a second look.",
                "Leave out second_look (--second-look), or use the engine sa2va.",
            )

    @abstractmethod
    def needs(self, spec: EngineSpec) -> Needs:
        """What ``spec`` takes, as far as can be told here: the weights may be on other machines alone."""

    @abstractmethod
    def create(self, spec: EngineSpec) -> Engine:
        """Load weights. Raises ModelError or EngineError."""
