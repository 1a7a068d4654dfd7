"""Each result form, rendered by Blender and compared with the mattes it was given."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
from conftest import FACTS, STAGE, black_below, disc, iou, new_image, part, ramp, render, white_files

SOFT = 2 / 255 + 1e-4
FIRST = 11  # the clip's first frame in the scene


@pytest.fixture
def target(scene):
    black_below(scene)
    strip = new_image(scene, white_files(), 2, FIRST)
    found = part("targets").StripTarget(scene, strip)
    found.claim()
    return found


def attach(target, form, run="run1"):
    frames, mattes = part("frames"), part("mattes")
    found = mattes.read(str(STAGE / run / "manifest.json"))
    for _ in part("attach").use(target, found, frames.Plan(numbers=found.frames), form):
        pass
    return found


def only(target, name):
    """Let one object's modifier work."""
    for modifier in target.owner.modifiers:
        modifier.mute = modifier.name != "Sa2VA: " + name


def strips(scene):
    return part("compat").strips(scene)


def test_matte_strip_hard(target, tmp_path):
    attach(target, "STRIP")
    for frame in (FIRST, FIRST + 9, FIRST + FACTS.frames - 1):
        seen = render(target.scene, frame, tmp_path)[..., 0]
        assert iou(seen, disc(frame - FIRST + 1)) >= 0.98, frame


def test_matte_strip_soft(target, tmp_path):
    attach(target, "STRIP")
    only(target, "ramp")
    seen = render(target.scene, FIRST + 3, tmp_path)[..., 0]
    assert np.abs(seen - ramp()).max() <= SOFT


def test_matte_strip_is_muted_and_not_doubled(target):
    attach(target, "STRIP")
    attach(target, "STRIP")
    made = [s for s in strips(target.scene) if s.sa2va.matte_of]
    assert sorted(s.name for s in made) == ["Matte: disc", "Matte: ramp"]
    assert all(s.mute and s.colorspace_settings.name == "Non-Color" for s in made)
    assert [m.name for m in target.owner.modifiers] == ["Sa2VA: disc", "Sa2VA: ramp"]
    assert {m.input_mask_strip for m in target.owner.modifiers} == set(made)


def test_matte_strip_follows_a_moved_scaled_and_cropped_clip(target, tmp_path):
    transform = target.owner.transform
    transform.scale_x = transform.scale_y = 0.5
    transform.offset_x, transform.offset_y = 20, -10
    attach(target, "STRIP")
    seen = render(target.scene, FIRST + 9, tmp_path)[..., 0]
    rows, columns = np.mgrid[0 : FACTS.height, 0 : FACTS.width]
    x, y = (40 + 40 - 96) / 2 + 96 + 20, 54 + 10
    wanted = np.hypot(columns + 0.5 - x, rows + 0.5 - y) < 10.1
    # A disc of 20 pixels, and versions sample scaled strips half a pixel apart.
    assert iou(seen, wanted) >= 0.9


def test_matte_strip_of_a_reversed_trimmed_clip(target, tmp_path):
    strip = target.owner
    strip.use_reverse_frames = True
    if hasattr(strip, "left_handle_offset"):
        strip.left_handle_offset = 5
    else:
        strip.frame_offset_start = 5
    attach(target, "STRIP")
    for frame in (FIRST + 5, FIRST + 12):
        number = FACTS.frames - (frame - FIRST)
        assert iou(render(target.scene, frame, tmp_path)[..., 0], disc(number)) >= 0.98, frame


@pytest.mark.parametrize("breaks", [False, True])
def test_blender_reads_ahead_again_afterwards(target, breaks):
    """It does not while strips change, as every change would wait for the frame that is being read."""
    editor = target.scene.sequence_editor
    if not hasattr(editor, "use_prefetch"):
        pytest.skip("this Blender does not read ahead")
    editor.use_prefetch = True
    found = part("mattes").read(str(STAGE / "run1" / "manifest.json"))
    steps = part("attach").use(target, found, part("frames").Plan(numbers=found.frames), "STRIP")
    next(steps)
    assert not editor.use_prefetch
    if breaks:
        strips(target.scene).remove(target.owner)
        with pytest.raises(part("sa2va_plugin.errors").JobSpecError, match="gone from the scene"):
            list(steps)
    else:
        list(steps)
    assert editor.use_prefetch


def compositor_alpha(target, frame, folder):
    for strip in list(strips(target.scene)):
        strip.mute = True
    return render(target.scene, frame, folder, sequencer=False)[..., 3]


def test_nodes(target, tmp_path):
    attach(target, "NODES")
    tree = part("compat").compositor_tree(target.scene)
    (node,) = [n for n in tree.nodes if n.bl_idname == "CompositorNodeGroup"]
    assert [s.name for s in node.outputs] == ["Image", "disc", "ramp"]
    alpha = next(n for n in node.node_tree.nodes if n.bl_idname == "CompositorNodeSetAlpha").inputs["Alpha"]
    image = alpha.links[0].from_node
    node.node_tree.links.new(image.outputs["disc"], alpha)
    for frame in (FIRST, FIRST + 9):
        assert iou(compositor_alpha(target, frame, tmp_path), disc(frame - FIRST + 1)) >= 0.98, frame
    node.node_tree.links.new(image.outputs["ramp"], alpha)
    assert np.abs(compositor_alpha(target, FIRST + 9, tmp_path) - ramp()).max() <= SOFT


