"""What the exporters give Blender and Nuke, read back by parsers of their own and drawn again."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin import nuke_roto
from sa2va_plugin.blender_mask import MaskPoint, mask_layers
from sa2va_plugin.splines import SplineFit, SplineKey, SplineObject, SplinePoint, SplineSet, SplineShape

from tests.nuke_host import roto_text

SIZE = (320, 200)
#: Handle before, point, handle after; y down.
Cubic = Sequence[Any]


def ellipse(x: float, y: float, a: float, b: float) -> tuple[SplinePoint, ...]:
    k = 0.5522847498
    return (
        SplinePoint(x, y - b, x - k * a, y - b, x + k * a, y - b),
        SplinePoint(x + a, y, x + a, y - k * b, x + a, y + k * b),
        SplinePoint(x, y + b, x + k * a, y + b, x - k * a, y + b),
        SplinePoint(x - a, y, x - a, y + k * b, x - a, y - k * b),
    )


BODY = SplineShape(
    "man_1",
    1001,
    1011,
    (
        SplineKey(1001, ellipse(90, 70, 60, 40)),
        SplineKey(1005, ellipse(110, 75, 60, 45)),
        SplineKey(1011, ellipse(180, 110, 75, 50)),
    ),
)
HOLE = SplineShape(
    "man_1_hole1",
    1003,
    1011,
    (SplineKey(1003, ellipse(100, 70, 15, 10)), SplineKey(1011, ellipse(170, 105, 25, 20))),
    cuts="man_1",
)
BIT = SplineShape("man_2", 1006, 1006, (SplineKey(1006, ellipse(280, 40, 20, 15)),))
MAN = SplineObject("man", 'the "man" [left]', (BODY, HOLE, BIT), SplineFit(0.5, 1004, 0.99, 0.98))
SET = SplineSet(*SIZE, 1.0, "24/1", 1001, 1011, 1.0, (MAN,))
FRAMES = range(1001, 1012)


def drawn(layers: list[tuple[Cubic, bool]], fade: float = 0.0) -> NDArray[np.bool_]:
    """Closed cubics filled in order by OpenCV, four times as fine; True for those that clear. ``fade``: how far a
    clockwise one reaches beyond itself, in a picture that is 1 by 1."""
    mask = np.zeros((SIZE[1] * 4, SIZE[0] * 4), np.uint8)
    for cubic, hole in layers:
        line = []
        for (_, p, out), (into, q, _) in zip(cubic, [*cubic[1:], cubic[0]], strict=True):
            for t in np.arange(24) / 24:
                weights = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
                line.append(np.array(weights) @ np.array([p, out, into, q]))
        flat = np.array(line) / SIZE
        along = np.roll(flat, -1, 0) - np.roll(flat, 1, 0)
        outwards = np.stack([along[:, 1], -along[:, 0]], -1) / np.hypot(*along.T)[:, None]
        points = np.round(((flat + outwards * fade) * SIZE * 4 - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(mask, [points], (0 if hole else 255,), cv2.LINE_8, 4)
    return mask > 0


def original(frame: int) -> NDArray[np.bool_]:
    layers = []
    for shape in MAN.shapes:
        points = shape.points_at(frame)
        if points is not None:
            cubic = [((p.left_x, p.left_y), (p.x, p.y), (p.right_x, p.right_y)) for p in points]
            layers.append((cubic, shape.hole))
    return drawn(layers)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


# Nuke: an own reader of the grammar, in which keys with slopes are cubic pieces.


def from_nuke(text: str, frame: int) -> NDArray[np.bool_]:
    return drawn([(points, hole) for points, hole in roto_text.cubics(text, frame, SIZE[1])])


@pytest.mark.parametrize("frame", FRAMES)
def test_nuke_text_draws_the_same_on_every_frame_by_an_own_reading_of_the_grammar(frame: int) -> None:
    assert iou(from_nuke(nuke_roto.curves(SET, [MAN]), frame), original(frame)) >= 0.999


def test_nuke_text_of_one_shape_is_this() -> None:
    """The golden text: layout and number forms as Nuke writes them, key by key."""
    still = SplineObject("bit", "bit", (BIT,), MAN.fit)
    assert " ".join(nuke_roto.curves(SET, [still]).split()) == (
        "{{{v x3f99999a} {f 0} {n {layer Root {f 2097152} {t x43200000 x42c80000} {a} "
        "{curvegroup man_2 512 bezier {{cc {f 8192} {px x447b8000 "
        "{xc130bb2b 0} {x438c0000 x432f0000} {x4130bb2b 0} "
        "{0 x41048c60} {x43960000 x43200000} {0 xc1048c60} "
        "{x4130bb2b 0} {x438c0000 x43110000} {xc130bb2b 0} "
        "{0 xc1048c60} {x43820000 x43200000} {0 x41048c60}}} idem} "
        "{tx x447b8000 x438c0000 x43200000} "
        "{a osf 0 str 1 spx x43200000 spy x42c80000 sb 1 ltn x447b8000 ltm x447b8000 ltt x40800000}}}}}}"
    )


def test_nuke_text_of_keyed_points_has_the_form_of_a_shape_that_nuke_wrote() -> None:
    """Shared times, then a key a time for each coordinate; the slope is the straight line's, in pixels a frame."""
    corners = [
        tuple(SplinePoint(x + dx, y, x + dx, y, x + dx, y) for x, y in ((4, 4), (8, 4), (4, 8))) for dx in (0, 2)
    ]
    moving = SplineShape("bar", 16, 20, (SplineKey(16, corners[0]), SplineKey(20, corners[1])))
    text = " ".join(nuke_roto.curves(SET, [SplineObject("bar", "bar", (moving,), MAN.fit)]).split())
    still = "{{0 0 1 0 1} {0 0 1 0 1}}"
    assert (
        "{px {x41800000 x41a00000} "
        f"{{{still} {still}}} "
        "{{{x40800000 0 1 x3f000000 1} {x40c00000 x3f000000 1 0 1}} {{x43440000 0 1 0 1} {x43440000 0 1 0 1}}} "
    ) in text


