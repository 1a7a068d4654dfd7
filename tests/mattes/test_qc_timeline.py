"""The QC while a job runs: comparing as frames come, going on after a stop, progress, and stopping at the end."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from sa2va_plugin.errors import Cancelled
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.engines.base import Verdict
from sa2va_core.mattes.qc import result
from sa2va_core.mattes.qc.writer import QcWriter, Step
from sa2va_core.media.frames import Picture, PlateFacts
from sa2va_core.media.overlay import OverlayWriter

from .scene import FIRST, HEIGHT, WIDTH, disc, render

COUNT = 24
ODD = 11
PICTURES, TRUTHS = render(COUNT)
TRUTHS[ODD]["man"] = disc(60, 230, 30)
OBJECTS = [ObjectSpec(name, name) for name in TRUTHS[0]]
FACTS = PlateFacts("shot_010", (WIDTH, HEIGHT), 1.0, Fraction(24), "sRGB", "job")
FOUND = {item.name: Verdict("found", "x") for item in OBJECTS}


def writer(folder: Path, step: Step = lambda stage, done, total: None) -> QcWriter:
    return QcWriter(folder, FACTS, OBJECTS, {"engine": "truth"}, range(FIRST, FIRST + COUNT), step)


def note(to: QcWriter, folder: Path, order: range | list[int]) -> None:
    overlays = OverlayWriter(folder, FACTS, OBJECTS)
    for i in order:
        picture = Picture(FIRST + i, PICTURES[i])
        overlays.write(picture, TRUTHS[i])
        scores = {
            name: {"presence": 0.9, "coverage": float(matte.mean()), "peak": float(matte.max())}
            for name, matte in TRUTHS[i].items()
        }
        to.write(picture, TRUTHS[i], scores)


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("in_order")
    to = writer(folder)
    note(to, folder, range(COUNT))
    to.finish(FOUND)
    return (folder / result.NAME).read_bytes()


@pytest.mark.parametrize("order", ["both ways from the middle", "scattered"])
def test_the_order_in_which_frames_come_does_not_matter(tmp_path: Path, in_order: bytes, order: str) -> None:
    ways = {
        "both ways from the middle": [*range(5, COUNT), *range(4, -1, -1)],
        # Neighbours come further apart than records are held.
        "scattered": [*range(0, COUNT, 2), *range(1, COUNT, 2)],
    }
    to = writer(tmp_path)
    note(to, tmp_path, ways[order])
    to.finish(FOUND)
    assert (tmp_path / result.NAME).read_bytes() == in_order


@pytest.mark.parametrize("before", [1, 9, COUNT])
def test_a_job_that_was_stopped_is_judged_alike(tmp_path: Path, in_order: bytes, before: int) -> None:
    note(writer(tmp_path), tmp_path, range(before))
    seen: list[tuple[str, int, int]] = []
    to = writer(tmp_path, lambda *told: seen.append(told))
    note(to, tmp_path, range(before, COUNT))
    to.finish(FOUND)
    assert (tmp_path / result.NAME).read_bytes() == in_order
    compared = [(done, total) for stage, done, total in seen if stage == "comparing frames"]
    # What the new writer has not seen: each frame alone, and with the one before.
    total = 2 * before - (before == COUNT)
    assert compared == [(done, total) for done in range(1, total + 1)]


def test_frames_that_came_in_order_are_not_read_again(tmp_path: Path, in_order: bytes) -> None:
    seen: list[tuple[str, int, int]] = []
    to = writer(tmp_path, lambda *told: seen.append(told))
    note(to, tmp_path, range(COUNT))
    for i in range(COUNT):
        if abs(i - ODD) > 2:
            to.path(FIRST + i).unlink()
    to.finish(FOUND)
    assert (tmp_path / result.NAME).read_bytes() == in_order
    assert {stage for stage, _, _ in seen} == {"judging the mattes", "drawing the QC report"}


@pytest.mark.parametrize("stage", ["comparing frames", "judging the mattes", "drawing the QC report"])
def test_it_can_be_stopped_at_the_end_and_goes_on(tmp_path: Path, in_order: bytes, stage: str) -> None:
    def stop(now: str, done: int, total: int) -> None:
        if now == stage:
            raise Cancelled("Stopped.", "Go on.")

    note(writer(tmp_path), tmp_path, range(COUNT))
    with pytest.raises(Cancelled):
        writer(tmp_path, stop).finish(FOUND)
    assert not (tmp_path / result.NAME).exists()
    assert not (tmp_path / result.REPORT).exists()
    writer(tmp_path).finish(FOUND)
    assert (tmp_path / result.NAME).read_bytes() == in_order
