"""Cubic Bézier segments through outlines by least squares, many at once.

After Schneider, "An algorithm for automatically fitting digitized curves" (Graphics Gems, 1990): chord-length
parameters, least squares, Newton steps on the parameters. Single arcs have free handles; closed curves are solved
as a whole, smooth where they should be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Arcs = NDArray[np.complex128]
_STEPS = 4
#: Handles longer than this share of their arc make loops; those arcs get handles of a third.
_SHORTEST, _LONGEST = 0.02, 1.0
_TURNS = 4


def fit(arcs: Arcs) -> tuple[Arcs, Arcs, NDArray[np.float64]]:
    """Free handles for ``arcs`` (..., n) of points x + iy in order: the two handles (...), and distances (..., n) of
    the points from the curve at their parameters."""
    t = _chord(arcs)
    first, last = arcs[..., :1], arcs[..., -1:]
    one = two = first[..., 0]
    for step in range(_STEPS):
        b = _basis(t)
        rest = arcs - b[0] * first - b[3] * last
        aa, ab, bb = (b[1] ** 2).sum(-1), (b[1] * b[2]).sum(-1), (b[2] ** 2).sum(-1)
        ra, rb = (b[1] * rest).sum(-1), (b[2] * rest).sum(-1)
        det = np.maximum(aa * bb - ab**2, 1e-9)
        one, two = (bb * ra - ab * rb) / det, (aa * rb - ab * ra) / det
        one, two = _sane(arcs, one, two)
        if step < _STEPS - 1:
            t = _closer(arcs, t, arcs[..., 0], one, two, arcs[..., -1])
    b = _basis(t)
    curve = b[0] * first + b[1] * one[..., None] + b[2] * two[..., None] + b[3] * last
    return one, two, np.abs(curve - arcs)


@dataclass(frozen=True)
class Loops:
    """Closed curves of N segments: the points (F, N), the handle before and the handle after each, and the distances
    (F, N, n) of the arcs' points from them."""

    points: Arcs
    left: Arcs
    right: Arcs
    gaps: NDArray[np.float64]


def fit_loops(arcs: Arcs, smooth: NDArray[np.bool_]) -> Loops:
    """Fit closed curves to ``arcs`` (F, N, n), each beginning where the last one ends. At knots that are ``smooth``
    (F, N) both handles lie in line. Points need not lie on the outline: it is fitted as a whole, by turns for points
    and handle vectors with the ratio of the two lengths given, and for lengths with directions given."""
    one, two, _ = fit(arcs)
    points = arcs[..., 0]
    out, back = one - points, np.roll(two, 1, axis=1) - points
    t = _chord(arcs)
    length = np.abs(np.diff(arcs)).sum(-1)
    for _ in range(_TURNS):
        t = _closer(arcs, t, points, points + out, _next(points + back), _next(points))
        points, out, back = _solve_points(arcs, t, points, out, back, smooth)
        out, back = _solve_lengths(arcs, t, length, points, out, back)
    t = _closer(arcs, t, points, points + out, _next(points + back), _next(points))
    return Loops(points, points + back, points + out, _gaps(arcs, t, points, out, back))


def _solve_points(
    arcs: Arcs, t: NDArray[np.float64], points: Arcs, out: Arcs, back: Arcs, smooth: NDArray[np.bool_]
) -> tuple[Arcs, Arcs, Arcs]:
    """Points and handles by linear least squares: at smooth knots one vector serves both handles, in the ratio of the
    lengths that they have."""
    n = arcs.shape[-1]
    b = _basis(t)
    total = np.maximum(np.abs(out) + np.abs(back), 1e-9)
    ahead = np.where(smooth, np.abs(out) / total, 1)
    behind = np.where(smooth, np.abs(back) / total, 0)
    # Unknowns of a knot: its point, the vector along (or the handle after), and at corners the handle before. A segment
    # knows the first two of its first knot, and all of its last.
    level = np.roll(smooth, -1, axis=1)[..., None]
    nothing = np.zeros_like(b[0])
    rows = np.stack(
        [
            b[0] + b[1],
            b[1] * ahead[..., None],
            nothing,
            b[2] + b[3],
            -b[2] * np.roll(behind, -1, axis=1)[..., None],
            np.where(level, 0, b[2]),
        ],
        -1,
    )
    blocks = np.einsum("fkai,fkaj->fkij", rows, rows)
    wanted = np.einsum("fkai,fka->fki", rows, arcs)
    here = blocks[..., :3, :3] + np.roll(blocks[..., 3:, 3:], 1, axis=1)
    side = wanted[..., :3] + np.roll(wanted[..., 3:], 1, axis=1)
    # A slight pull to what is there: knots do not slide along a straight outline, and no unknown is left open.
    pull = 0.003 * n
    now = np.stack([points, np.where(smooth, out - back, out), np.where(smooth, 0, back)], -1)
    solved = _solve_cyclic(here + pull * np.eye(3), blocks[..., :3, 3:], side + pull * now)
    points, along, before = solved[..., 0], solved[..., 1], solved[..., 2]
    return points, along * ahead, np.where(smooth, -along * behind, before)


