"""What an artist asks of a matte is what it gets, in plate pixels."""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.jobspec import MatteSettings

from sa2va_core.mattes import controls

Alpha = NDArray[np.float32]


def disc(radius: float, size: int = 240, soft: float = 0.5, at: tuple[float, float] | None = None) -> Alpha:
    y, x = np.mgrid[:size, :size]
    cx, cy = at or ((size - 1) / 2, (size - 1) / 2)
    distance = np.hypot(x - cx, y - cy)
    return np.asarray(np.clip((radius - distance) / (2 * soft) + 0.5, 0, 1), np.float32)


def radius_of(alpha: Alpha) -> float:
    return float(np.sqrt(alpha.sum() / np.pi))


def edge_width(alpha: Alpha) -> float:
    """Pixels from a tenth to nine tenths along the middle row."""
    row = alpha[alpha.shape[0] // 2, : alpha.shape[1] // 2]
    at = np.arange(row.size)
    return float(np.interp(0.9, row, at) - np.interp(0.1, row, at))


def test_nothing_asked_nothing_done() -> None:
    alpha = disc(60)
    assert controls.adjusted(alpha, MatteSettings()) is alpha


@pytest.mark.parametrize("by", [0.25, 0.5, 1.0, 2.5, 6.0, -0.25, -0.5, -1.0, -2.5, -6.0])
def test_grow_moves_edges_by_parts_of_pixels(by: float) -> None:
    moved = controls.grown(disc(60), by)
    assert radius_of(moved) == pytest.approx(60 + by, abs=0.05 + 0.12 * abs(by))


def test_grow_leaves_an_edge_as_soft_as_it_was() -> None:
    soft = disc(60, soft=8)
    for by in (3.0, -3.0):
        assert edge_width(controls.grown(soft, by)) == pytest.approx(edge_width(soft), rel=0.1)


@pytest.mark.parametrize("by", [41.0, -41.0, 60.5, -60.5])
@pytest.mark.parametrize("soft", [0.5, 3.0, 20.0])
def test_edges_that_are_moved_far_come_to_where_the_whole_disc_brings_them(by: float, soft: float) -> None:
    alpha = disc(90, 420, soft)
    cv2.line(alpha, (210, 120), (290, 30), (0.7,), 1)
    change = cv2.dilate if by > 0 else cv2.erode
    below = int(abs(by))
    near, far = (
        change(alpha, controls._disc(radius), borderType=cv2.BORDER_REPLICATE) for radius in (below, below + 1)
    )
    truth = near + (abs(by) - below) * (far - near)
    moved = controls.grown(alpha, by)
    assert np.abs(moved - truth).max() < 1 / 16
    assert radius_of(moved) == pytest.approx(radius_of(truth), abs=0.2)
    assert set(np.unique(moved)) >= {0.0, 1.0}, "the core stays solid and the rest empty"


@pytest.mark.parametrize(
    ("change", "near", "far"), [(controls.grown, 60, 280), (controls.grown, -60, -280), (controls.softened, 40, 450)]
)
def test_moving_and_softening_edges_far_takes_little_longer_than_near(
    change: Callable[[Alpha, float], Alpha], near: float, far: float
) -> None:
    alpha = disc(150, 900)

    def seconds(by: float) -> float:
        began = time.process_time()
        change(alpha, by)
        return time.process_time() - began

    # By the disc's pixels and by the blur's width it would be 22 and 11 times as long.
    assert min(seconds(far) for _ in range(3)) < 5 * min(seconds(near) for _ in range(3))


def test_a_blur_on_fewer_pixels_is_the_blur() -> None:
    """From object to emptiness, cut by the border, and near to it."""
    for alpha in (disc(60, soft=8), disc(90, at=(0, 120)), disc(90, at=(100, 120))):
        for over in (45.0, 150.0):
            truth = cv2.GaussianBlur(alpha, (0, 0), over / controls._TEN_TO_NINETY, borderType=cv2.BORDER_REPLICATE)
            assert np.abs(controls.softened(alpha, over) - truth).max() < 1 / 512


def test_grow_at_the_border_leaves_no_seam() -> None:
    cut = disc(60, at=(0, 120))
    assert (controls.grown(cut, -4.0)[110:130, 0] == 1).all(), "an object that leaves the picture goes on outside it"


@pytest.mark.parametrize("over", [2.0, 6.0, 15.0])
def test_softness_is_the_width_of_the_edge(over: float) -> None:
    assert edge_width(controls.softened(disc(70), over)) == pytest.approx(over, rel=0.1, abs=0.4)


def test_holes_up_to_the_size_are_filled_and_no_others() -> None:
    alpha = np.minimum(disc(100), 1 - disc(5, at=(90, 90), soft=2) - disc(15, at=(150, 150)))
    filled = controls.fill_holes(np.asarray(alpha, np.float32), 12.0)
    assert filled[90, 90] == 1
    assert filled[80:101, 80:101].min() == 1, "with its soft rim"
    assert filled[150, 150] == 0
    outside = disc(100) < 1
    np.testing.assert_array_equal(filled[outside], alpha[outside])


def test_a_bay_and_an_opening_at_the_border_are_no_holes() -> None:
    ring = disc(60, at=(0, 120)) - disc(5, at=(0, 120))
    np.testing.assert_array_equal(controls.fill_holes(ring, 30.0), ring)


def test_specks_up_to_the_size_are_dropped_and_no_others() -> None:
    speck, piece = disc(3, at=(20, 20), soft=2), disc(15, at=(210, 210))
    alpha = np.maximum.reduce([disc(60), speck, piece])
    kept = controls.drop_specks(alpha, 12.0)
    np.testing.assert_array_equal(kept, np.maximum(disc(60), piece))


def test_a_hair_that_touches_is_no_speck() -> None:
    alpha = disc(60)
    cv2.line(alpha, (120, 70), (120, 40), (0.4,), 1)
    np.testing.assert_array_equal(controls.drop_specks(alpha, 60.0)[35:60], alpha[35:60])


@pytest.mark.parametrize("settings", [MatteSettings(fill_holes=9, drop_specks=9, grow=2.5, softness=3)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_mattes_stay_as_they_are(settings: MatteSettings, value: float) -> None:
    flat = np.full((40, 50), value, np.float32)
    np.testing.assert_allclose(controls.adjusted(flat, settings), flat, atol=1e-6)
