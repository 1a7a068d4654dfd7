"""The Mask form: what Blender draws of splines whose areas are known, and what becomes of several objects."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import iou, part, render, white_files

K = 0.5522847498  # handles of a quarter circle


def circle(x, y, radius, turn=1):
    """Four points, clockwise on screen, or the other way."""
    point = part("sa2va_plugin.splines").SplinePoint
    k = K * radius
    points = [
        point(x, y - radius, x - k, y - radius, x + k, y - radius),
        point(x + radius, y, x + radius, y - k, x + radius, y + k),
        point(x, y + radius, x + k, y + radius, x - k, y + radius),
        point(x - radius, y, x - radius, y + k, x - radius, y - k),
    ]
    if turn < 0:
        points = [point(p.x, p.y, p.right_x, p.right_y, p.left_x, p.left_y) for p in reversed(points)]
    return tuple(points)


def corners(*places):
    """Straight lines, with their handles on the points."""
    point = part("sa2va_plugin.splines").SplinePoint
    return tuple(point(*place, *place, *place) for place in places)


def round_area(size, x, y, radius):
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    return np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius


def box(size, left, top, right, bottom):
    found = np.zeros((size[1], size[0]), bool)
    found[top:bottom, left:right] = True
    return found


def cases(size):
    """Name: what is drawn (points, whether it is a hole), and what that covers."""
    x, y = size[0] / 2, size[1] / 2
    left, top, right, bottom = 20, 20, size[0] - 31, size[1] - 33
    return {
        "small": ([(circle(x, y, 5.3), False)], round_area(size, x, y, 5.3)),
        "middling": ([(circle(x, y, 20.2), False)], round_area(size, x, y, 20.2)),
        "large": ([(circle(x, y, 48.3), False)], round_area(size, x, y, 48.3)),
        "the other way": ([(circle(x, y, 20.2, -1), False)], round_area(size, x, y, 20.2)),
        "corners": (
            [(corners((left, top), (right, top), (right, bottom), (left, bottom)), False)],
            box(size, left, top, right, bottom),
        ),
        "hole": (
            [(circle(x, y, 40.3), False), (circle(x, y, 12.3), True)],
            round_area(size, x, y, 40.3) & ~round_area(size, x, y, 12.3),
        ),
        "thin": ([(corners((x - 40, 50), (x + 40, 50), (x + 40, 53), (x - 40, 53)), False)], None),
    }


def spline_set(size, *objects):
    splines = part("sa2va_plugin.splines")
    fit = splines.SplineFit(0, None, 1, 1)
    made = []
    for name, parts in objects:
        shapes = [
            splines.SplineShape(f"{name}_{n}", 1, 1, (splines.SplineKey(1, points),), f"{name}_0" if hole else None)
            for n, (points, hole) in enumerate(parts)
        ]
        made.append(splines.SplineObject(name, name, tuple(shapes), fit))
    return splines.SplineSet(*size, 1.0, "24/1", 1, 1, 1.0, tuple(made))


def steps_of(target, folder, size, *objects):
    (folder / "splines.json").write_text(spline_set(size, *objects).to_json(), encoding="utf-8")
    mattes = part("mattes").Mattes(folder, "clip", (1,), size, (), None, False)
    return part("attach_masks").attach_masks(target, mattes, part("frames").Plan(numbers=(1,)))


def attach(target, folder, size, *objects):
    for _ in steps_of(target, folder, size, *objects):
        pass


@pytest.fixture
def target(scene):
    clip = bpy.data.movieclips.load(str(white_files()[0]))
    found = part("targets").ClipTarget(scene, clip)
    found.claim()
    return found


def test_a_new_mask_takes_over_wherever_the_old_one_is_used(target, tmp_path):
    """Once it is whole: meanwhile the old one stays, and what a broken-off run left goes."""
    size = (192, 108)
    attach(target, tmp_path, size, ("thing", [(circle(96, 54, 40), False)]))
    (old,) = bpy.data.masks
    old.name = "renamed by the user"
    tree = part("compat").compositor_tree(target.scene)
    own = tree.nodes.new("CompositorNodeMask")
    own.mask = old
    broken_off = steps_of(target, tmp_path, size, ("thing", [(circle(96, 54, 20), False)]))
    while len(bpy.data.masks) < 2:
        next(broken_off)
    assert own.mask == old
    attach(target, tmp_path, size, ("thing", [(circle(96, 54, 20), False)]))
    (new,) = bpy.data.masks
    assert (new.name, own.mask) == ("renamed by the user", new)
    (point, *_) = new.layers[0].splines[0].points
    assert abs(point.co[1] - 0.5) == pytest.approx(20 / 192, abs=0.01)
    assert [node.mask for node in tree.nodes if node.bl_idname == "CompositorNodeMask"] == [new, new]


@pytest.mark.parametrize("size", [(192, 108), (108, 192), (128, 128), (640, 360)], ids=str)
def test_a_mask_covers_what_its_outline_does(target, tmp_path, size):
    """Small or large, whichever way it runs, in any shape of picture: at one half, and by area."""
    scene, compat = target.scene, part("compat")
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.view_settings.view_transform = "Raw"
    tree = compat.compositor_tree(scene, create=True)
    for name, (shapes, wanted) in cases(size).items():
        attach(target, tmp_path, size, ("thing", shapes))
        (node,) = [n for n in tree.nodes if n.bl_idname == "CompositorNodeMask"]
        tree.links.new(node.outputs[0], compat.compositor_output(tree, create=True))
        seen = render(scene, 1, tmp_path, sequencer=False)[..., 0]
        if wanted is None:  # three pixels high and 80 long
            assert seen.sum() == pytest.approx(240, rel=0.12), name
            continue
        assert iou(seen, wanted) >= 0.98, name
        assert seen.sum() == pytest.approx(wanted.sum(), rel=0.04), name
        if name != "corners":  # whose sides lie between pixels
            assert ((seen > 0.1) & (seen < 0.9)).any(), f"{name}: its edge is jagged"
