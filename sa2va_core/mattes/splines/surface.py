"""An outline over time as one surface: the same marks on every frame of a run, in smooth motion.

Slits open, limbs come out from behind: a part of an outline that has no marks is passed over by the surface in a
straight line and becomes a *part*, an outline of its own: one that cuts, or one that adds. So a surface starts where
its outline is short, and goes on to both sides. It ends where marks pile up (a slit that had marks closes); what is
gone again within a few frames is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .follow import Places, Samples, at, even, follow
from .measure import raster
from .outline import Vertices

#: Distance between marks in tolerances, and how many there may be.
_SPACING, _FEWEST, _MOST = 0.75, 96, 1536
#: Steps between marks this many times as long, or as short, as they were made hide part of an outline.
_LONG, _SHORT = 3.0, 0.2
#: Hidden stretches with no more marks than this between them are one.
_JOINED = 6
#: A run ends where marks for so many tolerances pile up, or this share of an outline has none...
_PILED, _STRANGE = 25.0, 0.6
#: ...unless it is the old one again within so many frames, and is no farther from it between than this overlap
#: (intersection over union): what differs clearly is never passed over.
PASSING, _ALIKE = 3, 0.97
#: A part overlaps what it adds to, or goes out of the mouth that it cuts, by so many tolerances.
_OVERLAP = 3.0
#: Rounds in which marks slide to where their motion is smooth.
_SLIDES = 6


@dataclass(frozen=True)
class Part:
    """``points``: x + iy, closed; ``cuts``: whether it is taken away."""

    points: Samples
    cuts: bool


@dataclass(frozen=True)
class Surface:
    """``points``: (F, M), x + iy, mark by mark on the outlines of ``frames``, rising; every frame's outline is closed
    and clockwise on the screen. ``parts``: what the surface passes over, by frame."""

    frames: tuple[int, ...]
    points: NDArray[np.complex128]
    parts: Mapping[int, tuple[Part, ...]]


class _Run:
    """A surface in the making, from one frame on to both sides."""

    def __init__(self, ring: Callable[[int], Vertices], count: int, per_mark: int, tolerance: float) -> None:
        self._ring, self._count, self._per_mark, self._tolerance = ring, count, per_mark, tolerance
        self.marks: dict[int, Samples] = {}
        self.parts: dict[int, tuple[Part, ...]] = {}

    def begin(self, frame: int) -> None:
        self.marks[frame] = self._samples(frame)[:: self._per_mark].copy()

    def grow(self, beside: int, frames: Sequence[int], step: Callable[[], None]) -> int:
        """Go on from the known frame ``beside`` over ``frames``; how many were passed."""
        number = 0
        while number < len(frames):
            for ahead in range(number, min(number + PASSING + 1, len(frames))):
                samples = self._samples(frames[ahead])
                places = follow(self.marks[beside], samples)
                if self._same(places, samples):
                    break
            else:
                break
            if not self._alike(beside, frames[number : ahead + 1], at(samples, places)):
                break
            beside = frames[ahead]
            self.marks[beside], self.parts[beside] = _passed_over(places, samples, self._tolerance)
            for _ in range(number, ahead + 1):
                step()
            number = ahead + 1
        return number

    def surface(self) -> Surface:
        frames = tuple(sorted(self.marks))
        return Surface(frames, _slid(np.stack([self.marks[frame] for frame in frames])), self.parts)

    def _alike(self, beside: int, passed: Sequence[int], there: Samples) -> bool:
        """Whether all frames but the last of ``passed`` are near marks that go straight to ``there``."""
        here = self.marks[beside]
        for frame in passed[:-1]:
            share = (frame - beside) / (passed[-1] - beside)
            if _overlap(here + (there - here) * share, self._samples(frame)) < _ALIKE:
                return False
        return True

    def _samples(self, frame: int) -> Samples:
        return even(self._ring(frame), self._count * self._per_mark)

    def _same(self, places: Places, samples: Samples) -> bool:
        steps, spacing = _steps(places, samples)
        piled = np.count_nonzero(steps < _SHORT) * spacing
        return bool(piled <= _PILED * self._tolerance and steps[steps > _LONG].sum() < _STRANGE * len(steps))


def surfaces(
    frames: Sequence[int],
    ring: Callable[[int], Vertices],
    lengths: Sequence[float],
    tolerance: float,
    step: Callable[[], None],
) -> Iterator[Surface]:
    """The runs of one track. ``ring``: the outline of a frame; ``lengths``: of the outlines, in pixels."""
    if not frames:
        return
    longest = max(lengths)
    count = int(np.clip(round(longest / (_SPACING * tolerance)), _FEWEST, _MOST))
    run = _Run(ring, count, max(1, round(longest / count)), tolerance)
    start = int(np.argsort(lengths, kind="stable")[len(lengths) // 10])
    run.begin(frames[start])
    step()
    low = start - run.grow(frames[start], frames[:start][::-1], step)
    high = start + 1 + run.grow(frames[start], frames[start + 1 :], step)
    yield from surfaces(frames[:low], ring, lengths[:low], tolerance, step)
    yield run.surface()
    yield from surfaces(frames[high:], ring, lengths[high:], tolerance, step)


def _overlap(one: Samples, two: Samples) -> float:
    """Intersection over union of two closed outlines."""
    rings = [np.stack([z.real, z.imag], 1) for z in (one, two)]
    low = np.floor(np.minimum(rings[0].min(0), rings[1].min(0)))
    width, height = np.ceil(np.maximum(rings[0].max(0), rings[1].max(0)) - low).astype(int).tolist()
    a, b = (raster(ring - low, (width, height)) for ring in rings)
    return float(np.count_nonzero(a & b) / max(1, np.count_nonzero(a | b)))


def _steps(places: Places, samples: Samples) -> tuple[Places, float]:
    """Steps from mark to mark, in shares of what they would be if even, and what that is in pixels."""
    n, count = len(samples), len(places)
    length = float(np.abs(np.diff(np.append(samples, samples[0]))).sum())
    return np.diff(np.append(places, places[0] + n)) / (n / count), length / count


def _passed_over(places: Places, samples: Samples, tolerance: float) -> tuple[Samples, tuple[Part, ...]]:
    """The marks, in a straight line where they pass over a stretch of the outline, and those stretches."""
    marks = at(samples, places)
    steps, _ = _steps(places, samples)
    n, count = len(samples), len(places)
    parts: list[Part] = []
    for first, last in _groups(np.flatnonzero(steps > _LONG), count):
        a, b = places[first % count], places[(last + 1) % count]
        line = at(samples, np.concatenate([[a], np.arange(np.ceil(a), np.floor(b if b > a else b + n)), [b]]))
        inside = np.arange(first + 1, last + 1)
        marks[inside % count] = line[0] + (line[-1] - line[0]) * ((inside - first) / (last + 1 - first))
        parts += _part(line, tolerance)
    return marks, tuple(parts)


def _groups(found: NDArray[np.int64], count: int) -> list[tuple[int, int]]:
    """First and last of positions in a ring of ``count`` that lie near each other; a first one may be negative."""
    groups: list[tuple[int, int]] = []
    for i in found.tolist():
        if groups and i - groups[-1][1] <= _JOINED:
            groups[-1] = groups[-1][0], i
        else:
            groups.append((i, i))
    if len(groups) > 1 and groups[0][0] + count - groups[-1][1] <= _JOINED:
        groups[0] = groups.pop()[0] - count, groups[0][1]
    return groups


def _part(line: Samples, tolerance: float) -> list[Part]:
    """What lies between a stretch of an outline and its chord."""
    area = float((line.conj() * np.roll(line, -1)).imag.sum() / 2)
    if len(line) < 3 or not area:
        return []
    chord = line[-1] - line[0]
    # On the far side of the chord from the part.
    beyond = (line[0] + line[-1]) / 2 + 1j * chord / max(abs(chord), 1e-9) * np.sign(area) * _OVERLAP * tolerance
    return [Part(np.append(line, beyond), area < 0)]


def _slid(points: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Marks moved along their own outlines to where a smooth motion would have them."""
    count = points.shape[1]
    own = np.arange(count)
    places = np.tile(own.astype(np.float64), (len(points), 1))
    now = points
    blur = np.exp(-2 * (np.pi * np.fft.fftfreq(count) * 3) ** 2)
    for _ in range(_SLIDES if len(points) > 2 else 0):
        tangent = np.roll(now, -1, axis=1) - np.roll(now, 1, axis=1)
        spacing = np.maximum(np.abs(tangent) / 2, 1e-6)
        slide = ((_eased(now) - now) * tangent.conj()).real / (2 * spacing**2)
        slide = np.fft.ifft(np.fft.fft(np.clip(slide, -2, 2), axis=1) * blur, axis=1).real
        places = np.maximum.accumulate(places + slide, axis=1)
        # The last mark stays behind the first one's next turn.
        places = np.minimum(places, places[:, :1] + count - 1e-3)
        now = np.stack([at(row, place) for row, place in zip(points, places, strict=True)])
    return now


def _eased(points: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Each frame averaged with the two before and after, by the binomial 1 4 6 4 1; straight on at the ends."""
    first, last = points[:1], points[-1:]
    head = [2 * first - points[i : i + 1] for i in (2, 1)]
    tail = [2 * last - points[i : i + 1] for i in (-2, -3)]
    wide = np.concatenate([*head, points, *tail])
    f = len(points)
    return (wide[:f] + 4 * wide[1 : f + 1] + 6 * points + 4 * wide[3 : f + 3] + wide[4 : f + 4]) / 16
