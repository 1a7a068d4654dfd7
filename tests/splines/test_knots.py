"""Where points of an outline sit that needs many of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sa2va_core.mattes.splines.bezier import fit
from sa2va_core.mattes.splines.knots import View, choose, corners, poses

MARKS, TOLERANCE = 4000, 1.5
Outline = NDArray[np.complex128]


def star(turn: float, tips: int = 20) -> Outline:
    """Straight from tip to tip, with a wave along it that needs points of its own."""
    angle = np.linspace(0, 2 * np.pi, MARKS, endpoint=False)
    zigzag = np.abs((angle * tips / np.pi) % 2 - 1)
    radius = 300 + 120 * zigzag + 4 * np.sin(angle * tips * 2 + turn) + 5 * np.sin(7 * angle + turn)
    return radius * np.exp(1j * angle)


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


def test_chosen_knots_are_few_and_even() -> None:
    angle = np.linspace(0, 2 * np.pi, MARKS, endpoint=False)
    knots = choose([View(300 * np.exp(1j * angle))], np.array([]), TOLERANCE)
    steps = np.diff(np.append(knots, knots[0] + MARKS))
    assert len(knots) == 3
    assert steps.max() <= 1.5 * steps.min()


def test_curves_of_many_points_keep_to_all_outlines() -> None:
    outlines = [star(turn) for turn in (0.0, 0.3, 0.6)]
    found = poses(outlines, TOLERANCE, np.full(3, 0.5))
    # One for each tip and dent; a single curve does the wave between them.
    assert 40 <= found.shape[1] <= 44
    t = np.linspace(0, 1, 400)[:, None]
    for pose, outline in zip(found, outlines, strict=True):
        point, left, right = (pose[:, i] + 1j * pose[:, i + 1] for i in (0, 2, 4))
        end, before = np.roll(point, -1), np.roll(left, -1)
        curve = (1 - t) ** 3 * point + 3 * (1 - t) ** 2 * t * right + 3 * (1 - t) * t**2 * before + t**3 * end
        off = np.abs(curve.ravel() - outline[::8, None]).min(1)
        assert np.quantile(off, 0.92) <= TOLERANCE
        assert off.max() <= 1.6 * TOLERANCE
        assert off.mean() <= 0.5
