"""An object's outlines over the whole shot to its shapes, and how far these are from the matte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.naming import layer_name
from sa2va_plugin.splines import SplineFit, SplineKey, SplineObject, SplinePoint, SplineShape

from .fit import Span, TrackFitter
from .measure import compared, drawn
from .outline import StoredOutlines
from .tracks import Ring, Track, link


@dataclass
class _Drawn:
    """A span, the track it was fitted to, and the span that it is a hole in."""

    span: Span
    track: Track
    name: str
    around: _Drawn | None


def speck_area(tolerance: float) -> float:
    """Outlines of a smaller area, in square pixels, get no shape: discs of twice the tolerance as radius."""
    return float(np.pi * (2 * tolerance) ** 2)


def object_splines(
    name: str,
    phrase: str,
    frames: Sequence[int],
    stored: Callable[[int], StoredOutlines],
    size: tuple[int, int],
    tolerance: float,
    step: Callable[[float], None] = lambda done: None,
) -> SplineObject:
    """Fit one object. ``stored``: the outlines of a frame; ``size``: (width, height) of the plate; ``tolerance`` in
    pixels. ``step`` is told the share that is done, 0..1, and may raise to stop."""
    rings, dropped = [], 0.0
    for frame in frames:
        kept, lost = _rings(stored(frame).facts(), speck_area(tolerance))
        rings.append(kept)
        dropped = max(dropped, lost)
    linked = link(frames, rings)
    fitter = _Fitter(stored, size, tolerance, sum(2 * len(t.rings) for t in linked.tracks), step)
    layer, shapes = layer_name(name), []
    outer = [track for track in linked.tracks if not track.hole]
    # Larger ones first: what lies in a hole of another must be drawn after that hole.
    for track in sorted(outer, key=lambda t: -max(ring.area for ring in t.rings.values())):
        for span in fitter.fit(track, list(track.rings)):
            number = sum(not shape.around for shape in shapes) + 1
            body = _Drawn(span, track, f"{layer}_{number}", None)
            shapes.append(body)
            first, last = span.keys[0], span.keys[-1]
            for hole in (t for t in linked.tracks if t.parent is track):
                inside = [frame for frame in hole.rings if first <= frame <= last]
                for part in fitter.fit(hole, inside) if inside else []:
                    count = sum(shape.around is body for shape in shapes) + 1
                    shapes.append(_Drawn(part, hole, f"{body.name}_hole{count}", body))
    fit = _measured(frames, shapes, stored, size, linked.bridged, dropped)
    return SplineObject(name, phrase, tuple(map(_shape, shapes)), fit)


class _Fitter:
    def __init__(
        self,
        stored: Callable[[int], StoredOutlines],
        size: tuple[int, int],
        tolerance: float,
        total: int,
        step: Callable[[float], None],
    ) -> None:
        self._stored, self._size, self._tolerance = stored, size, tolerance
        self._done, self._total, self._step = 0, max(1, total), step

    def fit(self, track: Track, frames: Sequence[int]) -> list[Span]:
        def ring(frame: int) -> NDArray[np.float64]:
            return self._stored(frame).ring(track.rings[frame].index)

        length = max(track.rings[frame].length for frame in frames)
        return TrackFitter(sorted(frames), ring, length, self._size, self._tolerance, self._tick).spans()

    def _tick(self) -> None:
        self._done += 1
        self._step(min(1.0, self._done / self._total))


def _rings(facts: NDArray[np.float64], least: float) -> tuple[list[Ring], float]:
    """A frame's outlines that are large enough, and the greatest area of the others."""
    large = facts[:, 1] >= least
    whole = [bool(big) and (parent < 0 or large[int(parent)]) for big, parent in zip(large, facts[:, 0], strict=True)]
    kept = [
        Ring(i, int(parent), area, length, np.array([x, y]))
        for i, (parent, area, length, x, y) in enumerate(facts.tolist())
        if whole[i]
    ]
    return kept, max((area for area in facts[~large, 1].tolist()), default=0.0)


def _measured(
    frames: Sequence[int],
    shapes: Sequence[_Drawn],
    stored: Callable[[int], StoredOutlines],
    size: tuple[int, int],
    bridged: set[int],
    dropped: float,
) -> SplineFit:
    worst, worst_frame, ious = 0.0, None, []
    for frame in frames:
        here = [shape for shape in shapes if shape.span.keys[0] <= frame <= shape.span.keys[-1]]
        if frame in bridged or not here:
            continue
        file = stored(frame)
        fitted = [(drawn(shape.span.pose(frame)), shape.around is not None) for shape in here]
        matte = [(file.ring(shape.track.rings[frame].index), shape.around is not None) for shape in here]
        gap, iou = compared(fitted, matte, size)
        ious.append(iou)
        if gap > worst:
            worst, worst_frame = gap, frame
    mean = float(np.mean(ious)) if ious else 1.0
    return SplineFit(
        round(worst, 3),
        worst_frame,
        round(mean, 5),
        round(min(ious, default=1.0), 5),
        tuple(sorted(bridged)),
        round(dropped, 2),
    )


def _shape(item: _Drawn) -> SplineShape:
    keys = tuple(
        SplineKey(frame, tuple(SplinePoint(*map(float, row)) for row in pose))
        for frame, pose in zip(item.span.keys, item.span.poses, strict=True)
    )
    return SplineShape(item.name, keys[0].frame, keys[-1].frame, keys, item.around.name if item.around else None)
