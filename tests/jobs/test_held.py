"""A job whose engine walks out both ways from the middle: stopped anywhere, it goes on to the same bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.errors import Cancelled
from sa2va_plugin.jobspec import JobSpec, ObjectSpec, Outputs, Shot

from sa2va_core.engines.base import Detail, FrameResult, ObjectTrack, Verdict
from sa2va_core.jobs import manifest
from sa2va_core.jobs.runner import run_job

from .brightness import Brightness, BrightnessSession
from .test_runner import tree

FRAMES = 8
START = 3


class _Walk(BrightnessSession):
    def run(self) -> Iterator[FrameResult]:
        order = [*range(START, FRAMES), *range(START - 1, -1, -1)]
        for place in order[self._next :]:
            picture = self._source.read(self._source.frames[place])
            self._engine.before_frame(self._next)
            self._engine.looked_at.append(picture.frame)
            light = cv2.resize(
                picture.rgb.astype(np.float32).mean(axis=2) / 255, (40, 23), interpolation=cv2.INTER_AREA
            )
            logits = np.asarray((light - 0.5) * 16, np.float32)
            detail = Detail(np.asarray(light[::-1] * 20 - 10, np.float32), (0.25, 1 / 3, 0.75, 2 / 3))
            track = ObjectTrack(logits, 1.0, 0.5, details=(detail,) * (place % 3))
            if place == 5:
                track = replace(track, pin=np.asarray(picture.rgb[..., 0] / np.float32(510), np.float32))
            self._next += 1
            yield FrameResult(picture, {item.name: track for item in self._objects})

    def verdicts(self) -> Mapping[str, Verdict]:
        return {item.name: Verdict("found", "It is bright.", list(self._source.frames)) for item in self._objects}

    def state(self) -> dict[str, NDArray[np.generic]] | None:
        return {"next": np.array(self._next)}


class FromTheMiddle(Brightness):
    """Brightness without memory, from the fourth frame to the end and then back to the first; the sixth is pinned, and
    some have details."""

    session = _Walk


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    folder = tmp_path / "plate"
    folder.mkdir()
    random = np.random.default_rng(2)
    for i in range(FRAMES):
        picture = np.asarray(random.normal(30, 8, (90, 160, 3)).clip(0, 255), np.uint8)
        cv2.circle(picture, (50 + 3 * i, 45), 22, (230, 225, 220), -1, cv2.LINE_AA)
        cv2.imwrite(str(folder / f"disc.{11 + i}.png"), picture)
    return folder


def job(plate: Path, out: Path) -> JobSpec:
    return JobSpec(Shot(str(plate / "disc.##.png"), fps=24), (ObjectSpec("light", "the light"),), Outputs(str(out)))


def run(spec: JobSpec, stop: int | None = None) -> list[int]:
    """Run until frame number ``stop`` of this run is there; returns the frames the engine looked at."""
    cancelled, engine = threading.Event(), FromTheMiddle()
    first: list[int] = []

    def before(n: int) -> None:
        first.append(n)
        if stop is not None and len(first) == stop:
            cancelled.set()

    engine.before_frame = before
    try:
        run_job(spec, engine=engine, cancelled=cancelled)
    except Cancelled:
        assert stop is not None
    return engine.looked_at


def without_manifest(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in tree(folder).items() if name != manifest.NAME}


def test_stopped_after_every_frame_it_gives_the_same_bytes_and_looks_at_each_frame_once(
    plate: Path, tmp_path: Path
) -> None:
    assert run(job(plate, tmp_path / "whole")) == [14, 15, 16, 17, 18, 13, 12, 11]
    looked: list[int] = []
    for _ in range(FRAMES):
        looked += run(job(plate, tmp_path / "stopped"), stop=1)
    assert run(job(plate, tmp_path / "stopped")) == []
    assert looked == [14, 15, 16, 17, 18, 13, 12, 11]
    assert without_manifest(tmp_path / "stopped") == without_manifest(tmp_path / "whole")


def test_a_held_frame_whose_plate_changed_starts_the_job_over(plate: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "out")
    run(spec, stop=3)
    cv2.imwrite(str(plate / "disc.16.png"), np.full((90, 160, 3), 240, np.uint8))
    assert run(spec)[0] == 14
