"""Strips whose frames only Blender can make: every kind that this Blender has, rendered by the second Blender and
compared with what this one renders, picture by picture; or refused with a message."""

from __future__ import annotations

import time

import bpy
import numpy as np
import pytest
from conftest import FACTS, STAGE, disc, iou, new_image, number_in, part, picture_of, render
from test_mapping import new_movie, target_of, trim

KINDS = [kind.identifier for kind in part("compat").StripType.bl_rna.properties["type"].enum_items]
#: Read from their own files: test_mapping has them.
FROM_FILES = {"MOVIE", "IMAGE"}
SILENT = {"SOUND"}
#: They show the same all the time.
STILL = {"COLOR", "TEXT"}
#: Of how many strips an effect is made.
INPUTS = {"TRANSFORM": 1, "SPEED": 1, "GLOW": 1, "GAUSSIAN_BLUR": 1}
NO_INPUTS = {"COLOR", "TEXT", "ADJUSTMENT", "MULTICAM"}


def pictures(scene, strip, tmp_path):
    """What the second Blender makes of every frame of the strip's range."""
    target = target_of(scene, strip)
    assert target.rendered
    job = part("render").Render(target, tmp_path / "job")
    deadline = time.monotonic() + 120
    while not job.step():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "job" / "copy.blend").exists()
    facts = target.facts
    return {
        frame: picture_of(job.pattern.path(job.plan.number(frame, facts, None)))[..., :3] for frame in target.timeline()
    }


def rendered(scene, strip, tmp_path):
    """The numbers in what the second Blender makes; checked against what this one renders."""
    seen = []
    for frame, picture in pictures(scene, strip, tmp_path).items():
        seen.append(number_in(picture))
        assert seen[-1] == number_in(render(scene, frame, tmp_path)), frame
    return seen


def new_effect(scene, kind, *inputs, channel=5):
    strips = part("compat").new_strips(scene)
    known = {p.identifier for p in strips.bl_rna.functions["new_effect"].parameters}
    words = {"length": 12} if "length" in known else {"frame_end": 17}
    first, second = ("input1", "input2") if "input1" in known else ("seq1", "seq2")
    words.update(zip((first, second), inputs, strict=False))
    return strips.new_effect(kind.lower(), kind, channel, 5, **words)


def two_strips(scene, kind=""):
    """A movie, and above it the same three frames later, or grey where black and white would hide what happens."""
    movie = new_movie(scene, 5, 1)
    if kind not in ("ADD", "SUBTRACT", "MULTIPLY"):
        return movie, new_movie(scene, 2, 2)
    grey = new_effect(scene, "COLOR", channel=2)
    grey.color = (0.4, 0.4, 0.4)
    return movie, grey


def make(scene, kind):
    strips = part("compat").new_strips(scene)
    if kind == "META":
        strip = new_movie(scene)
        return make_meta(scene, strip)
    if kind == "SCENE":
        return new_scene_strip(scene)
    if kind == "MOVIECLIP":
        return strips.new_clip("clip", bpy.data.movieclips.load(str(STAGE / "numbered.mp4")), 1, 5)
    if kind == "MASK":
        return strips.new_mask("mask", moving_mask(), 1, 5)
    if kind in NO_INPUTS:
        if kind in ("ADJUSTMENT", "MULTICAM"):
            two_strips(scene)
        strip = new_effect(scene, kind)
        if kind == "MULTICAM":
            strip.multicam_source = 1
        elif kind == "COLOR":
            strip.color = (0.2, 0.6, 0.9)
        return strip
    if kind == "COMPOSITOR":
        strip = new_effect(scene, kind, new_movie(scene))
        strip.node_group = passing_on()
        return strip
    strip = new_effect(scene, kind, *two_strips(scene, kind)[: INPUTS.get(kind, 2)])
    if kind == "SPEED" and hasattr(strip, "speed_factor"):
        strip.speed_control, strip.speed_factor = "MULTIPLY", 1.7
    return strip


def passing_on():
    """A node group that shows its first picture."""
    group = bpy.data.node_groups.new("passes on", "CompositorNodeTree")
    group.interface.new_socket(name="Image", in_out="INPUT", socket_type="NodeSocketColor")
    group.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    entry, leave = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    group.links.new(entry.outputs[0], leave.inputs[0])
    return group


def moving_mask():
    """A mask whose layer fades in: another grey on every frame."""
    mask = bpy.data.masks.new("moving")
    mask.frame_start, mask.frame_end = 1, 40
    layer = mask.layers.new()
    spline = layer.splines.new()
    spline.use_cyclic = True
    spline.points.add(3)
    for point, place in zip(spline.points, ((0.2, 0.3), (0.8, 0.3), (0.8, 0.7), (0.2, 0.7)), strict=True):
        point.handle_type = "FREE"
        point.co = point.handle_left = point.handle_right = place
    for value, frame in ((0.0, 1), (1.0, 40)):
        layer.alpha = value
        layer.keyframe_insert("alpha", frame=frame)
    return mask


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FROM_FILES | SILENT])
def test_every_kind_of_strip_is_rendered_as_it_shows(scene, tmp_path, kind):
    strip = make(scene, kind)
    assert strip.type == kind
    strip.sa2va.range = "SCENE"
    scene.frame_start, scene.frame_end = 7, 10
    found = pictures(scene, strip, tmp_path)
    assert list(found) == [7, 8, 9, 10]
    # Before 5.2, what lies outside of a mask's layers is not drawn: it holds what was in memory.
    inside = np.s_[40:70, 60:130] if kind == "MASK" else np.s_[:, :]
    for frame, picture in found.items():
        shown = render(scene, frame, tmp_path)
        shown = shown[..., :3] * shown[..., 3:]
        assert np.abs(picture - shown)[inside].max() <= 2 / 255, frame
        assert kind == "MASK" or picture.max() > 0.1, "nothing shows"
    if kind not in STILL:  # else one frame off would not be noticed
        assert all(np.abs(found[a] - found[a + 1])[inside].max() > 2 / 255 for a in (7, 8, 9))


