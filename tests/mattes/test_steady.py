"""Flicker goes, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.jobspec import MatteSettings

from sa2va_core.engines.base import FrameResult, ObjectTrack
from sa2va_core.mattes.stage import Look, MatteStage
from sa2va_core.media.frames import Picture

SIZE = (480, 270)
Alpha = NDArray[np.float32]


def moving(frames: int, step: float, radius: float = 70) -> tuple[list[Alpha], list[Picture], list[ObjectTrack]]:
    """A textured disc before a textured wall: truth, pictures, and logits that flicker."""
    random = np.random.default_rng(3)
    wall, skin = (
        np.clip(cv2.GaussianBlur(random.normal(m, 90, (SIZE[1], SIZE[0], 3)), (0, 0), 2.5), 0, 255) for m in (90, 150)
    )
    truths, pictures, tracks = [], [], []
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    for t in range(frames):
        truth = np.asarray(np.clip(radius - np.hypot(x - 180 - step * t, y - 135) + 0.5, 0, 1), np.float32)
        carried = cv2.warpAffine(
            skin, np.array([[1, 0, step * t], [0, 1, 0]], np.float32), SIZE, borderMode=cv2.BORDER_REFLECT
        )
        rgb = truth[..., None] * carried + (1 - truth[..., None]) * wall
        share = np.clip(
            cv2.GaussianBlur(cv2.resize(truth, (64, 36), interpolation=cv2.INTER_AREA), (0, 0), 0.8), 3e-4, 1 - 3e-4
        )
        noise = cv2.resize(random.normal(0, 1.2, (6, 8)).astype(np.float32), (64, 36), interpolation=cv2.INTER_CUBIC)
        truths.append(truth)
        pictures.append(Picture(t, rgb.astype(np.uint8)))
        tracks.append(ObjectTrack(np.asarray(np.log(share / (1 - share)) + noise, np.float32), 1.0))
    return truths, pictures, tracks


def looks(pictures: list[Picture], tracks: list[ObjectTrack], stage: MatteStage) -> list[Look]:
    return [stage.look(FrameResult(p, {"disc": t})) for p, t in zip(pictures, tracks, strict=True)]


def finished(stage: MatteStage, given: list[Look]) -> list[Alpha]:
    return [
        stage.finish(look, [given[j] for j in (i - 1, i + 1) if 0 <= j < len(given)])["disc"]
        for i, look in enumerate(given)
    ]


def flicker(mattes: list[Alpha], truths: list[Alpha]) -> float:
    errors = [m - t for m, t in zip(mattes, truths, strict=True)]
    return float(np.mean([np.sqrt(np.square(b - a).mean()) for a, b in pairwise(errors)]))


@pytest.mark.parametrize("step", [0.0, 3.0])
def test_flicker_goes_down_and_edges_stay_where_they_are(step: float) -> None:
    truths, pictures, tracks = moving(6, step)
    on, off = (MatteStage(MatteSettings(steady=steady), SIZE, "cpu") for steady in (True, False))
    given = looks(pictures, tracks, on)
    steadied, alone = finished(on, given), finished(off, given)
    assert flicker(steadied, truths) < 0.85 * flicker(alone, truths)
    worse = [np.abs(a - t).sum() / np.abs(b - t).sum() for a, b, t in zip(steadied, alone, truths, strict=True)]
    assert np.mean(worse) < 1.05


def test_only_the_band_changes() -> None:
    _, pictures, tracks = moving(3, 3.0)
    stage = MatteStage(MatteSettings(), SIZE, "cpu")
    given = looks(pictures, tracks, stage)
    # Neighbours that say the very opposite may move the band, and nothing beyond it.
    wrong = [
        replace(look, mattes={"disc": replace(look.mattes["disc"], alpha=1 - look.mattes["disc"].alpha)})
        for look in given
    ]
    result = stage.finish(given[1], [wrong[0], wrong[2]])["disc"]
    alone = stage.finish(given[1], [])["disc"]
    changed = result != alone
    assert changed.any()
    found = given[1].mattes["disc"]
    assert found.window is not None
    band = np.zeros(SIZE[::-1], bool)
    grown = cv2.resize(found.band, None, fx=found.window.cell, fy=found.window.cell, interpolation=cv2.INTER_LINEAR) > 0
    rows, columns = found.window.pixels
    band[rows, columns] = grown[: rows.stop - rows.start, : columns.stop - columns.start]
    assert not (changed & ~band).any()


def test_a_cut_mixes_nothing() -> None:
    """Next to a frame of another picture a matte is as if it were alone, to within a level of 8 bits."""
    _, pictures, tracks = moving(2, 0.0)
    other = Picture(1, np.zeros_like(pictures[1].rgb))
    empty = ObjectTrack.absent()
    stage = MatteStage(MatteSettings(), SIZE, "cpu")
    first, cut = looks([pictures[0], other], [tracks[0], empty], stage)
    change = np.abs(stage.finish(first, [cut])["disc"] - stage.finish(first, [])["disc"])
    assert np.quantile(change, 0.999) < 8 / 255
    assert change.mean() < 1e-3


def test_pins_stay_as_they_are_and_are_still_neighbours() -> None:
    _, pictures, tracks = moving(3, 0.0)
    pin = np.random.default_rng(0).random(SIZE[::-1], np.float32)
    tracks[1] = ObjectTrack(tracks[1].logits, 1.0, None, pin)
    every = MatteSettings(blur_band=4, fill_holes=9, drop_specks=9, grow=3, softness=4)
    for settings in (MatteSettings(), every, MatteSettings(refine=False)):
        stage = MatteStage(settings, SIZE, "cpu")
        np.testing.assert_array_equal(finished(stage, looks(pictures, tracks, stage))[1], pin)
    stage = MatteStage(MatteSettings(), SIZE, "cpu")
    given = looks(pictures, tracks, stage)
    assert (stage.finish(given[0], [given[1]])["disc"] != stage.finish(given[0], [])["disc"]).any()


@pytest.mark.parametrize(
    "settings",
    [
        MatteSettings(),
        MatteSettings(refine=False),
        MatteSettings(grow=2.5),
        MatteSettings(softness=7.3),
        MatteSettings(refine=False, steady=False, grow=-1.5, softness=20),
    ],
)
def test_mattes_end_in_emptiness_and_never_pass_one(settings: MatteSettings) -> None:
    """Else a cropped data window holds the whole plate, and a Cryptomatte has objects where nobody sees one."""
    _, pictures, tracks = moving(2, 3.0)
    stage = MatteStage(settings, SIZE, "cpu")
    for alpha in finished(stage, looks(pictures, tracks, stage)):
        assert alpha.min() == 0
        assert alpha[alpha > 0].min() >= 1 / 512
        assert alpha.max() <= 1
        assert not alpha[:, :60].any(), "far from the object"


def test_the_same_every_time_whatever_the_threads() -> None:
    _, pictures, tracks = moving(3, 3.0)
    before = cv2.getNumThreads()
    results = []
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            stage = MatteStage(MatteSettings(), SIZE, "cpu")
            results.append(finished(stage, looks(pictures, tracks, stage)))
    finally:
        cv2.setNumThreads(before)
    for other in results[1:]:
        np.testing.assert_array_equal(np.stack(results[0]), np.stack(other))


@pytest.mark.parametrize("size", [(5, 3), (33, 17)])
def test_tiny_plates_go_through(size: tuple[int, int]) -> None:
    stage = MatteStage(MatteSettings(grow=1.5, softness=2), size, "cpu")
    logits = np.array([[-8, 8], [-8, 8]], np.float32)
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    given = looks([Picture(i, rgb) for i in range(3)], [ObjectTrack(logits, 1.0)] * 3, stage)
    for result in finished(stage, given):
        assert result.shape == size[::-1]
        assert np.isfinite(result).all()


def test_an_object_that_comes_and_goes() -> None:
    _, pictures, tracks = moving(3, 0.0)
    tracks[1] = ObjectTrack.absent()
    stage = MatteStage(MatteSettings(), SIZE, "cpu")
    first, gone, last = finished(stage, looks(pictures, tracks, stage))
    assert not gone.any()
    assert first.max() > 0.99
    assert last.max() > 0.99
