"""What a job writes: every form of result is a sink that gets each matted frame once, in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.jobspec import JobSpec, ObjectSpec

from sa2va_core.engines.base import Verdict
from sa2va_core.mattes.cryptomatte import CryptomatteWriter
from sa2va_core.mattes.foreground import foreground
from sa2va_core.mattes.qc.writer import QcWriter
from sa2va_core.media.clip import Clip
from sa2va_core.media.frames import Picture, SourceFrame
from sa2va_core.media.overlay import OverlayWriter
from sa2va_core.media.write import MatteWriter

from .splines import SplineWriter, Step

#: By object name: ``presence``, ``quality``, ``coverage`` and ``peak`` (mean and highest alpha), 0..1; quality None
#: where there is none.
Scores = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class MattedFrame:
    """One finished frame: ``mattes`` by object name, float32 (H, W), 0..1, linear coverage at plate size."""

    source: SourceFrame
    picture: Picture
    mattes: Mapping[str, NDArray[np.float32]]
    scores: Scores


class Sink(Protocol):
    """One form of result.

    It keeps nothing in memory between frames: what :meth:`finish` needs of a frame waits in the output folder's
    ``.sa2va``, so that a killed job goes on with a new sink and memory does not depend on the shot's length.
    """

    @property
    def warnings(self) -> Sequence[str]:
        """Sentences for the user; complete after :meth:`finish`."""
        ...

    def remove_strays(self, frames: Sequence[int]) -> None:
        """Clear what a killed run left half-written of these result frames."""
        ...

    def write(self, frame: MattedFrame) -> list[Path]:
        """Write what this frame adds; returns its files. Called by several threads at once, for different frames.

        Raises OutputError.
        """
        ...

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        """Make what needs all frames, in order; returns the files made. Raises OutputError."""
        ...


def sinks_of(
    spec: JobSpec,
    objects: Sequence[ObjectSpec],
    part_of: Mapping[str, str],
    clip: Clip,
    provenance: Mapping[str, str],
    step: Step,
) -> list[Sink]:
    """Every sink that ``spec`` asks for. Raises JobSpecError for names that cannot be files.

    ``objects``: those of the job, each followed by its parts (single things that its phrase turned out to name);
    ``part_of``: the object's name by the part's. Sinks that are long in finishing tell ``step``.
    """
    # A Cryptomatte of a whole and its parts would be of the parts alone, and so it is judged.
    single = [item for item in objects if item.name not in part_of.values()]
    sinks: list[Sink] = [
        _Mattes(spec, objects, clip, provenance),
        _Overlay(spec, objects, part_of, clip, step),
        _Qc(spec, single, clip, provenance, step),
    ]
    if spec.outputs.cryptomatte:
        sinks.append(_Cryptomatte(spec, single, clip, provenance))
    if spec.outputs.splines:
        sinks.append(_Splines(spec, objects, clip, step))
    return sinks


class _Mattes:
    def __init__(self, spec: JobSpec, objects: Sequence[ObjectSpec], clip: Clip, provenance: Mapping[str, str]) -> None:
        self._writer = MatteWriter(spec.outputs, clip.facts, objects, provenance)
        self._clip, self._rgb = clip, spec.outputs.rgb
        self.remove_strays = self._writer.remove_strays

    @property
    def warnings(self) -> Sequence[str]:
        return self._writer.warnings

    def write(self, frame: MattedFrame) -> list[Path]:
        plate = self._clip.read_plate(frame.source.frame) if self._rgb in ("plate", "foreground") else None
        if plate is not None and self._rgb == "foreground":
            plate = foreground(plate, np.maximum.reduce(list(frame.mattes.values())))
        return self._writer.write(frame.source, frame.mattes, plate)

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        return self._writer.finish(sources)


class _Overlay:
    def __init__(
        self, spec: JobSpec, objects: Sequence[ObjectSpec], part_of: Mapping[str, str], clip: Clip, step: Step
    ) -> None:
        self._step = step
        # The whole would only lie over its parts.
        shown = [item for item in objects if item.name not in part_of.values()]
        self._writer = OverlayWriter(Path(spec.outputs.folder), clip.facts, shown)
        self.remove_strays = self._writer.remove_strays

    @property
    def warnings(self) -> Sequence[str]:
        return self._writer.warnings

    def write(self, frame: MattedFrame) -> list[Path]:
        return [self._writer.write(frame.picture, frame.mattes)]

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        return self._writer.finish([source.frame for source in sources], verdicts, self._step)


class _Qc:
    def __init__(
        self, spec: JobSpec, objects: Sequence[ObjectSpec], clip: Clip, provenance: Mapping[str, str], step: Step
    ) -> None:
        self._writer = QcWriter(Path(spec.outputs.folder), clip.facts, objects, provenance, clip.frames, step)
        self.remove_strays = self._writer.remove_strays

    @property
    def warnings(self) -> Sequence[str]:
        return self._writer.warnings

    def write(self, frame: MattedFrame) -> list[Path]:
        return [self._writer.write(frame.picture, frame.mattes, frame.scores)]

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        return self._writer.finish(verdicts)


class _Cryptomatte:
    def __init__(self, spec: JobSpec, objects: Sequence[ObjectSpec], clip: Clip, provenance: Mapping[str, str]) -> None:
        self._writer = CryptomatteWriter(spec.outputs, clip.facts, objects, provenance)
        self.remove_strays = self._writer.remove_strays

    @property
    def warnings(self) -> Sequence[str]:
        return self._writer.warnings

    def write(self, frame: MattedFrame) -> list[Path]:
        return [self._writer.write(frame.source, frame.mattes)]

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        self._writer.finish([source.frame for source in sources])
        return []


class _Splines:
    def __init__(self, spec: JobSpec, objects: Sequence[ObjectSpec], clip: Clip, step: Step) -> None:
        outputs = spec.outputs
        folder, tolerance = Path(outputs.folder), outputs.spline_tolerance
        self._writer = SplineWriter(folder, clip.facts, objects, tolerance, step)
        self.remove_strays = self._writer.remove_strays

    @property
    def warnings(self) -> Sequence[str]:
        return self._writer.warnings

    def write(self, frame: MattedFrame) -> list[Path]:
        return self._writer.write(frame.source.frame, frame.mattes)

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        return self._writer.finish([source.frame for source in sources])