@pytest.mark.parametrize("kind", ["COLOR", "CROSS", "GAUSSIAN_BLUR", "META", "MOVIECLIP", "SCENE", "SPEED"])
def test_a_rendered_strip_is_cut_out_by_its_mattes(scene, tmp_path, kind):
    strip = make(scene, kind)
    target = target_of(scene, strip)
    first = target.facts.left
    found = part("mattes").read(str(STAGE / "run_disc" / "manifest.json"))
    plan = part("frames").Plan(rendered=True, origin=first - target.facts.start, numbers=found.frames)
    for _ in part("attach").use(target, found, plan, "STRIP"):
        pass
    for other in part("compat").strips(scene):
        other.mute = other != strip
    for frame in (first, first + 5):
        seen = render(scene, frame, tmp_path)[..., 3]
        assert iou(seen, disc(frame - first + 1)) >= 0.98, frame


def test_as_the_sequencer_shows_it(scene, tmp_path):
    strip = new_movie(scene)
    strip.sa2va.as_shown = True
    strip.modifiers.new("Brighter", "BRIGHT_CONTRAST")
    trim(strip, 18, 0)
    assert rendered(scene, strip, tmp_path) == list(range(19, FACTS.frames + 1))


def make_meta(scene, strip):
    """By the user's operator: from Python alone, 4.x does not take over the length of the content."""
    area = bpy.context.window.screen.areas[0]
    area.type = "SEQUENCE_EDITOR"
    region = next(region for region in area.regions if region.type == "WINDOW")
    strip.select = True
    with bpy.context.temp_override(window=bpy.context.window, area=area, region=region, scene=scene):
        assert "FINISHED" in bpy.ops.sequencer.meta_make()
    return next(s for s in part("compat").strips(scene) if s.type == "META")


def test_a_meta_strip_and_what_is_above_is_left_out(scene, tmp_path):
    compat = part("compat")
    strip = new_movie(scene)
    trim(strip, 0, 18)
    meta = make_meta(scene, strip)
    cover = new_image(scene, [STAGE / "white" / "white.0001.png"], 9, 1, "cover")
    compat.set_length(cover, 30)
    cover.mute = True  # for the comparison; the second Blender would mute it
    assert rendered(scene, meta, tmp_path) == [1, 2, 3, 4, 5, 6]


def new_scene_strip(scene):
    other = bpy.data.scenes.new("other")
    other.render.resolution_x, other.render.resolution_y = FACTS.width, FACTS.height
    other.view_settings.view_transform = "Standard"
    other.frame_start, other.frame_end = 1, FACTS.frames
    other.sequence_editor_create()
    new_movie(other, 1)
    strip = part("compat").new_strips(scene).new_scene("scene", other, 1, 3)
    strip.scene_input = "SEQUENCER"
    return strip


def test_a_scene_strip(scene, tmp_path):
    assert rendered(scene, new_scene_strip(scene), tmp_path) == list(range(1, FACTS.frames + 1))


def test_the_mattes_of_an_earlier_run_do_not_cut_the_picture(scene, tmp_path):
    strip = new_movie(scene)
    strip.sa2va.as_shown = True
    trim(strip, 0, 18)
    modifier = strip.modifiers.new("Sa2VA: man", "MASK")
    modifier.input_mask_type, modifier.input_mask_id = "ID", bpy.data.masks.new("empty")
    found = pictures(scene, strip, tmp_path)
    assert [number_in(picture) for picture in found.values()] == [1, 2, 3, 4, 5, 6]
    assert not modifier.mute


def test_a_strip_in_a_muted_channel(scene, tmp_path):
    strip = new_movie(scene)
    strip.sa2va.as_shown = strip.mute = True
    scene.sequence_editor.channels[strip.channel].mute = True
    trim(strip, 0, 18)
    assert [number_in(p) for p in pictures(scene, strip, tmp_path).values()] == [1, 2, 3, 4, 5, 6]


def test_a_movie_of_another_rate(scene, tmp_path):
    scene.render.fps = 30
    strip = new_movie(scene)
    trim(strip, 0, 18)
    assert len(rendered(scene, strip, tmp_path)) == 6


def test_a_retimed_movie(scene, tmp_path):
    if part("compat").VERSION < (5, 1, 0):
        pytest.skip("retiming keys cannot be made from Python before 5.1 (it crashes)")
    strip = new_movie(scene)
    strip.retiming_keys.add(timeline_frame=11)
    assert part("targets").StripTarget(scene, strip).rendered
    trim(strip, 0, 18)
    rendered(scene, strip, tmp_path)


def test_the_render_can_be_stopped(scene, tmp_path):
    strip = new_movie(scene)
    strip.sa2va.as_shown = True
    job = part("render").Render(target_of(scene, strip), tmp_path / "job")
    process = job._process
    job.stop()
    assert process.poll() is not None
    assert not (tmp_path / "job" / "copy.blend").exists()
