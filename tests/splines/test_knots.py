"""Where points of an outline sit that needs many of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sa2va_core.mattes.splines.bezier import fit
from sa2va_core.mattes.splines.corners import View, corners
from sa2va_core.mattes.splines.knots import choose, poses

MARKS, TOLERANCE = 4000, 1.5
ANGLES = np.linspace(0, 2 * np.pi, MARKS, endpoint=False)
Outline = NDArray[np.complex128]


def star(turn: float, tips: int = 20) -> Outline:
    """Sides from tip to tip, each with a slight wave along it."""
    zigzag = np.abs((ANGLES * tips / np.pi) % 2 - 1)
    radius = 300 + 120 * zigzag + 4 * np.sin(ANGLES * tips * 2 + turn) + 5 * np.sin(7 * ANGLES + turn)
    return np.asarray(radius * np.exp(1j * ANGLES), np.complex128)


def coast(view: int) -> Outline:
    """Round, with bays of all sizes."""
    rng = np.random.default_rng(3)
    bays = [30 / k * np.cos(k * ANGLES + rng.uniform(0, 2 * np.pi) + 0.1 * view * rng.normal()) for k in range(2, 60)]
    return np.asarray((300 + np.sum(bays, axis=0)) * np.exp(1j * ANGLES), np.complex128)


@pytest.mark.parametrize("cornered", [True, False])
def test_a_bezier_between_chosen_knots_keeps_the_tolerance_on_every_view(cornered: bool) -> None:
    views = [View(star(turn)) for turn in (0.0, 0.6)]
    fixed = corners(views[0]) if cornered else np.array([])
    knots = choose(views, fixed, TOLERANCE)
    assert np.isin(fixed, knots).all()
    assert (np.diff(knots) > 0).all()
    ends = np.append(knots[1:], knots[0] + MARKS)
    for view in views:
        gaps = fit(view.arcs(knots, ends))[2]
        assert gaps.max() <= 1.6 * TOLERANCE
        assert np.quantile(gaps, 0.92, axis=1).max() <= TOLERANCE + 1e-9


@pytest.mark.parametrize(("tolerance", "count"), [(3.0, 3), (1.0, 4), (0.5, 5)])
def test_chosen_knots_are_few_and_even(tolerance: float, count: int) -> None:
    knots = choose([View(300 * np.exp(1j * ANGLES))], np.array([]), tolerance)
    steps = np.diff(np.append(knots, knots[0] + MARKS))
    assert len(knots) == count
    assert steps.max() <= 1.25 * steps.min()


@pytest.mark.parametrize(("room", "most"), [(3.0, 46), (0.3, 60)])
def test_few_points_keep_to_all_outlines(room: float, most: int) -> None:
    outlines = [coast(view) for view in range(3)]
    found, beside = poses(outlines, TOLERANCE, np.full(3, room))
    assert found.shape[1] <= most
    t = np.linspace(0, 1, 400)[:, None]
    for pose, outline, mean in zip(found, outlines, beside, strict=True):
        point, left, right = (pose[:, i] + 1j * pose[:, i + 1] for i in (0, 2, 4))
        end, before = np.roll(point, -1), np.roll(left, -1)
        curve = (1 - t) ** 3 * point + 3 * (1 - t) ** 2 * t * right + 3 * (1 - t) * t**2 * before + t**3 * end
        off = np.abs(curve.ravel() - outline[::8, None]).min(1)
        assert np.quantile(off, 0.92) <= TOLERANCE
        assert off.max() <= 1.6 * TOLERANCE
        assert off.mean() <= room + 0.03
        assert mean == pytest.approx(off.mean(), abs=0.03)
