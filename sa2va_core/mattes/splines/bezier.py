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
    t, length = _chord(arcs)
    first, last = arcs[..., :1], arcs[..., -1:]
    one = two = first[..., 0]
    for step in range(_STEPS):
        b = _basis(t)
        rest = arcs - b[0] * first - b[3] * last
        aa, ab, bb = (b[1] ** 2).sum(-1), (b[1] * b[2]).sum(-1), (b[2] ** 2).sum(-1)
        ra, rb = (b[1] * rest).sum(-1), (b[2] * rest).sum(-1)
        det = np.maximum(aa * bb - ab**2, 1e-9)
        one, two = (bb * ra - ab * rb) / det, (aa * rb - ab * ra) / det
        one, two = _sane(arcs, length, one, two)
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
    t, length = _chord(arcs)
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
        -2,
    )
    blocks = rows @ rows.swapaxes(-1, -2)
    wanted = rows @ _parts(arcs)
    here = blocks[..., :3, :3] + np.roll(blocks[..., 3:, 3:], 1, axis=1)
    side = wanted[..., :3, :] + np.roll(wanted[..., 3:, :], 1, axis=1)
    # A slight pull to what is there: knots do not slide along a straight outline, and no unknown is left open.
    pull = 0.003 * n
    now = np.stack([points, np.where(smooth, out - back, out), np.where(smooth, 0, back)], -1)
    solved = solve_cyclic(here + pull * np.eye(3), blocks[..., :3, 3:], side + pull * _parts(now))
    points, along, before = np.moveaxis(solved[..., 0] + 1j * solved[..., 1], -1, 0)
    return points, along * ahead, np.where(smooth, -along * behind, before)


def solve_cyclic(
    here: NDArray[np.float64], ahead: NDArray[np.float64], side: NDArray[np.float64]
) -> NDArray[np.floating]:
    """Solve symmetric systems whose blocks couple neighbours in a ring: ``here`` (F, N, 3, 3) on the diagonal,
    ``ahead`` between each and its next, ``side`` (F, N, 3, R) the right-hand sides.

    Cyclic reduction: every second block is eliminated, all at once, which leaves a ring of half as many.
    """
    if side.shape[1] == 1:
        # A block that is its own neighbour.
        return np.linalg.solve(here + ahead + ahead.swapaxes(-1, -2), side)
    into, onward = ahead[:, :-1:2], ahead[:, 1::2]
    count = onward.shape[1]
    every = np.concatenate([into.swapaxes(-1, -2), onward, side[:, 1::2]], -1)
    solved = np.linalg.solve(here[:, 1::2], every)
    before, after, own = solved[..., :3], solved[..., 3:6], solved[..., 6:]
    here, ahead, side = here[:, ::2].copy(), ahead[:, ::2].copy(), side[:, ::2].copy()
    # In a ring of odd length the last block stays as well, coupled to the first as before.
    ahead[:, :count] = -into @ after
    here[:, :count] -= into @ before
    side[:, :count] -= into @ own
    following = np.arange(1, count + 1) % here.shape[1]
    back = onward.swapaxes(-1, -2)
    here[:, following] -= back @ after
    side[:, following] -= back @ own
    rest = solve_cyclic(here, ahead, side)
    found = np.empty((rest.shape[0], rest.shape[1] + count, *rest.shape[2:]))
    found[:, ::2] = rest
    found[:, 1::2] = own - before @ rest[:, :count] - after @ rest[:, following]
    return found


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


def _parts(z: Arcs) -> NDArray[np.float64]:
    """x and y on a last axis of their own."""
    return np.stack([z.real, z.imag], -1)


def _dot(a: Arcs, b: Arcs) -> NDArray[np.float64]:
    return a.real * b.real + a.imag * b.imag


def _next(z: Arcs) -> Arcs:
    return np.roll(z, -1, axis=1)


def _unit(z: Arcs) -> Arcs:
    return np.where(np.abs(z) > 1e-9, z / np.maximum(np.abs(z), 1e-9), 1)


def _chord(arcs: Arcs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters (..., n) by the way along each of ``arcs``, and how long each is (...)."""
    way = np.zeros(arcs.shape)
    np.cumsum(np.abs(np.diff(arcs)), -1, out=way[..., 1:])
    length = way[..., -1]
    return way / np.maximum(length, 1e-9)[..., None], length


def _basis(t: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    s = 1 - t
    # Products, as powers cost many times as much.
    ss, tt = s * s, t * t
    return ss * s, 3 * ss * t, 3 * s * tt, tt * t


def _gaps(arcs: Arcs, t: NDArray[np.float64], points: Arcs, out: Arcs, back: Arcs) -> NDArray[np.float64]:
    b = _basis(t)
    a, d = points[..., None], _next(points)[..., None]
    return np.abs(
        b[0] * a + b[1] * (points + out)[..., None] + b[2] * _next(points + back)[..., None] + b[3] * d - arcs
    )


def _sane(arcs: Arcs, length: NDArray[np.float64], one: Arcs, two: Arcs) -> tuple[Arcs, Arcs]:
    first, last = arcs[..., 0], arcs[..., -1]
    wild = (np.abs(one - first) > _LONGEST * length) | (np.abs(two - last) > _LONGEST * length)
    third = (last - first) / 3
    return np.where(wild, first + third, one), np.where(wild, last - third, two)


def _closer(arcs: Arcs, t: NDArray[np.float64], a: Arcs, b: Arcs, c: Arcs, d: Arcs) -> NDArray[np.float64]:
    """One Newton step of each parameter towards the nearest point of the curve with controls ``a`` to ``d``."""
    # The curve is a + ut + vt² + wt³.
    a, u, v, w = (z[..., None] for z in (a, 3 * (b - a), 3 * (a - 2 * b + c), d - a + 3 * (b - c)))
    out = ((w * t + v) * t + u) * t + a - arcs
    speed = (3 * w * t + 2 * v) * t + u
    bend = 6 * w * t + 2 * v
    slope = _dot(speed, speed) + _dot(out, bend)
    step = _dot(out, speed) / np.where(slope > 1e-9, slope, np.inf)
    moved = np.clip(t - np.clip(step, -0.1, 0.1), 0, 1)
    moved[..., 0], moved[..., -1] = 0, 1
    return moved
