"""Splines of scenes of known coverage: few points, few keys, close, and honest about how close."""

from __future__ import annotations

import statistics

import cv2
import numpy as np
import pytest
from sa2va_plugin.splines import SplineObject

from . import redraw
from .conftest import Alpha, Fit
from .scenes import FRAMES, SCENES, SIZE, coverage, moved, ngon

Fitted = dict[str, tuple[list[Alpha], SplineObject]]
RIGID = [name for name in SCENES if name.startswith("rigid")]


def test_over_the_set_a_shape_has_few_points(fitted: Fitted) -> None:
    counts = [len(shape.keys[0].points) for _, item in fitted.values() for shape in item.shapes]
    assert statistics.median(counts) <= 24
    assert max(counts) <= 64


@pytest.mark.parametrize("name", SCENES)
def test_drawn_again_every_frame_is_the_matte(name: str, fitted: Fitted) -> None:
    alphas, item = fitted[name]
    measured = [
        redraw.iou(redraw.mask_of(item, frame, SIZE), alpha > 0.5)
        for frame, alpha in enumerate(alphas)
        if frame not in item.fit.bridged
    ]
    assert np.mean(measured) >= 0.985
    assert min(measured) >= 0.975
    assert min(measured) == pytest.approx(item.fit.worst_iou, abs=0.005)
    assert np.mean(measured) == pytest.approx(item.fit.iou, abs=0.003)


@pytest.mark.parametrize("name", SCENES)
def test_the_reported_deviation_is_what_a_drawing_shows(name: str, fitted: Fitted) -> None:
    alphas, item = fitted[name]
    frame = item.fit.worst_frame
    assert frame is not None
    seen = redraw.worst(redraw.alpha_of(item, frame, SIZE), alphas[frame])
    assert seen == pytest.approx(item.fit.worst_px, abs=0.1)


@pytest.mark.parametrize("name", RIGID)
def test_rigid_motion_takes_one_span_and_few_keys(name: str, fitted: Fitted) -> None:
    (shape,) = fitted[name][1].shapes
    assert (shape.first, shape.last) == (0, FRAMES - 1)
    assert len(shape.keys) <= FRAMES / 3


def test_a_polygon_keeps_its_corners_and_no_more(fitted: Fitted) -> None:
    for name, corners in (("rigid square", 4), ("rigid hexagon growing", 6), ("rigid star turning", 10)):
        (shape,) = fitted[name][1].shapes
        assert corners <= len(shape.keys[0].points) <= corners + 2


def test_points_stay_on_what_they_sit_on(fitted: Fitted) -> None:
    """A square that only moves: every point moves by the same way."""
    (shape,) = fitted["rigid square"][1].shapes
    a, b = (np.array(key.points)[:, :2] for key in (shape.keys[0], shape.keys[-1]))
    assert np.ptp(b - a, axis=0).max() < 1.0


def test_a_hole_that_opens_is_a_shape_of_its_own_from_then_on(fitted: Fitted) -> None:
    body, hole = fitted["opening hole"][1].shapes
    assert (body.first, body.last, body.hole) == (0, FRAMES - 1, False)
    assert hole.cuts == body.name
    # It opens on frame 9, at a radius of four pixels.
    assert hole.first in (9, 10)
    assert hole.last == FRAMES - 1


def test_what_parts_goes_on_as_two_shapes(fitted: Fitted) -> None:
    _, item = fitted["parting discs"]
    together = [shape for shape in item.shapes if shape.first == 0]
    apart = [shape for shape in item.shapes if shape.last == FRAMES - 1]
    assert len(together) == 1
    assert len(apart) == 2


def _ragged(frame: int, random: np.random.Generator) -> Alpha:
    """A walking figure whose outline flickers by some pixels, anew on each frame, as an engine's does."""
    alpha = coverage(SCENES["walking person"](frame), SIZE)
    bend = [cv2.resize(random.normal(0, 1, (60, 80)), SIZE, interpolation=cv2.INTER_CUBIC) for _ in range(2)]
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    bent = cv2.remap(alpha, x + bend[0].astype(np.float32), y + bend[1].astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(bent, np.float32)


def test_flicker_takes_neither_points_nor_keys(fit: Fit) -> None:
    random = np.random.default_rng(7)
    item = fit([_ragged(frame, random) for frame in range(FRAMES)], 2.0, 0)
    body = max(item.shapes, key=lambda shape: shape.last - shape.first)
    assert (body.first, body.last) == (0, FRAMES - 1)
    assert len(body.keys[0].points) <= 45
    assert len(body.keys) <= FRAMES / 2
    # Nearer to what is there than the flicker was.
    for frame in range(FRAMES):
        truth = coverage(SCENES["walking person"](frame), SIZE) > 0.5
        assert redraw.iou(redraw.mask_of(item, frame, SIZE), truth) > 0.95


def test_a_slit_that_opens_cuts_and_the_shape_goes_on(fit: Fit) -> None:
    """An arm that comes off a body: the outline changes, the shape does not."""

    def frame(i: int) -> Alpha:
        alpha = coverage([(moved(ngon(4, 150), 320, 240, 45), False)], SIZE)
        if i >= 8:
            alpha[200:, 250:262] = 0
        return alpha

    item = fit([frame(i) for i in range(20)], 2.0, 0)
    body = item.shapes[0]
    assert body.first == 0
    assert body.last > 12
    slit = item.shapes[1]
    assert slit.cuts == body.name
    assert slit.first == 8
    assert item.fit.worst_iou > 0.985
