"""Draws the text of a Roto node's ``curves`` knob, by Foundry's description of it and nothing of ours.

NDK guide, "Roto serialisation format" and "Curve serialisation format".
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_FINE = 4  # samples a pixel, each way


def parse(text: str) -> Any:
    """Nested lists of words."""
    stack: list[list[Any]] = [[]]
    for word in text.replace("{", " { ").replace("}", " } ").split():
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


def value(curve: Any, frame: float) -> float:
    """A number, or keys of time, value, left slope and length, right slope and length: a cubic between two of them."""
    if isinstance(curve, str):
        return number(curve)
    keys = [[number(word) for word in key] for key in curve]
    if frame <= keys[0][0]:
        return keys[0][1]
    for (t0, v0, _, _, m0, _), (t1, v1, m1, *_) in pairwise(keys):
        if frame <= t1:
            s, d = (frame - t0) / (t1 - t0), t1 - t0
            a, b = 2 * s**3 - 3 * s**2 + 1, -2 * s**3 + 3 * s**2
            return a * v0 + b * v1 + (s**3 - 2 * s**2 + s) * d * m0 + (s**3 - s**2) * d * m1
    return keys[-1][1]


def shapes(text: str) -> list[dict[str, Any]]:
    """Each shape's name, life, blending mode and points; a point is a triple of handle, place, handle."""
    found = []

    def walk(item: Any) -> None:
        if isinstance(item, list) and item[:1] == ["curvegroup"]:
            outline = item[4][0]
            assert outline[0] == "cc"
            points = outline[2]
            words = next(part for part in item if isinstance(part, list) and part[:1] == ["a"])[1:]
            life = dict(zip(words[::2], words[1::2], strict=True))
            rows = points[2:] if points[0] == "px" else points[1:]
            assert len(rows) % 3 == 0
            found.append(
                {
                    "name": item[1],
                    "first": number(life["ltm"]),
                    "last": number(life["ltn"]),
                    "mode": number(life.get("bm", "0")),
                    "points": [rows[i : i + 3] for i in range(0, len(rows), 3)],
                }
            )
        elif isinstance(item, list):
            for part in item:
                walk(part)

    walk(parse(text))
    return found


def draw(text: str, frame: int, width: int, height: int) -> NDArray[np.bool_]:
    """(height, width), y down: what is inside, sampled at pixel centres' neighbourhoods and cut at one half."""
    canvas = np.zeros((height * _FINE, width * _FINE), np.uint8)
    steps = np.linspace(0, 1, 24, endpoint=False)[:, None]
    for shape in shapes(text):
        if not shape["first"] <= frame <= shape["last"]:
            continue
        points = [[np.array([value(x, frame), value(y, frame)]) for x, y in triple] for triple in shape["points"]]
        line = []
        for (_, here, out), (back, there, _) in zip(points, points[1:] + points[:1], strict=True):
            a, b, c, d = here, here + out, there + back, there
            line.append(
                (1 - steps) ** 3 * a + 3 * (1 - steps) ** 2 * steps * b + 3 * (1 - steps) * steps**2 * c + steps**3 * d
            )
        outline = np.concatenate(line)
        outline[:, 1] = height - outline[:, 1]  # Nuke's y is up
        fixed = np.round((outline * _FINE - 0.5) * 256).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 0 if shape["mode"] == 12 else 1, shift=8)
    return canvas.reshape(height, _FINE, width, _FINE).mean((1, 3)) >= 0.5