def _solve_cyclic(here: NDArray[np.float64], ahead: NDArray[np.float64], side: Arcs) -> Arcs:
    """Solve symmetric systems whose blocks couple neighbours in a ring: ``here`` (F, N, 3, 3) on the diagonal,
    ``ahead`` between each and its next, ``side`` (F, N, 3) the right-hand sides.

    All blocks but the last are eliminated one after the other, with the last one's columns as more right-hand sides.
    """
    frames, count = side.shape[:2]
    right = np.zeros((frames, count - 1, 3, 5))
    right[..., 0], right[..., 1] = side[:, :-1].real, side[:, :-1].imag
    right[:, 0, :, 2:] -= ahead[:, -1].transpose(0, 2, 1)
    right[:, -1, :, 2:] -= ahead[:, -2]
    onward = np.zeros((frames, count - 1, 3, 3))
    for k in range(count - 1):
        block, column = here[:, k], right[:, k]
        if k:
            back = ahead[:, k - 1].transpose(0, 2, 1)
            block, column = block - back @ onward[:, k - 1], column - back @ right[:, k - 1]
        solved = np.linalg.solve(block, np.concatenate([ahead[:, k], column], -1))
        onward[:, k], right[:, k] = solved[..., :3], solved[..., 3:]
    for k in range(count - 3, -1, -1):
        right[:, k] -= onward[:, k] @ right[:, k + 1]
    last, first = ahead[:, -1], ahead[:, -2].transpose(0, 2, 1)
    block = here[:, -1] + last @ right[:, 0, :, 2:] + first @ right[:, -1, :, 2:]
    rest = np.stack([side[:, -1].real, side[:, -1].imag], -1)
    end = np.linalg.solve(block, rest - last @ right[:, 0, :, :2] - first @ right[:, -1, :, :2])
    found = np.concatenate([right[..., :2] + right[..., 2:] @ end[:, None], end[:, None]], 1)
    return found[..., 0] + 1j * found[..., 1]


def _solve_lengths(
    arcs: Arcs, t: NDArray[np.float64], length: NDArray[np.float64], points: Arcs, out: Arcs, back: Arcs
) -> tuple[Arcs, Arcs]:
    """Handles in the same directions, of the lengths that fit best."""
    b = _basis(t)
    first, last = points[..., None], _next(points)[..., None]
    leave, arrive = _unit(out), _unit(_next(back))
    rest = arcs - (b[0] + b[1]) * first - (b[2] + b[3]) * last
    u, v = b[1] * leave[..., None], b[2] * arrive[..., None]
    aa, ab, bb = (np.abs(u) ** 2).sum(-1), (u.conj() * v).real.sum(-1), (np.abs(v) ** 2).sum(-1)
    ra, rb = (u.conj() * rest).real.sum(-1), (v.conj() * rest).real.sum(-1)
    det = np.maximum(aa * bb - ab**2, 1e-9)
    low, high = _SHORTEST * length, _LONGEST * length
    alpha = np.clip((bb * ra - ab * rb) / det, low, high)
    beta = np.clip((aa * rb - ab * ra) / det, low, high)
    return alpha * leave, np.roll(beta * arrive, 1, axis=1)


def _next(z: Arcs) -> Arcs:
    return np.roll(z, -1, axis=1)


def _unit(z: Arcs) -> Arcs:
    return np.where(np.abs(z) > 1e-9, z / np.maximum(np.abs(z), 1e-9), 1)


def _chord(arcs: Arcs) -> NDArray[np.float64]:
    way = np.cumsum(np.abs(np.diff(arcs)), -1)
    start = np.zeros((*arcs.shape[:-1], 1))
    return np.concatenate([start, way / np.maximum(way[..., -1:], 1e-9)], -1)


def _basis(t: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    s = 1 - t
    return s**3, 3 * s**2 * t, 3 * s * t**2, t**3


def _gaps(arcs: Arcs, t: NDArray[np.float64], points: Arcs, out: Arcs, back: Arcs) -> NDArray[np.float64]:
    b = _basis(t)
    a, d = points[..., None], _next(points)[..., None]
    return np.abs(
        b[0] * a + b[1] * (points + out)[..., None] + b[2] * _next(points + back)[..., None] + b[3] * d - arcs
    )


def _sane(arcs: Arcs, one: Arcs, two: Arcs) -> tuple[Arcs, Arcs]:
    first, last = arcs[..., 0], arcs[..., -1]
    length = np.abs(np.diff(arcs)).sum(-1)
    wild = (np.abs(one - first) > _LONGEST * length) | (np.abs(two - last) > _LONGEST * length)
    third = (last - first) / 3
    return np.where(wild, first + third, one), np.where(wild, last - third, two)


def _closer(arcs: Arcs, t: NDArray[np.float64], a: Arcs, b: Arcs, c: Arcs, d: Arcs) -> NDArray[np.float64]:
    """One Newton step of each parameter towards the nearest point of the curve with controls ``a`` to ``d``."""
    a, b, c, d = (z[..., None] for z in (a, b, c, d))
    s = 1 - t
    out = s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d - arcs
    speed = 3 * (s**2 * (b - a) + 2 * s * t * (c - b) + t**2 * (d - c))
    bend = 6 * (s * (c - 2 * b + a) + t * (d - 2 * c + b))
    slope = np.abs(speed) ** 2 + (out.conj() * bend).real
    step = (out.conj() * speed).real / np.where(slope > 1e-9, slope, np.inf)
    moved = np.clip(t - np.clip(step, -0.1, 0.1), 0, 1)
    moved[..., 0], moved[..., -1] = 0, 1
    return moved
