"""An object's outlines over the whole shot to its shapes, and how far these are from the matte."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.naming import layer_name
from sa2va_plugin.splines import SplineFit, SplineKey, SplineObject, SplinePoint, SplineShape

from .fit import Span, spans
from .measure import Layers, compared, drawn
from .outline import StoredOutlines, Vertices, perimeter, signed_area
from .tracks import Ring, Track, link

#: An outline that is there on no more frames than this, and is no larger than this share of the object, gets no shape.
_BRIEF, _MINOR = 3, 0.01
#: Nor does one that is never larger than this share of the largest.
_LEAST = 0.002


@dataclass
class _Drawn:
    """A span, and the span that it is a hole in."""

    span: Span
    name: str
    around: _Drawn | None


def speck_area(tolerance: float) -> float:
    """Outlines of a smaller area, in square pixels, get no shape: discs of three times the tolerance as radius."""
    return float(np.pi * (3 * tolerance) ** 2)


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
    least = speck_area(tolerance)
    rings = [_rings(stored(frame).eased.facts(), least) for frame in frames]
    largest = {frame: max((r.area for r in found), default=0.0) for frame, found in zip(frames, rings, strict=True)}
    tracks = _worth_a_shape(link(frames, rings).tracks, largest)
    seen = [stored(frame).held() for frame, found in zip(frames, rings, strict=True) if found]
    held = float(np.median(seen)) if seen else tolerance
    done, total = 0, sum(len(track.rings) for track in tracks) + len(frames)

    def tick() -> None:
        nonlocal done
        done += 1
        step(min(1.0, done / total))

    def fit(track: Track, ring: Callable[[int], Vertices], inside: Sequence[int]) -> list[Span]:
        inside = sorted(inside)
        return spans(inside, ring, [track.rings[frame].length for frame in inside], tolerance, held, tick)

    def stored_ring(track: Track) -> Callable[[int], Vertices]:
        return lambda frame: stored(frame).eased.ring(track.rings[frame].index)

    layer = layer_name(name)
    bodies: list[_Drawn] = []
    cuts: dict[str, list[_Drawn]] = {}

    def add(span: Span) -> _Drawn:
        body = _Drawn(span, f"{layer}_{len(bodies) + 1}", None)
        bodies.append(body)
        cuts[body.name] = []
        return body

    def cut(body: _Drawn, track: Track, ring: Callable[[int], Vertices]) -> None:
        inside = [frame for frame in track.rings if body.span.keys[0] <= frame <= body.span.keys[-1]]
        for part in fit(track, ring, inside) if inside else []:
            mine = cuts[body.name]
            mine.append(_Drawn(part, f"{body.name}_hole{len(mine) + 1}", body))

    # Larger ones first: what lies in a hole of another must be drawn after that hole.
    for track in sorted((t for t in tracks if not t.hole), key=lambda t: -max(r.area for r in t.rings.values())):
        for span in fit(track, stored_ring(track), list(track.rings)):
            body = add(span)
            for hole in (t for t in tracks if t.parent is track):
                cut(body, hole, stored_ring(hole))
            for cutting in (True, False):
                for part, ring in _parts(span, cutting, frames, least, largest):
                    if cutting:
                        cut(body, part, ring)
                    else:
                        for more in fit(part, ring, list(part.rings)):
                            add(more)
    shapes = [shape for body in bodies for shape in (body, *cuts[body.name])]
    passed = {frame for track in tracks for frame in track.bridged}
    return SplineObject(
        name, phrase, tuple(map(_shape, shapes)), _measured(frames, shapes, stored, size, passed, tolerance, tick)
    )


def _rings(facts: NDArray[np.float64], least: float) -> list[Ring]:
    """A frame's outlines that are large enough."""
    large = facts[:, 1] >= least
    return [
        Ring(i, int(parent), area, length, np.array([x, y]))
        for i, (parent, area, length, x, y) in enumerate(facts.tolist())
        if large[i] and (parent < 0 or large[int(parent)])
    ]


def _worth_a_shape(tracks: Sequence[Track], largest: Mapping[int, float]) -> list[Track]:
    """Without what an artist would not draw: what is there for a moment or is tiny, beside something large.
    ``largest``: the greatest area by frame."""
    whole = max(largest.values(), default=0.0)
    kept = []
    for track in tracks:
        minor = all(ring.area <= _MINOR * largest[frame] for frame, ring in track.rings.items())
        tiny = all(ring.area < _LEAST * whole for ring in track.rings.values())
        if not (tiny or (minor and len(track.rings) <= _BRIEF < len(largest))):
            kept.append(track)
    return [t for t in kept if t.parent is None or any(t.parent is other for other in kept)]


def _parts(
    span: Span, cutting: bool, frames: Sequence[int], least: float, largest: Mapping[int, float]
) -> Iterator[tuple[Track, Callable[[int], Vertices]]]:
    """Tracks of what ``span`` passes over, and their outlines."""
    inside = [frame for frame in frames if span.keys[0] <= frame <= span.keys[-1]]
    polygons = {
        frame: [np.stack([p.points.real, p.points.imag], 1) for p in span.parts.get(frame, ()) if p.cuts == cutting]
        for frame in inside
    }
    rings = [[ring for ring in map(_ring, range(len(polygons[f])), polygons[f]) if ring.area >= least] for f in inside]
    for track in _worth_a_shape(link(inside, rings).tracks, largest):
        yield track, lambda frame, track=track: polygons[frame][track.rings[frame].index]


def _ring(index: int, polygon: Vertices) -> Ring:
    return Ring(index, -1, abs(signed_area(polygon)), perimeter(polygon), polygon.mean(0))


def _measured(
    frames: Sequence[int],
    shapes: Sequence[_Drawn],
    stored: Callable[[int], StoredOutlines],
    size: tuple[int, int],
    bridged: set[int],
    tolerance: float,
    tick: Callable[[], None],
) -> SplineFit:
    worst, worst_frame, ious, dropped = 0.0, None, [], 0.0
    for frame in frames:
        tick()
        file = stored(frame)
        matte = [(ring, parent >= 0) for ring, parent in zip(file.rings(), file.facts()[:, 0].tolist(), strict=True)]
        here: Layers = [
            (drawn(shape.span.pose(frame)), shape.around is not None)
            for shape in shapes
            if shape.span.keys[0] <= frame <= shape.span.keys[-1]
        ]
        if not (matte or here):
            continue
        found = compared(here, matte, size, tolerance)
        ious.append(found.iou)
        dropped = max(dropped, found.dropped)
        if found.worst > worst:
            worst, worst_frame = found.worst, frame
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
