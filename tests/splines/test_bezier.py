"""The linear systems of closed curves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sa2va_core.mattes.splines.bezier import solve_cyclic


@pytest.mark.parametrize("count", [1, 2, *range(3, 20), 63, 64, 65, 127, 200, 300])
@pytest.mark.parametrize("least", [1.0, 1e-3])
def test_a_ring_of_blocks_is_solved_as_well_as_by_a_dense_solver(count: int, least: float) -> None:
    rng = np.random.default_rng(count)
    dense, here, ahead = rings(rng, 4, count, least)
    side = rng.normal(size=(4, count, 3, 2)) * 1000
    solved = solve_cyclic(here, ahead, side)
    expected = np.linalg.solve(dense, side.reshape(4, -1, 2)).reshape(side.shape)
    assert np.abs(solved - expected).max() <= 1e-12 / least * np.abs(expected).max()
    # What is left over is as little as for the dense solver.
    assert residual(dense, solved, side) <= 10 * residual(dense, expected, side)


def rings(
    rng: np.random.Generator, frames: int, count: int, least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Positive definite systems as curves have them, each segment's sum of squares in the unknowns of its two knots,
    and ``least`` on the diagonal: dense, and as blocks."""
    dense = np.tile(least * np.eye(3 * count), (frames, 1, 1))
    here, ahead = np.tile(least * np.eye(3), (frames, count, 1, 1)), np.zeros((frames, count, 3, 3))
    for k in range(count):
        # Of fewer rows than unknowns, so that single segments are singular.
        rows = rng.normal(size=(frames, 4, 6)) * rng.choice([0.1, 1.0, 3.0])
        squares = rows.swapaxes(1, 2) @ rows
        after = (k + 1) % count
        here[:, k] += squares[:, :3, :3]
        here[:, after] += squares[:, 3:, 3:]
        ahead[:, k] = squares[:, :3, 3:]
        a, b = slice(3 * k, 3 * k + 3), slice(3 * after, 3 * after + 3)
        dense[:, a, a] += squares[:, :3, :3]
        dense[:, b, b] += squares[:, 3:, 3:]
        dense[:, a, b] += squares[:, :3, 3:]
        dense[:, b, a] += squares[:, 3:, :3]
    return dense, here, ahead


def residual(dense: NDArray[np.float64], solved: NDArray[np.floating], side: NDArray[np.float64]) -> float:
    frames = len(dense)
    return float(np.abs(dense @ solved.reshape(frames, -1, 2) - side.reshape(frames, -1, 2)).max())
