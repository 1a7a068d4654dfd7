"""A small real engine for tests of everything around engines: the matte of "light" is where the picture is bright.

It remembers a running mean over frames, so that a resume that loses its state shows in the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import PhraseError
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.engines.base import Engine, EngineInfo, FrameResult, ObjectTrack, ShotSession, Verdict
from sa2va_core.media.frames import FrameSource


class BrightnessSession(ShotSession):
    def __init__(
        self,
        engine: Brightness,
        source: FrameSource,
        objects: Sequence[ObjectSpec],
        state: Mapping[str, NDArray[np.generic]] | None,
    ) -> None:
        self._engine, self._source, self._objects = engine, source, objects
        mean = None if state is None else state.get("mean")
        self._mean = None if mean is None else np.asarray(mean, np.float32)
        self._next = 0 if state is None else int(state["next"])

    def run(self) -> Iterator[FrameResult]:
        for picture in self._source.stream(self._source.frames[self._next :]):
            self._engine.before_frame(self._next)
            self._engine.look(self._source, picture.frame)
            light = picture.rgb.astype(np.float32).mean(axis=2) / 255.0
            self._mean = light if self._mean is None else 0.5 * self._mean + 0.5 * light
            logits = (self._mean - 0.5) * 40.0
            tracks = {
                "the light": ObjectTrack(logits, 1.0),
                "the dark": ObjectTrack(-logits, 1.0, 0.5),
                "nothing": ObjectTrack.absent(),
            }
            self._next += 1
            yield FrameResult(picture, {item.name: tracks[item.phrase] for item in self._objects})

    def verdicts(self) -> Mapping[str, Verdict]:
        return {
            item.name: Verdict("not in shot", "It is never here.")
            if item.phrase == "nothing"
            else Verdict("found", "It is bright or dark.", list(self._source.frames))
            for item in self._objects
        }

    def state(self) -> dict[str, NDArray[np.generic]] | None:
        assert self._mean is not None
        return {"mean": self._mean, "next": np.array(self._next)}


class Brightness(Engine):
    """``before_frame(n)`` is called before the n-th frame of a session, counted from 0.

    ``session`` is what walks over a shot.
    """

    session = BrightnessSession

    def __init__(self, before_frame: Callable[[int], None] = lambda n: None) -> None:
        self.before_frame = before_frame
        self.looked_at: list[int] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("brightness", "test", "1", "none", "cpu", {"threshold": "0" * 64})

    def look(self, source: FrameSource, frame: int) -> None:
        self.looked_at.append(frame)

    def check(self, objects: Sequence[ObjectSpec], second_look: bool = False) -> None:
        for item in objects:
            if item.phrase not in ("the light", "the dark", "nothing"):
                raise PhraseError(f"I do not understand {item.phrase!r}.", "I know these words: light, dark, nothing.")

    def open_shot(
        self,
        source: FrameSource,
        objects: Sequence[ObjectSpec],
        state: Mapping[str, NDArray[np.generic]] | None = None,
        second_look: bool = False,
    ) -> ShotSession:
        return self.session(self, source, objects, state)