def test_in_nuke_what_stands_first_is_on_top_so_a_hole_stands_before_its_shape() -> None:
    text = nuke_roto.curves(SET, [MAN])
    assert re.findall(r"curvegroup (\S+)", text) == ["man_2", "man_1_hole1", "man_1"]


def test_the_nuke_fragment_is_one_roto_node_for_each_object() -> None:
    other = SplineObject("Zoë's bag", "bag", (), SplineFit(0, None, 1, 1))
    text = nuke_roto.nodes(SplineSet(*SIZE, 2.0, "24/1", 1001, 1011, 1.0, (MAN, other)))
    assert text.startswith("set cut_paste_input [stack 0]\n")
    assert re.findall(r"^ name (.*)$", text, re.MULTILINE) == ["Roto_man", "Roto_Zoe_s_bag"]
    assert ' format "320 200 0 0 320 200 2 Sa2VA"' in text
    # Brackets in a label would run as a script.
    assert r'label "the \"man\" \[left\]\nworst 0.50 px, IoU 0.990"' in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("value", [0.0, 1.0, 4.0, -0.5, 1001.0, 1234.5678, -3e-9, 1e9])
def test_nuke_numbers_keep_32_bits(value: float) -> None:
    text = nuke_roto.number(value)
    back = struct.unpack(">f", bytes.fromhex(text[1:]))[0] if text.startswith("x") else float(text)
    assert back == struct.unpack(">f", struct.pack(">f", value))[0]


# Blender: its own rules for coordinates, interpolation and blending.


def from_blender(frame: int, offset: int = 0) -> NDArray[np.bool_]:
    side = max(SIZE)
    layers = []
    for layer in mask_layers(SET, MAN, offset):
        visible = [alpha for key, alpha in layer.alpha if key <= frame]
        if not visible or not visible[-1]:
            continue
        keys = list(layer.keys)
        frames = [key.frame for key in keys]
        poses = np.array([key.points for key in keys])
        flat = poses.reshape(len(frames), -1)
        now = np.array([np.interp(frame, frames, flat[:, i]) for i in range(flat.shape[1])]).reshape(poses.shape[1:])
        x, y = (now[..., 0] - 0.5) * side + SIZE[0] / 2, SIZE[1] / 2 - (now[..., 1] - 0.5) * side
        spots = np.stack([x, y], -1).tolist()
        cubic = [(tuple(left), tuple(co), tuple(right)) for co, left, right in spots]
        layers.append((cubic, layer.blend == "MERGE_SUBTRACT"))
    return drawn(layers, fade=0.5 / min(SIZE))


@pytest.mark.parametrize("frame", FRAMES)
def test_blender_numbers_draw_the_same_on_every_frame_by_an_own_reading_of_its_rules(frame: int) -> None:
    assert iou(from_blender(frame), original(frame)) >= 0.997
    assert iou(from_blender(frame - 900, -900), original(frame)) >= 0.997


def first_pose(shape: SplineShape) -> tuple[MaskPoint, ...]:
    (layer,) = mask_layers(SET, SplineObject("any", "any", (shape,), MAN.fit))
    return next(layer.keys).points


def test_a_blender_outline_that_runs_the_other_way_is_turned() -> None:
    def turned(points: tuple[SplinePoint, ...]) -> tuple[SplinePoint, ...]:
        return tuple(SplinePoint(p.x, p.y, p.right_x, p.right_y, p.left_x, p.left_y) for p in points[::-1])

    back = SplineShape("man_1", 1001, 1001, (SplineKey(1001, turned(BODY.keys[0].points)),))
    there = SplineShape("man_1", 1001, 1001, BODY.keys[:1])
    poses = [first_pose(shape) for shape in (there, back)]
    assert np.allclose(sorted(poses[0]), sorted(poses[1]))


def test_a_blender_outline_too_thin_to_move_in_stays_an_outline() -> None:
    hair = tuple(SplinePoint(x, y, x, y, x, y) for x, y in ((100, 50), (160, 50), (160, 50.6), (100, 50.6)))
    shape = SplineShape("hair", 1, 1, (SplineKey(1, hair),))
    top, _, bottom, _ = first_pose(shape)
    assert 0.2 < (top.co[1] - bottom.co[1]) * SIZE[0] < 0.5


def test_blender_layers_are_in_drawing_order_and_go_dark_outside_their_span() -> None:
    layers = list(mask_layers(SET, MAN))
    assert [(layer.name, layer.blend) for layer in layers] == [
        ("man_1", "MERGE_ADD"),
        ("man_1_hole1", "MERGE_SUBTRACT"),
        ("man_2", "MERGE_ADD"),
    ]
    assert layers[2].alpha == ((1005, 0.0), (1006, 1.0), (1007, 0.0))
    middle = SplineShape("c", 1, 1, (SplineKey(1, (SplinePoint(160, 100, 0, 100, 320, 100),) * 2),))
    assert first_pose(middle)[0] == ((0.5, 0.5), (0.0, 0.5), (1.0, 0.5))
