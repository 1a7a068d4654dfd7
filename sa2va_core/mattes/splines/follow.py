"""Correspondence: which place of an outline is which on the next frame.

Outlines are sampled evenly. A track's *map* gives, for each of its marks, a place on each frame's samples; marks go
from frame to frame by a rigid, then an affine fit of the outline (point to tangent line, after Chen and Medioni,
"Object modelling by registration of multiple range images", 1992), then straight to the outline, and are kept in order
and even by a small spring between neighbours. The fit is held to no motion along the outline that the shape does not
show, so marks on a round outline stay where they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .outline import Vertices

Samples = NDArray[np.complex128]
Places = NDArray[np.float64]
#: Marks per track.
MARKS = 256
_ROUNDS = 12
_REACH = 48


def even(ring: Vertices, count: int) -> Samples:
    """``count`` points x + iy, evenly spaced along the closed polygon ``ring``, clockwise on the screen."""
    z = ring[:, 0] + 1j * ring[:, 1]
    if np.sum((z.conj() * np.roll(z, -1)).imag) < 0:
        z = z[::-1]
    z = np.append(z, z[0])
    way = np.append(0, np.cumsum(np.abs(np.diff(z))))
    at = np.arange(count) * (way[-1] / count)
    return np.interp(at, way, z.real) + 1j * np.interp(at, way, z.imag)


def at(samples: Samples, places: NDArray[np.floating]) -> Samples:
    """Points at fractional ``places`` of closed ``samples``."""
    low = np.floor(places).astype(np.int64)
    t = places - low
    n = len(samples)
    return samples[low % n] * (1 - t) + samples[(low + 1) % n] * t


def start(samples: Samples) -> Places:
    """The map of a track's first frame: marks lie evenly."""
    return np.arange(MARKS) * (len(samples) / MARKS)


def follow(before: Samples, places: Places, after: Samples) -> Places:
    """The map on ``after`` of marks that lie at ``places`` of ``before``. Both have as many samples."""
    marks = at(before, places)
    guess = _turned(marks, after)
    direct = _registered(marks, after, guess[0])
    best = direct
    if direct[1] > 1.0 and guess[1] is not None:
        turned = _registered(marks, after, guess[1])
        best = turned if turned[1] < 0.6 * direct[1] else direct
    return _relaxed(best[0], np.diff(np.append(places, places[0] + len(before))), len(after))


def _turned(marks: Samples, after: Samples) -> tuple[Places, Places | None]:
    """First guesses: the best cyclic shift of even marks, without and with rotation."""
    count = len(marks)
    other = at(after, np.arange(count) * (len(after) / count))
    a, b = marks - marks.mean(), other - other.mean()
    match = np.fft.ifft(np.fft.fft(b) * np.fft.fft(a).conj())
    steps = np.arange(count)
    plain, turned = int(np.argmax(match.real)), int(np.argmax(np.abs(match)))
    scale = len(after) / count
    return (steps + plain) * scale, ((steps + turned) * scale if turned != plain else None)


def _registered(marks: Samples, after: Samples, places: Places) -> tuple[Places, float]:
    """``places`` moved to where the fitted outline of the marks meets ``after``; and the remaining distance, RMS."""
    n = len(after)
    tangent = np.roll(after, -2) - np.roll(after, 2)
    normal = 1j * tangent / np.maximum(np.abs(tangent), 1e-9)
    target = at(after, places)
    centre, size = marks.mean(), max(1.0, float(np.abs(marks - marks.mean()).mean()))
    # The first fit is by correspondence, so that a turned guess starts turned.
    a, b = marks - centre, target - target.mean()
    turn = np.vdot(a, b) / max(float(np.vdot(a, a).real), 1e-9)
    moved = turn * a + target.mean()
    reach = n / 8
    for number in range(_ROUNDS):
        places = _nearest(moved, after, places, reach)
        reach = max(reach / 2, 4.0)
        q, k = at(after, places), normal[np.round(places).astype(np.int64) % n]
        gap = ((q - moved) * k.conj()).real
        weight = 1 / (1 + (gap / max(2 * float(np.median(np.abs(gap))), 0.25)) ** 2)
        rel = (moved - moved.mean()) / size
        columns = [k.real, k.imag, (1j * rel * k.conj()).real, (rel * k.conj()).real]
        if number >= _ROUNDS // 2:
            columns += [(rel.conj() * k.conj()).real, (1j * rel.conj() * k.conj()).real]
        design = np.stack(columns, 1)
        left = (design * weight[:, None]).T @ design
        # What the outline does not show (a circle's turn) stays still.
        left[np.diag_indices_from(left)] += 1e-3 * len(marks)
        step = np.linalg.solve(left, design.T @ (weight * gap))
        moved = moved + step[0] + 1j * step[1] + (1j * step[2] + step[3]) * rel
        if len(step) > 4:
            moved = moved + (step[4] + 1j * step[5]) * rel.conj()
    places = _nearest(moved, after, places, 8.0)
    return places, float(np.sqrt(np.mean(np.abs(at(after, places) - moved) ** 2)))


def _nearest(points: Samples, after: Samples, places: Places, reach: float) -> Places:
    """The place of the nearest sample to each point, looked for within ``reach`` samples of ``places``."""
    offsets = np.unique(np.round(np.linspace(-reach, reach, 2 * _REACH + 1)))
    window = np.round(places)[:, None] + offsets
    gap = np.abs(after[window.astype(np.int64) % len(after)] - points[:, None])
    return window[np.arange(len(points)), np.argmin(gap, 1)]


def _relaxed(places: Places, lengths: NDArray[np.float64], n: int) -> Places:
    """``places`` in rising order and, between them, near the ``lengths`` of the frame before."""
    count = len(places)
    base = np.arange(count) * (n / count)
    drift = places - base
    drift -= n * np.round((drift - np.median(drift)) / n)
    wanted = lengths - n / count
    spring = 1.0
    # Cyclic and of constant coefficients, so that it is solved by a Fourier transform.
    waves = 2 - 2 * np.cos(2 * np.pi * np.arange(count) / count)
    right = np.fft.fft(drift + spring * (np.roll(wanted, 1) - wanted))
    solved = base + np.fft.ifft(right / (1 + spring * waves)).real
    steps = np.maximum(np.diff(np.append(solved, solved[0] + n)), 0.1 * n / count)
    steps *= n / steps.sum()
    ordered = np.append(0, np.cumsum(steps[:-1]))
    return ordered + np.mean(solved - ordered)
