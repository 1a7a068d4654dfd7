"""A SplineSet's object as numbers for a Blender Mask: what to set, not how, so that it needs no Blender to be tested.

Each shape is a mask layer of its own with one cyclic Bézier spline of FREE handles, in drawing order: a layer's shape
keys take in all of its splines, so shapes with other spans and other keys need other layers. Coordinates are Blender's:
the longer side of the clip is 1 long, the middle lies at (.5, .5), y goes up.
"""

from __future__ import annotations

from typing import NamedTuple

from .splines import SplineObject, SplinePoint, SplineSet, SplineShape


class MaskPoint(NamedTuple):
    """``co``, ``handle_left`` and ``handle_right`` of a MaskSplinePoint."""

    co: tuple[float, float]
    handle_left: tuple[float, float]
    handle_right: tuple[float, float]


class MaskKey(NamedTuple):
    """What a shape key holds at a scene frame. Blender moves every number in a straight line between keys."""

    frame: int
    points: tuple[MaskPoint, ...]


class MaskLayer(NamedTuple):
    """``blend``: the layer's blend mode. ``alpha``: CONSTANT keys (frame, value) that show it on its span alone."""

    name: str
    blend: str
    keys: tuple[MaskKey, ...]
    alpha: tuple[tuple[int, float], ...]


def mask_layers(splines: SplineSet, item: SplineObject, offset: int = 0) -> tuple[MaskLayer, ...]:
    """The layers of ``item``, one of the objects of ``splines``; ``offset`` is added to every frame."""
    return tuple(_layer(splines, shape, offset) for shape in item.shapes)


def _layer(splines: SplineSet, shape: SplineShape, offset: int) -> MaskLayer:
    keys = tuple(
        MaskKey(key.frame + offset, tuple(_point(splines.width, splines.height, point) for point in key.points))
        for key in shape.keys
    )
    first, last = shape.first + offset, shape.last + offset
    alpha = ((first - 1, 0.0), (first, 1.0), (last + 1, 0.0))
    return MaskLayer(shape.name, "MERGE_SUBTRACT" if shape.hole else "MERGE_ADD", keys, alpha)


def _point(width: int, height: int, p: SplinePoint) -> MaskPoint:
    side = max(width, height)

    def place(x: float, y: float) -> tuple[float, float]:
        return (x - width / 2) / side + 0.5, (height / 2 - y) / side + 0.5

    return MaskPoint(place(p.x, p.y), place(p.left_x, p.left_y), place(p.right_x, p.right_y))
