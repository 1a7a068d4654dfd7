"""Which frame of its source a strip shows when: plain arithmetic on facts, no Blender.

*Timeline frames* are the scene's. A *number* is what a matte file is numbered by: the plate's own frame number, so
that a trimmed, moved or reversed strip is served by the same files, and frames that are shown twice are matted once.
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Optional

from sa2va_plugin.errors import JobSpecError, MediaError
from sa2va_plugin.naming import FramePattern

#: The number before the extension, as the worker reads names of sequences.
_NUMBERED = re.compile(r"^(?P<head>.*?)(?P<number>\d+)(?P<tail>\.[^.]+)$")


@dataclass(frozen=True)
class StripFacts:
    """A strip's place in time. ``start`` and ``length``: its whole content; ``left`` to ``right`` (exclusive): what
    shows of it; ``trim``: source frames cut off before the content by a split or a hold."""

    start: int
    length: int
    left: int
    right: int
    trim: int = 0
    reverse: bool = False
    strobe: float = 1.0

    def index(self, frame: int) -> int:
        """The source frame, counted from 0, that a timeline frame shows; outside of the content its ends hold."""
        at = min(max(frame - self.start, 0), self.length - 1)
        if self.reverse:
            at = self.length - 1 - at
        if self.strobe > 1:
            at = int(at - math.fmod(at, self.strobe))
        return at + self.trim

    @property
    def straight(self) -> bool:
        """Whether the source runs forward frame by frame, as an Image node can follow it."""
        return not self.reverse and self.strobe <= 1


@dataclass(frozen=True)
class Source:
    """Files behind source frames: a movie, whose first frame is ``first``, or stills (``path`` is their pattern).

    ``numbers``: those of the stills by index, where they do not simply count up from ``first``.
    """

    path: str
    first: int = 1
    numbers: tuple[int, ...] = ()
    movie: bool = False

    def number(self, index: int) -> int:
        return self.numbers[min(index, len(self.numbers) - 1)] if self.numbers else index + self.first


def wanted(first: int, last: int, facts: StripFacts) -> range:
    """The timeline frames that lie in a range (inclusive) and in the strip. Raises JobSpecError when none does."""
    found = range(max(first, facts.left), min(last + 1, facts.right))
    if not found:
        raise JobSpecError(
            f"The range {first}-{last} holds no frame of the strip, which lies at {facts.left}-{facts.right - 1}.",
            "Choose the range Clip, or move the range.",
        )
    return found


def numbers(frames: Sequence[int], facts: StripFacts, source: Source) -> tuple[int, ...]:
    """The numbers that these timeline frames need, rising, each once."""
    return tuple(sorted({source.number(facts.index(frame)) for frame in frames}))


def files_of(names: Sequence[str]) -> Optional[tuple[str, tuple[int, ...]]]:
    """One pattern and the numbers for file names in playing order; None where they are not of one sequence."""
    if len(set(names)) == 1 and not _NUMBERED.match(names[0]):
        return names[0], (1,) * len(names)
    found = [_NUMBERED.match(name) for name in names]
    matches = [match for match in found if match]
    if len(matches) < len(names) or len({(match["head"], match["tail"]) for match in matches}) != 1:
        return None
    first = matches[0]
    width = min(len(match["number"]) for match in matches)
    padded = all(len(m["number"]) == width or m["number"][0] != "0" for m in matches)
    if not padded:
        return None
    return str(FramePattern(first["head"], width, first["tail"])), tuple(int(m["number"]) for m in matches)


def nearest(number: int, made: Sequence[int]) -> int:
    """The number itself, else the closest below it, else the first: ``made`` rises."""
    if not made:
        raise MediaError("The run made no frame.", "Run it again.")
    return made[max(bisect_right(made, number) - 1, 0)]


@dataclass(frozen=True)
class Plan:
    """How one run's numbers belong to the timeline, kept with the run.

    ``source`` runs number by the plate's frames; a ``rendered`` run numbers by the strip's content: number 1 is the
    timeline frame ``origin`` after the content's start.
    """

    rendered: bool = False
    origin: int = 0
    numbers: tuple[int, ...] = field(default=())

    def number(self, frame: int, facts: StripFacts, source: Optional[Source]) -> int:
        if self.rendered or source is None:
            return frame - facts.start - self.origin + 1
        return source.number(facts.index(frame))

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> Plan:
        """Raises ValueError, KeyError or TypeError for what :meth:`to_text` did not write."""
        data = json.loads(text)
        return Plan(data["rendered"], data["origin"], tuple(data["numbers"]))
