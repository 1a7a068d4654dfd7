"""Correspondence: which place of an outline is which on the next frame.

*Marks* are points that a track carries from frame to frame: by a rigid, then an affine fit of the outline (point to
tangent line, after Chen and Medioni, "Object modelling by registration of multiple range images", 1992), then by pulls
towards the outline that are smooth along it, over ever shorter stretches (limbs move as they like), then straight to
the outline, in order and kept even by a small spring between neighbours. The fit is held to no motion along the outline
that the shape does not show, so marks on a round outline stay where they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .outline import Vertices

Samples = NDArray[np.complex128]
Places = NDArray[np.floating]
_ROUNDS = 12
#: Marks that the rigid and affine fits look at, and places each way in which the nearest is looked for.
_SEEN, _REACH = 256, 48
#: Shares of the outline over which pulls are smooth, in turn, and how far along the outline they look.
_STRETCHES, _ALONG = (1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128), 24


def even(ring: Vertices, count: int) -> Samples:
    """``count`` points x + iy, evenly spaced along the closed polygon ``ring``, clockwise on the screen."""
    z = ring[:, 0] + 1j * ring[:, 1]
    if np.sum((z.conj() * np.roll(z, -1)).imag) < 0:
        z = z[::-1]
    z = np.append(z, z[0])
    way = np.append(0, np.cumsum(np.abs(np.diff(z))))
    at = np.arange(count) * (way[-1] / count)
    return np.interp(at, way, z.real) + 1j * np.interp(at, way, z.imag)


def at(samples: Samples, places: Places) -> Samples:
    """Points at fractional ``places`` of closed ``samples``."""
    low = np.floor(places).astype(np.int64)
    t = places - low
    n = len(samples)
    return samples[low % n] * (1 - t) + samples[(low + 1) % n] * t


def follow(marks: Samples, after: Samples) -> Places:
    """The places of ``marks`` on the even samples ``after`` of the next frame's outline, rising."""
    guess = _turned(marks, after)
    moved, places, off = _registered(marks, after, guess[0])
    if off > 1.0 and guess[1] is not None:
        turned = _registered(marks, after, guess[1])
        if turned[2] < 0.6 * off:
            moved, places, _ = turned
    places = _pulled(moved, after, places)
    steps = np.abs(np.diff(np.append(marks, marks[0])))
    return _relaxed(places, steps * (len(after) / max(float(steps.sum()), 1e-9)), len(after))


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


def _registered(marks: Samples, after: Samples, places: Places) -> tuple[Samples, Places, float]:
    """``marks`` moved to fit ``after`` as a whole, their places there, and the remaining distance, RMS."""
    n, count = len(after), len(marks)
    normal = _normals(after)
    seen = np.unique(np.linspace(0, count, _SEEN, endpoint=False).astype(np.int64))
    centre, size = marks.mean(), max(1.0, float(np.abs(marks - marks.mean()).mean()))
    # The first fit is by correspondence, so that a turned guess starts turned.
    target = at(after, places)
    a, b = marks - centre, target - target.mean()
    turn = np.vdot(a, b) / max(float(np.vdot(a, a).real), 1e-9)
    moved = turn * a + target.mean()
    near = places[seen]
    reach = n / 8
    for number in range(_ROUNDS):
        near = _nearest(moved[seen], after, near, reach)
        reach = max(reach / 2, 4.0)
        q, k = at(after, near), normal[np.round(near).astype(np.int64) % n]
        gap = ((q - moved[seen]) * k.conj()).real
        weight = 1 / (1 + (gap / max(2 * float(np.median(np.abs(gap))), 0.25)) ** 2)
        rel = (moved - moved.mean()) / size
        part = rel[seen]
        columns = [k.real, k.imag, (1j * part * k.conj()).real, (part * k.conj()).real]
        if number >= _ROUNDS // 2:
            columns += [(part.conj() * k.conj()).real, (1j * part.conj() * k.conj()).real]
        design = np.stack(columns, 1)
        left = (design * weight[:, None]).T @ design
        # What the outline does not show (a circle's turn) stays still.
        left[np.diag_indices_from(left)] += 1e-3 * len(seen)
        step = np.linalg.solve(left, design.T @ (weight * gap))
        moved = moved + step[0] + 1j * step[1] + (1j * step[2] + step[3]) * rel
        if len(step) > 4:
            moved = moved + (step[4] + 1j * step[5]) * rel.conj()
    near = _nearest(moved[seen], after, near, 8.0)
    off = float(np.sqrt(np.mean(np.abs(at(after, near) - moved[seen]) ** 2)))
    return moved, np.interp(np.arange(count), np.append(seen, count), np.append(near, near[0] + n)), off


def _pulled(moved: Samples, after: Samples, places: Places) -> Places:
    """The places at which marks arrive that are pulled to ``after``, first in long stretches, then in short ones."""
    n, count = len(after), len(moved)
    normal = _normals(after)
    waves = np.fft.fftfreq(count)
    for share in _STRETCHES:
        for _ in range(2):
            places = _nearest(moved, after, places, _ALONG)
            k = normal[np.round(places).astype(np.int64) % n]
            pull = ((at(after, places) - moved) * k.conj()).real * k
            blur = np.exp(-2 * (np.pi * waves * share * count / 2) ** 2)
            moved = moved + np.fft.ifft(np.fft.fft(pull) * blur)
    return _nearest(moved, after, places, 8.0)


def _normals(outline: Samples) -> Samples:
    tangent = np.roll(outline, -2) - np.roll(outline, 2)
    return 1j * tangent / np.maximum(np.abs(tangent), 1e-9)


def _nearest(points: Samples, after: Samples, places: Places, reach: float) -> Places:
    """The place of the nearest sample to each point, looked for within ``reach`` samples of ``places``."""
    half = min(_REACH, int(np.ceil(reach)))
    offsets = np.unique(np.round(np.linspace(-reach, reach, 2 * half + 1)))
    window = np.round(places)[:, None] + offsets
    gap = np.abs(after[window.astype(np.int64) % len(after)] - points[:, None])
    return window[np.arange(len(points)), np.argmin(gap, 1)]


def _relaxed(places: Places, lengths: Places, n: int) -> Places:
    """``places`` in rising order and, between them, near the ``lengths`` of the frame before."""
    count = len(places)
    base = np.arange(count) * (n / count)
    drift = places - base
    drift -= n * np.round((drift - np.median(drift)) / n)
    # What marks have lost or won of an even share they get back in some frames, so that errors do not add up.
    wanted = 0.9 * np.clip(lengths - n / count, -n / count, 2 * n / count)
    spring = 9.0
    # Cyclic and of constant coefficients, so that it is solved by a Fourier transform.
    waves = 2 - 2 * np.cos(2 * np.pi * np.arange(count) / count)
    right = np.fft.fft(drift + spring * (np.roll(wanted, 1) - wanted))
    solved = base + np.fft.ifft(right / (1 + spring * waves)).real
    steps = np.maximum(np.diff(np.append(solved, solved[0] + n)), 0.1 * n / count)
    steps *= n / steps.sum()
    ordered = np.append(0, np.cumsum(steps[:-1]))
    return ordered + np.mean(solved - ordered)
