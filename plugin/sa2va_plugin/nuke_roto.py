"""A SplineSet as Nuke Roto nodes: the text of their ``curves`` knob, and a fragment of script to paste.

The form is that of Foundry's NDK guide ("Roto serialisation format", "Curve serialisation format"). Nuke's frame has
its origin at the bottom left, y up; handles count from their point. Each shape is a closed Bézier whose lifetime is its
span (``ltt`` 4: from ``ltm`` to ``ltn``). What stands first is on top, so a hole stands before its shape; it has the
blending mode minus (``bm`` 12).

No Nuke has read this text yet. Keyed points are as in a shape of four keys that Nuke 12.1 wrote
(pastebin.com/tS8U4gVN): the times that all points share, then for each coordinate a key a time, of its value, and slope
and length of both tangents. All slopes are those of the straight lines between keys. That the first is on top was
measured in Nuke 14.1 (github.com/bratgot/PaintFromRef).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Tuple

from .naming import layer_name
from .splines import SplineObject, SplineSet, SplineShape

_MINUS = 12
_FRAME_RANGE = 4


def number(value: float) -> str:
    """A number as Nuke writes it: small whole ones as they are, others as ``x`` and the bits of a 32-bit float."""
    if value in (0, 1, 2, 3):
        return str(int(value))
    return "x" + struct.pack(">f", value).hex()


def curves(splines: SplineSet, objects: Sequence[SplineObject]) -> str:
    """The value of a Roto node's ``curves`` knob that draws ``objects``, some of ``splines``."""
    width, height = splines.width, splines.height
    # Drawn from the last to the first.
    shapes = "".join(_shape(shape, width, height) for item in objects[::-1] for shape in item.shapes[::-1])
    centre = f"{number(width / 2)} {number(height / 2)}"
    return (
        "{{{v x3f99999a}\n  {f 0}\n  {n\n   {layer Root\n    {f 2097152}\n    {t "
        + centre
        + "}\n    {a}"
        + shapes
        + "}}}}"
    )


def nodes(splines: SplineSet) -> str:
    """Text to paste into Nuke's node graph: one Roto node for each object, side by side."""
    parts = ["set cut_paste_input [stack 0]\nversion 13.0 v1\npush $cut_paste_input\n"]
    width, height = splines.width, splines.height
    plate = f'"{width} {height} 0 0 {width} {height} {splines.pixel_aspect:g} Sa2VA"'
    for index, item in enumerate(splines.objects):
        fit = item.fit
        label = f"{item.phrase}\\nworst {fit.worst_px:.2f} px, IoU {fit.iou:.3f}"
        parts.append(
            "Roto {\n inputs 0\n output alpha\n"
            f" format {plate}\n cliptype none\n"
            f" curves {curves(splines, [item])}\n"
            f" name Roto_{layer_name(item.name)}\n label {_quoted(label)}\n"
            f" selected true\n xpos {index * 110}\n ypos 0\n}}\n"
        )
    return "".join(parts)


def _shape(shape: SplineShape, width: int, height: int) -> str:
    time = number(shape.first)
    first = shape.keys[0].points
    centre_x = sum(p.x for p in first) / len(first)
    centre_y = height - sum(p.y for p in first) / len(first)
    points = _still(shape, height) if len(shape.keys) == 1 else _moving(shape, height)
    hole = f" bm {_MINUS}" if shape.hole else ""
    return (
        f"\n    {{curvegroup {shape.name} 512 bezier\n     {{{{cc\n       {{f 8192}}\n       {points}}}     idem}}\n"
        f"     {{tx {time} {number(centre_x)} {number(centre_y)}}}\n"
        f"     {{a{hole} osf 0 str 1 spx {number(width / 2)} spy {number(height / 2)} sb 1"
        f" ltn {number(shape.last)} ltm {time} ltt {number(_FRAME_RANGE)}}}}}"
    )


Pair = Tuple[float, float]


def _triples(shape: SplineShape, height: int) -> list[list[tuple[Pair, Pair, Pair]]]:
    """For each key, each point's handle before, place and handle after, in Nuke's frame, handles from their point."""
    return [
        [
            ((p.left_x - p.x, p.y - p.left_y), (p.x, height - p.y), (p.right_x - p.x, p.y - p.right_y))
            for p in key.points
        ]
        for key in shape.keys
    ]


def _still(shape: SplineShape, height: int) -> str:
    lines = [f"\n        {{{number(x)} {number(y)}}}" for triple in _triples(shape, height)[0] for x, y in triple]
    return f"{{px {number(shape.first)}{''.join(lines)}}}"


def _moving(shape: SplineShape, height: int) -> str:
    frames = [key.frame for key in shape.keys]
    poses = _triples(shape, height)
    lines = ["\n        {" + " ".join(map(number, frames)) + "}"]
    for i in range(len(poses[0])):
        for j in range(3):
            x, y = (_curve(frames, [pose[i][j][axis] for pose in poses]) for axis in (0, 1))
            lines.append(f"\n        {{{x} {y}}}")
    return f"{{px{''.join(lines)}}}"


def _curve(frames: Sequence[int], values: Sequence[float]) -> str:
    """A key a frame: value, left slope and length, right slope and length."""
    slopes = [0.0]
    slopes += [(values[i + 1] - values[i]) / (frames[i + 1] - frames[i]) for i in range(len(frames) - 1)]
    slopes.append(0.0)
    keys = [f"{{{number(v)} {number(slopes[i])} 1 {number(slopes[i + 1])} 1}}" for i, v in enumerate(values)]
    return "{" + " ".join(keys) + "}"


def _quoted(text: str) -> str:
    """A string of a Nuke script; ``\\n`` in it stays a line break."""
    escaped = re.sub(r'(["\[\]$])', r"\\\1", text.replace("\\n", "\0").replace("\\", "\\\\"))
    return '"' + escaped.replace("\n", "\\n").replace("\0", "\\n") + '"'
