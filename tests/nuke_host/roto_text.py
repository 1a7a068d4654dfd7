"""Draws the text of a Roto node's ``curves`` knob, by what is known of it and nothing of ours.

NDK guide, "Roto serialisation format" and "Curve serialisation format"; a keyed shape that Nuke 12.1 wrote
(pastebin.com/tS8U4gVN); and that what stands first is on top, measured in Nuke 14.1 (github.com/bratgot/PaintFromRef).
"""

from __future__ import annotations

import re
import struct
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

#: Samples a pixel, each way. Sample 8 i + 4 lies on the centre of pixel i.
_FINE = 8
#: Blending mode of what is cut out, and lifetime "from first to last".
_MINUS, _RANGE = 12, 4


class Shape(NamedTuple):
    """``times``: of the keys. ``points``: triples of handle, place, handle; each a pair of curves, y up, handles
    counted from their place."""

    name: str
    first: float
    last: float
    hole: bool
    times: list[float]
    points: list[Any]


def parse(text: str) -> Any:
    """Nested braces as nested lists of words."""
    stack: list[list[Any]] = [[]]
    for word in re.findall(r"[{}]|[^\s{}]+", text):
        if word == "{":
            stack.append([])
        elif word == "}":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    assert len(stack) == 1, "braces do not match"
    return stack[0]


def number(word: str) -> float:
    return struct.unpack(">f", bytes.fromhex(word[1:].rjust(8, "0")))[0] if word.startswith("x") else float(word)


def value(curve: Any, times: list[float], frame: float) -> float:
    """A number; or for each time a key: a value, left slope and length, right slope and length. A cubic between two."""
    if isinstance(curve, str):
        return number(curve)
    keys = [(time, [number(word) for word in key]) for time, key in zip(times, curve, strict=True)]
    if frame <= keys[0][0]:
        return keys[0][1][0]
    for (t0, (v0, _, _, m0, _)), (t1, (v1, m1, *_)) in pairwise(keys):
        if frame <= t1:
            s, d = (frame - t0) / (t1 - t0), t1 - t0
            a, b = 2 * s**3 - 3 * s**2 + 1, -2 * s**3 + 3 * s**2
            return a * v0 + b * v1 + (s**3 - 2 * s**2 + s) * d * m0 + (s**3 - s**2) * d * m1
    return keys[-1][1][0]


def shapes(text: str) -> list[Shape]:
    ((version, flags, (_, root)),) = parse(text)[0]
    assert (version, flags) == (["v", "x3f99999a"], ["f", "0"])
    assert root[:2] == ["layer", "Root"]
    found = []
    for word, name, _, kind, (outline, feather), _, (_, *attributes) in root[5:]:
        assert (word, kind, outline[0], feather) == ("curvegroup", "bezier", "cc", "idem")
        facts = {key: number(said) for key, said in zip(attributes[0::2], attributes[1::2], strict=True)}
        assert facts["ltt"] == _RANGE
        assert facts.get("bm", 0) in (0, _MINUS)
        form, when, *rows = outline[2]
        assert form == "px"
        times = [number(word) for word in ([when] if isinstance(when, str) else when)]
        triples = list(zip(rows[0::3], rows[1::3], rows[2::3], strict=True))
        found.append(Shape(name, facts["ltm"], facts["ltn"], facts.get("bm") == _MINUS, times, triples))
    return found


def cubics(text: str, frame: float, height: int) -> list[tuple[list[NDArray[np.float64]], bool]]:
    """What is there at ``frame``, in drawing order, which is from the last to the first: each point's handle, place and
    handle as (3, 2) pixels, y down; and whether the shape cuts."""
    drawn = []
    for shape in reversed(shapes(text)):
        if shape.first <= frame <= shape.last:
            points = []
            for triple in shape.points:
                back, here, out = (np.array([value(axis, shape.times, frame) for axis in pair]) for pair in triple)
                place = np.array([here + back, here, here + out])
                points.append(np.stack([place[:, 0], height - place[:, 1]], 1))
            drawn.append((points, shape.hole))
    return drawn


def draw(text: str, frame: float, width: int, height: int) -> NDArray[np.bool_]:
    """(height, width), y down: the pixels whose centres are inside."""
    canvas = np.zeros((height * _FINE + 1, width * _FINE + 1), np.uint8)
    steps = np.linspace(0, 1, 24, endpoint=False)[:, None]
    for points, hole in cubics(text, frame, height):
        line = []
        for (_, a, b), (c, d, _) in zip(points, points[1:] + points[:1], strict=True):
            line.append(
                (1 - steps) ** 3 * a + 3 * (1 - steps) ** 2 * steps * b + 3 * (1 - steps) * steps**2 * c + steps**3 * d
            )
        fixed = np.round(np.concatenate(line) * _FINE * 16).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 0 if hole else 1, cv2.LINE_8, 4)
    return canvas[_FINE // 2 :: _FINE, _FINE // 2 :: _FINE] > 0