def test_nodes_again_keep_the_users_links(target):
    attach(target, "NODES")
    tree = part("compat").compositor_tree(target.scene)
    viewer = tree.nodes.new("CompositorNodeViewer")
    (node,) = [n for n in tree.nodes if n.bl_idname == "CompositorNodeGroup"]
    tree.links.new(node.outputs["ramp"], viewer.inputs[0])
    groups, images = len(bpy.data.node_groups), len(bpy.data.images)
    attach(target, "NODES")
    assert viewer.inputs[0].links[0].from_socket.name == "ramp"
    assert (len(bpy.data.node_groups), len(bpy.data.images)) == (groups, images)


def test_mask_on_a_strip(target, tmp_path):
    attach(target, "MASK", "run_disc")
    attach(target, "MASK", "run_disc")
    (mask,) = bpy.data.masks
    assert [m.input_mask_id for m in target.owner.modifiers] == [mask]
    for frame in (FIRST, FIRST + 4, FIRST + 9, FIRST + FACTS.frames - 1):
        seen = render(target.scene, frame, tmp_path)[..., 0]
        assert iou(seen, disc(frame - FIRST + 1)) >= 0.98, frame
    assert target.scene.frame_current == FIRST + FACTS.frames - 1
    assert "CLIP_EDITOR" not in [area.type for area in bpy.context.window.screen.areas]


def test_mask_of_a_movie_clip(scene, tmp_path):
    clip = bpy.data.movieclips.load(str(white_files()[0]))
    clip.frame_start = FIRST
    target = part("targets").ClipTarget(scene, clip)
    target.claim()
    attach(target, "MASK", "run_disc")
    compat = part("compat")
    tree = compat.compositor_tree(scene)
    (node,) = [n for n in tree.nodes if n.bl_idname == "CompositorNodeMask"]
    tree.links.new(node.outputs[0], compat.compositor_output(tree, create=True))
    scene.view_settings.view_transform = "Raw"
    for frame in (FIRST, FIRST + 7):
        seen = render(scene, frame, tmp_path, sequencer=False)[..., 0]
        assert iou(seen, disc(frame - FIRST + 1)) >= 0.98, frame


@pytest.mark.parametrize("name", ["disc", "ramp"])
def test_cryptomatte(target, tmp_path, name):
    attach(target, "CRYPTO", f"run_{name}")
    attach(target, "CRYPTO", f"run_{name}")
    tree = part("compat").compositor_tree(target.scene)
    (node,) = [n for n in tree.nodes if n.bl_idname == "CompositorNodeCryptomatteV2"]
    assert node.matte_id == name
    tree.links.new(node.outputs["Matte"], part("compat").compositor_output(tree))
    target.scene.view_settings.view_transform = "Raw"
    for strip in list(strips(target.scene)):
        strip.mute = True
    seen = render(target.scene, FIRST + 4, tmp_path, sequencer=False)[..., 0]
    if name == "disc":
        assert iou(seen, disc(5)) >= 0.98
    else:
        assert np.abs(seen - ramp()).max() <= SOFT


def test_strip_compositor_modifier(target, tmp_path):
    if "MODIFIER" not in part("properties").forms_of("STRIP"):
        pytest.skip("strip compositor modifiers came with 5.0")
    attach(target, "MODIFIER")
    for frame in (FIRST, FIRST + 9):
        assert iou(render(target.scene, frame, tmp_path)[..., 0], disc(frame - FIRST + 1)) >= 0.98, frame
    part("attach_choice").show(target, "ramp")
    assert np.abs(render(target.scene, FIRST + 9, tmp_path)[..., 0] - ramp()).max() <= SOFT


def test_files_only(target):
    before = len(strips(target.scene))
    attach(target, "FILES")
    assert len(strips(target.scene)) == before
    assert not target.owner.modifiers


def test_movie_clip(scene, tmp_path):
    clip = bpy.data.movieclips.load(str(white_files()[0]))
    clip.frame_start = FIRST
    target = part("targets").ClipTarget(scene, clip)
    target.claim()
    attach(target, "NODES")
    tree = part("compat").compositor_tree(scene)
    (node,) = [n for n in tree.nodes if n.bl_idname == "CompositorNodeGroup"]
    alpha = next(n for n in node.node_tree.nodes if n.bl_idname == "CompositorNodeSetAlpha").inputs["Alpha"]
    node.node_tree.links.new(alpha.links[0].from_node.outputs["disc"], alpha)
    seen = render(scene, FIRST + 4, tmp_path, sequencer=False)[..., 3]
    assert iou(seen, disc(5)) >= 0.98
