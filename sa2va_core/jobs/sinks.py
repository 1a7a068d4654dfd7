"""What a job writes: every form of result is a sink that gets each matted frame once, in any order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.jobspec import JobSpec

from sa2va_core.engines.base import Verdict
from sa2va_core.mattes.cryptomatte import CryptomatteWriter
from sa2va_core.mattes.qc.writer import QcWriter
from sa2va_core.media.clip import Clip
from sa2va_core.media.frames import Picture, SourceFrame
from sa2va_core.media.overlay import OverlayWriter
from sa2va_core.media.write import MatteWriter

from .splines import SplineWriter, Step

#: By object name: ``presence``, ``quality`` and ``coverage`` (mean alpha), 0..1; quality None where there is none.
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


def sinks_of(spec: JobSpec, clip: Clip, provenance: Mapping[str, str], step: Step) -> list[Sink]:
    """Every sink that ``spec`` asks for; those that are long in finishing tell ``step``. Raises JobSpecError for names
    that cannot be files."""
    sinks: list[Sink] = [_Mattes(spec, clip, provenance), _Overlay(spec, clip), _Qc(spec, clip, provenance)]
    if spec.outputs.cryptomatte:
        sinks.append(_Cryptomatte(spec, clip, provenance))
    if spec.outputs.splines:
        sinks.append(_Splines(spec, clip, step))
    return sinks


class _Mattes:
    def __init__(self, spec: JobSpec, clip: Clip, provenance: Mapping[str, str]) -> None:
        self._writer = MatteWriter(spec.outputs, clip.facts, spec.objects, provenance)
        self._clip, self._with_plate = clip, spec.outputs.rgb == "plate"
        self.remove_strays = self._writer.remove_strays

    @property
    def warnings(self) -> Sequence[str]:
        return self._writer.warnings

    def write(self, frame: MattedFrame) -> list[Path]:
        plate = self._clip.read_plate(frame.source.frame) if self._with_plate else None
        return self._writer.write(frame.source, frame.mattes, plate)

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        return self._writer.finish(sources)


class _Overlay:
    def __init__(self, spec: JobSpec, clip: Clip) -> None:
        self._writer = OverlayWriter(Path(spec.outputs.folder), clip.facts, spec.objects)
        self.remove_strays = self._writer.remove_strays

    @property
    def warnings(self) -> Sequence[str]:
        return self._writer.warnings

    def write(self, frame: MattedFrame) -> list[Path]:
        return [self._writer.write(frame.picture, frame.mattes)]

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        return self._writer.finish([source.frame for source in sources], verdicts)


class _Qc:
    warnings: Sequence[str] = ()

    def __init__(self, spec: JobSpec, clip: Clip, provenance: Mapping[str, str]) -> None:
        self._writer = QcWriter(Path(spec.outputs.folder), clip.facts, spec.objects, provenance)
        self.remove_strays = self._writer.remove_strays

    def write(self, frame: MattedFrame) -> list[Path]:
        return [self._writer.write(frame.picture, frame.mattes, frame.scores)]

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        return self._writer.finish([source.frame for source in sources], verdicts)


class _Cryptomatte:
    def __init__(self, spec: JobSpec, clip: Clip, provenance: Mapping[str, str]) -> None:
        self._writer = CryptomatteWriter(spec.outputs, clip.facts, spec.objects, provenance)
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
    def __init__(self, spec: JobSpec, clip: Clip, step: Step) -> None:
        outputs = spec.outputs
        folder, tolerance = Path(outputs.folder), outputs.spline_tolerance
        self._writer = SplineWriter(folder, clip.facts, spec.objects, tolerance, step)
        self.remove_strays = self._writer.remove_strays

    @property
    def warnings(self) -> Sequence[str]:
        return self._writer.warnings

    def write(self, frame: MattedFrame) -> list[Path]:
        return self._writer.write(frame.source.frame, frame.mattes)

    def finish(self, sources: Sequence[SourceFrame], verdicts: Mapping[str, Verdict]) -> list[Path]:
        return self._writer.finish([source.frame for source in sources])
