"""A SplineSet's object as numbers for a Blender Mask: what to set, not how, so that it needs no Blender to be tested.

Each shape is a mask layer of its own with one cyclic Bézier spline of FREE handles, in drawing order: a layer's shape
keys take in all of its splines, so shapes with other spans and other keys need other layers. Coordinates are Blender's:
the longer side of the clip is 1 long, the middle lies at (.5, .5), y goes up.

Blender (measured on 4.2 to 5.2) fades a mask from its spline outwards, where that runs clockwise on screen, over one
pixel of the clip's shorter side: that far in a picture stretched to a square, so 1.8 pixels sideways in one of 16:9.
The curve is moved in by half of the fade, which puts one half where the outline is. One that runs the other way gets
no fade at all: hard, jagged edges.
"""

from __future__ import annotations

from math import hypot
from typing import Iterator, NamedTuple, Optional, Sequence, Tuple

from .splines import Points, SplineObject, SplinePoint, SplineSet, SplineShape

Place = Tuple[float, float]
#: In pixels, and a little more: where a fade ends exactly on a pixel's centre, Blender up to 5.1 fills that pixel.
_HALF_FADE = 0.505


class MaskPoint(NamedTuple):
    """``co``, ``handle_left`` and ``handle_right`` of a MaskSplinePoint."""

    co: Place
    handle_left: Place
    handle_right: Place


class MaskKey(NamedTuple):
    """What a shape key holds at a scene frame. Blender moves every number in a straight line between keys."""

    frame: int
    points: tuple[MaskPoint, ...]


class MaskLayer(NamedTuple):
    """``blend``: the layer's blend mode. ``keys``: each made as it is asked for, which takes a fraction of a
    millisecond. ``alpha``: CONSTANT keys (frame, value) that show it on its span alone."""

    name: str
    blend: str
    keys: Iterator[MaskKey]
    alpha: tuple[tuple[int, float], ...]


def mask_layers(splines: SplineSet, item: SplineObject, offset: int = 0) -> Iterator[MaskLayer]:
    """The layers of ``item``, one of the objects of ``splines``; ``offset`` is added to every frame."""
    return (_layer(splines, shape, offset) for shape in item.shapes)


def _layer(splines: SplineSet, shape: SplineShape, offset: int) -> MaskLayer:
    size = splines.width, splines.height
    # What stretches a picture turns no curve round.
    turn = sum(_area(_line(key.points)) for key in shape.keys) < 0
    keys = (MaskKey(key.frame + offset, _pose(_turned(key.points) if turn else key.points, size)) for key in shape.keys)
    first, last = shape.first + offset, shape.last + offset
    alpha = ((first - 1, 0.0), (first, 1.0), (last + 1, 0.0))
    return MaskLayer(shape.name, "MERGE_SUBTRACT" if shape.hole else "MERGE_ADD", keys, alpha)


def _turned(points: Points) -> Points:
    return tuple(SplinePoint(p.x, p.y, p.right_x, p.right_y, p.left_x, p.left_y) for p in reversed(points))


def _pose(points: Points, size: tuple[int, int]) -> tuple[MaskPoint, ...]:
    side, (width, height) = max(size), size

    def place(x: float, y: float) -> Place:
        return (x - 0.5) * width / side + 0.5, (0.5 - y) * height / side + 0.5

    inset = _inset(_stretched(points, size), _HALF_FADE / min(size))
    return tuple(MaskPoint(place(p.x, p.y), place(p.left_x, p.left_y), place(p.right_x, p.right_y)) for p in inset)


def _stretched(points: Points, size: tuple[int, int]) -> Points:
    """In a picture that is 1 wide and 1 high."""
    return tuple(SplinePoint(*(value / size[n % 2] for n, value in enumerate(p))) for p in points)


def _line(points: Points) -> list[Place]:
    """The polygon of points and handles."""
    return [at for p in points for at in ((p.left_x, p.left_y), (p.x, p.y), (p.right_x, p.right_y))]


def _area(line: Sequence[Place]) -> float:
    """Of a polygon; positive where it runs clockwise on screen."""
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(line, [*line[1:], line[0]])) / 2


def _length(line: Sequence[Place]) -> float:
    return sum(hypot(bx - ax, by - ay) for (ax, ay), (bx, by) in zip(line, [*line[1:], line[0]]))


def _inset(points: Points, distance: float) -> Points:
    """A clockwise curve moved in by ``distance``, or less where it is too thin for that."""
    line = _line(points)
    length = _length(line)
    if not length:
        return points
    # Twice area by length is a shape's mean width; of that a quarter at the most.
    distance = min(distance, abs(_area(line)) / length / 2)
    following = points[1:] + points[:1]
    moves = [_inwards(*three) for three in zip(points[-1:] + points[:-1], points, following)]
    moved = [(p.x + x * distance, p.y + y * distance) for p, (x, y) in zip(points, moves)]
    shares = [_share(p, q, a, b, distance) for p, q, a, b in zip(points, following, moved, moved[1:] + moved[:1])]
    return tuple(
        SplinePoint(
            x,
            y,
            x + (p.left_x - p.x) * shares[n - 1],
            y + (p.left_y - p.y) * shares[n - 1],
            x + (p.right_x - p.x) * shares[n],
            y + (p.right_y - p.y) * shares[n],
        )
        for n, (p, (x, y)) in enumerate(zip(points, moved))
    )


def _share(p: SplinePoint, q: SplinePoint, a: Place, b: Place, distance: float) -> float:
    """How long handles become, so that the middle of the curve from ``p`` to ``q`` moves in as far as its ends, which
    go to ``a`` and ``b``."""
    bend_x, bend_y = p.right_x - p.x + q.left_x - q.x, p.right_y - p.y + q.left_y - q.y
    along = _unit(q.x + q.left_x - p.x - p.right_x, q.y + q.left_y - p.y - p.right_y)
    bend = bend_x**2 + bend_y**2
    if along is None or not bend:
        return 1.0
    # At its middle a cubic lies three eighths of the bend off the middle of its ends.
    x = (p.x + q.x) / 2 + bend_x * 0.375 - along[1] * distance - (a[0] + b[0]) / 2
    y = (p.y + q.y) / 2 + bend_y * 0.375 + along[0] * distance - (a[1] + b[1]) / 2
    return min(max((x * bend_x + y * bend_y) / bend / 0.375, 0.5), 1.5)


def _inwards(before: SplinePoint, p: SplinePoint, after: SplinePoint) -> Place:
    """Where a point goes when both sides of it move in by 1: at a corner further, but no more than twice as far."""
    came = _unit(p.x - p.left_x, p.y - p.left_y) or _unit(p.x - before.x, p.y - before.y)
    goes = _unit(p.right_x - p.x, p.right_y - p.y) or _unit(after.x - p.x, after.y - p.y)
    along = _unit(*(a + b for a, b in zip(came or (0, 0), goes or (0, 0))))
    if along is None:
        return 0.0, 0.0
    side = came or goes or along
    far = 1 / max(along[0] * side[0] + along[1] * side[1], 0.5)
    return -along[1] * far, along[0] * far


def _unit(x: float, y: float) -> Optional[Place]:
    length = hypot(x, y)
    return (x / length, y / length) if length else None
