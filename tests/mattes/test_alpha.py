"""Logits to alpha at plate scale, against a drawn truth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sa2va_core.engines.base import ObjectTrack
from sa2va_core.mattes.alpha import alpha
from sa2va_core.media.frames import Picture

WIDTH, HEIGHT = 960, 540


@pytest.fixture(scope="module")
def hairy() -> tuple[NDArray[np.float32], Picture, ObjectTrack]:
    """A disc with thin hairs: its true alpha, a picture of it, and logits as a network of 256 pixels would see it."""
    random = np.random.default_rng(7)
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(drawn, (480, 270), 140, 255, -1, cv2.LINE_AA)
    for angle in random.uniform(0, 2 * np.pi, 220):
        start = np.array([480 + 138 * np.cos(angle), 270 + 138 * np.sin(angle)])
        end = start + random.uniform(10, 30) * np.array([np.cos(angle + 0.3), np.sin(angle + 0.3)])
        cv2.line(drawn, tuple((start * 16).astype(int)), tuple((end * 16).astype(int)), 255, 1, cv2.LINE_AA, 4)
    truth = np.asarray(drawn / 255, np.float32)
    noise = random.normal(0, 4, (HEIGHT, WIDTH, 3))
    rgb = np.array([40, 50, 60]) * truth[..., None] + np.array([190, 180, 170]) * (1 - truth[..., None]) + noise
    small = cv2.GaussianBlur(cv2.resize(truth, (256, 144), interpolation=cv2.INTER_AREA), (0, 0), 1.2)
    small = np.clip(small, 1e-4, 1 - 1e-4)
    logits = np.asarray(np.log(small / (1 - small)), np.float32)
    return truth, Picture(1, np.clip(rgb, 0, 255).astype(np.uint8)), ObjectTrack(logits, 1.0)


def error(matte: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    return float(np.abs(matte - truth).sum())


def test_refined_edges_halve_the_error_of_plain_upsampling(hairy: tuple) -> None:
    truth, picture, track = hairy
    plain, refined = (alpha(track, picture, (WIDTH, HEIGHT), refine) for refine in (False, True))
    assert error(refined, truth) < 0.5 * error(plain, truth)


def test_core_and_far_background_are_left_alone(hairy: tuple) -> None:
    _, picture, track = hairy
    refined = alpha(track, picture, (WIDTH, HEIGHT), True)
    assert refined.dtype == np.float32
    assert refined.min() >= 0
    assert refined.max() <= 1
    yy, xx = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(xx - 480, yy - 270)
    assert refined[distance < 110].min() > 0.99
    assert refined[distance > 220].max() < 0.01


def test_without_refinement_it_is_the_sigmoid_of_bilinear_logits(hairy: tuple) -> None:
    _, picture, track = hairy
    expected = 1 / (1 + np.exp(-cv2.resize(track.logits, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)))
    np.testing.assert_allclose(alpha(track, picture, (WIDTH, HEIGHT), False), expected, atol=1e-6)


@pytest.mark.parametrize("refine", [False, True])
def test_an_absent_object_is_exactly_empty_in_half_precision(hairy: tuple, refine: bool) -> None:
    _, picture, _ = hairy
    matte = alpha(ObjectTrack.absent(), picture, (WIDTH, HEIGHT), refine)
    assert matte.shape == (HEIGHT, WIDTH)
    assert not matte.astype(np.float16).any()


def test_an_object_that_fills_the_frame_is_solid(hairy: tuple) -> None:
    _, picture, _ = hairy
    full = ObjectTrack(np.full((8, 8), 12.0, np.float32), 1.0)
    assert alpha(full, picture, (WIDTH, HEIGHT), True).min() > 0.99


def test_an_anamorphic_plate_gets_mattes_in_its_own_pixels(hairy: tuple) -> None:
    truth, picture, track = hairy
    squeezed = alpha(track, picture, (WIDTH // 2, HEIGHT), True)
    assert squeezed.shape == (HEIGHT, WIDTH // 2)
    wanted = cv2.resize(truth, (WIDTH // 2, HEIGHT), interpolation=cv2.INTER_AREA)
    inside, true_inside = squeezed > 0.5, wanted > 0.5
    assert (inside & true_inside).sum() / (inside | true_inside).sum() > 0.97
