"""An object's outlines over the whole shot to its shapes, and how far these are from the matte."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.naming import layer_name
from sa2va_plugin.splines import SplineFit, SplineKey, SplineObject, SplinePoint, SplineShape

from .fit import Span, spans
from .follow import Samples
from .leftover import falls_short, leftovers
from .measure import Layers, compared, drawn
from .outline import StoredOutlines, Vertices, perimeter, signed_area
from .room import Budget, even_room, is_hair
from .surface import Part
from .tracks import Ring, Track, chains, link

#: The outline of a frame.
Outlines = Callable[[int], Vertices]
#: An outline that is there on no more frames than this, and is no larger than this share of the object, gets no shape.
_BRIEF, _MINOR = 3, 0.01
#: Nor does one that is never larger than this share of the largest.
_TINY = 0.002
#: Rounds in which pieces get shapes that are left out or too much, and how far these may be off, as a share of what
#: would leave nothing of them.
_ROUNDS, _PIECE = 4, 0.1
#: Frames that have less all the same are fitted once more, with this part of the room.
_CLOSER = 0.5


@dataclass
class _Drawn:
    """A span, and the span that it is a hole in."""

    span: Span
    name: str
    around: _Drawn | None

    def on(self, frame: int) -> bool:
        return self.span.keys[0] <= frame <= self.span.keys[-1]


class _Shapes:
    """The shapes of one object, in drawing order: each outer one, then its holes."""

    def __init__(self, layer: str, tolerance: float, step: Callable[[], None]) -> None:
        self._layer, self._tolerance, self._step = layer, tolerance, step
        self.bodies: list[_Drawn] = []
        self._holes: dict[str, list[_Drawn]] = {}

    def add(self, track: Track, ring: Outlines, room: Mapping[int, float]) -> list[_Drawn]:
        """Shapes along a track."""
        added = []
        for span in self._spans(track, ring, room, list(track.rings)):
            added.append(_Drawn(span, f"{self._layer}_{len(self.bodies) + 1}", None))
            self.bodies.append(added[-1])
            self._holes[added[-1].name] = []
        return added

    def cut(self, body: _Drawn, track: Track, ring: Outlines, room: Mapping[int, float]) -> list[_Drawn]:
        """Holes in ``body`` along a track."""
        inside = [frame for frame in track.rings if body.on(frame)]
        mine = self._holes[body.name]
        added = []
        for span in self._spans(track, ring, room, inside):
            added.append(_Drawn(span, f"{body.name}_hole{len(mine) + 1}", body))
            mine.append(added[-1])
        return added

    def all(self) -> list[_Drawn]:
        return [shape for body in self.bodies for shape in (body, *self._holes[body.name])]

    def at(self, frame: int) -> Layers:
        return [(drawn(s.span.pose(frame)), s.around is not None) for s in self.all() if s.on(frame)]

    def _spans(self, track: Track, ring: Outlines, room: Mapping[int, float], frames: Sequence[int]) -> list[Span]:
        frames = sorted(frames)
        lengths = [track.rings[frame].length for frame in frames]
        return spans(frames, ring, lengths, self._tolerance, room, self._step)


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
    room = {frame: even_room(frame, tracks, stored(frame), tolerance) for frame in frames}
    done, total = 0, sum(len(track.rings) for track in tracks) + 2 * len(frames)

    def tick() -> None:
        nonlocal done
        done += 1
        step(min(1.0, done / total))

    def stored_ring(track: Track) -> Outlines:
        return lambda frame: stored(frame).eased.ring(track.rings[frame].index)

    def fitted() -> _Shapes:
        shapes, budget = _Shapes(layer_name(name), tolerance, tick), Budget(room, tracks)
        # Larger ones first: what lies in a hole of another must be drawn after that hole.
        for track in sorted((t for t in tracks if not t.hole), key=lambda t: -max(r.area for r in t.rings.values())):
            bodies = shapes.add(track, stored_ring(track), budget.left())
            budget.take(track, [body.span for body in bodies])
            for body in bodies:
                for hole in (t for t in tracks if t.parent is track):
                    holes = shapes.cut(body, hole, stored_ring(hole), budget.left())
                    budget.take(hole, [item.span for item in holes])
                for cutting in (True, False):
                    for part, ring in _parts(body.span, cutting, frames, least, largest):
                        if cutting:
                            shapes.cut(body, part, ring, room)
                        else:
                            shapes.add(part, ring, room)
        _mend(shapes, whole, stored, size, tolerance, tick)
        return shapes

    passed = {frame for track in tracks for frame in track.bridged}
    whole = [frame for frame in frames if frame not in passed]
    shapes = fitted()
    short = [f for f in whole if not is_hair(stored(f)) and falls_short(shapes.at(f), stored(f).layers(), size)]
    if short:
        # What no piece makes up for is lost along all of the outlines.
        room.update({frame: _CLOSER * room[frame] for frame in short})
        total *= 2
        shapes = fitted()
    fit = _measured(frames, shapes, stored, size, passed, tolerance, tick)
    return SplineObject(name, phrase, tuple(map(_shape, shapes.all())), fit)


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
        tiny = all(ring.area < _TINY * whole for ring in track.rings.values())
        if not (tiny or (minor and len(track.rings) <= _BRIEF < len(largest))):
            kept.append(track)
    return [t for t in kept if t.parent is None or any(t.parent is other for other in kept)]


def _parts(
    span: Span, cutting: bool, frames: Sequence[int], least: float, largest: Mapping[int, float]
) -> Iterator[tuple[Track, Callable[[int], Vertices]]]:
    """Tracks of what ``span`` passes over, and their outlines."""
    inside = [frame for frame in frames if span.keys[0] <= frame <= span.keys[-1]]
    polygons = {
        frame: [_vertices(p.points) for p in span.parts.get(frame, ()) if p.cuts == cutting] for frame in inside
    }
    rings = [[ring for ring in map(_ring, range(len(polygons[f])), polygons[f]) if ring.area >= least] for f in inside]
    for track in _worth_a_shape(link(inside, rings).tracks, largest):
        yield track, lambda frame, track=track: polygons[frame][track.rings[frame].index]


def _mend(
    shapes: _Shapes,
    frames: Sequence[int],
    stored: Callable[[int], StoredOutlines],
    size: tuple[int, int],
    tolerance: float,
    tick: Callable[[], None],
) -> None:
    """Add shapes and holes where the overlap with the matte is less than it is to be."""
    for _ in range(_ROUNDS):
        found: dict[int, list[Part]] = {}
        for frame in frames:
            tick()
            file = stored(frame)
            found[frame] = leftovers(shapes.at(frame), file.layers(), size, tolerance, is_hair(file))
        frames = [frame for frame in frames if found[frame]]
        for cutting in (False, True):
            polygons = {f: [_vertices(p.points) for p in found[f] if p.cuts == cutting] for f in frames}
            rings = [[_ring(i, polygon) for i, polygon in enumerate(polygons[f])] for f in frames]
            for run in _runs(chains(frames, rings), list(found)):

                def ring(frame: int, run: Track = run, of: Mapping[int, list[Vertices]] = polygons) -> Vertices:
                    return of[frame][run.rings[frame].index]

                room = {f: _PIECE * r.area / r.length for f, r in run.rings.items()}
                if cutting:
                    for body in list(shapes.bodies):
                        shapes.cut(body, run, ring, room)
                else:
                    shapes.add(run, ring, room)


def _runs(tracks: Sequence[Track], frames: Sequence[int]) -> Iterator[Track]:
    """``tracks`` without gaps: each frame is the next of ``frames`` after the one before."""
    place = {frame: i for i, frame in enumerate(frames)}
    for track in tracks:
        run: dict[int, Ring] = {}
        for frame in sorted(track.rings):
            if run and place[frame] > place[max(run)] + 1:
                yield Track(run)
                run = {}
            run[frame] = track.rings[frame]
        yield Track(run)


def _vertices(points: Samples) -> Vertices:
    return np.stack([points.real, points.imag], 1)


def _ring(index: int, polygon: Vertices) -> Ring:
    return Ring(index, -1, abs(signed_area(polygon)), perimeter(polygon), polygon.mean(0))


def _measured(
    frames: Sequence[int],
    shapes: _Shapes,
    stored: Callable[[int], StoredOutlines],
    size: tuple[int, int],
    bridged: set[int],
    tolerance: float,
    tick: Callable[[], None],
) -> SplineFit:
    worst, worst_frame, ious, dropped = 0.0, None, [], 0.0
    for frame in frames:
        tick()
        matte, here = stored(frame).layers(), shapes.at(frame)
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
