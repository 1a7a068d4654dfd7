"""Frame numbers: what Blender renders of footage that shows its number, and what a job would read for that frame."""

from __future__ import annotations

from pathlib import Path

import bpy
import pytest
from conftest import FACTS, STAGE, new_image, number_in, part, render, still_files


def errors():
    """The extension's own: it carries the plugin along."""
    return part("sa2va_plugin.errors")


MOVIE = STAGE / "numbered.mp4"


def new_movie(scene, frame=5, channel=1):
    return part("compat").new_strips(scene).new_movie("clip", str(MOVIE), channel, frame)


def trim(strip, left=0, right=0):
    """A soft trim, as dragging the handles does."""
    if hasattr(strip, "left_handle_offset"):
        strip.left_handle_offset, strip.right_handle_offset = left, right
    else:
        strip.frame_offset_start, strip.frame_offset_end = left, right


def hard_trim(strip, frames):
    """As a split does that throws content away."""
    if hasattr(strip, "content_trim_start"):
        strip.content_trim_start = frames
    else:
        strip.animation_offset_start = frames


def target_of(scene, strip):
    found = part("targets").StripTarget(scene, strip)
    found.claim()
    return found


def check(scene, strip, tmp_path, to_number=lambda number: number):
    """Every frame of the strip: rendered and planned numbers agree, and the job asks for all of them, once."""
    target = target_of(scene, strip)
    shot, plan = target.shot()
    facts, source = target.facts, target.source()
    planned = [plan.number(frame, facts, source) for frame in target.timeline()]
    seen = [to_number(number_in(render(scene, frame, tmp_path))) for frame in target.timeline()]
    assert planned == seen
    assert list(shot.frames) == sorted(set(seen))
    return seen


def test_a_movie(scene, tmp_path):
    assert check(scene, new_movie(scene), tmp_path) == list(range(1, FACTS.frames + 1))


def test_a_trimmed_movie(scene, tmp_path):
    strip = new_movie(scene)
    trim(strip, 4, 6)
    assert check(scene, strip, tmp_path)[0] == 5


def test_a_movie_split_hard(scene, tmp_path):
    strip = new_movie(scene)
    hard_trim(strip, 3)
    trim(strip, 2, 0)
    assert check(scene, strip, tmp_path)[0] == 6


def test_a_movie_held_at_both_ends(scene, tmp_path):
    strip = new_movie(scene)
    trim(strip, -3, -4)
    seen = check(scene, strip, tmp_path)
    assert seen[:4] == [1] * 4
    assert seen[-5:] == [FACTS.frames] * 5


@pytest.mark.parametrize("left", [0, 5])
def test_a_reversed_movie(scene, tmp_path, left):
    strip = new_movie(scene)
    strip.use_reverse_frames = True
    trim(strip, left, 2)
    assert check(scene, strip, tmp_path)[0] == FACTS.frames - left


@pytest.mark.parametrize("backwards", [False, True])
def test_a_stepping_movie(scene, tmp_path, backwards):
    strip = new_movie(scene)
    strip.strobe, strip.use_reverse_frames = 3, backwards
    assert len(set(check(scene, strip, tmp_path))) == FACTS.frames // 3


def test_a_sequence_with_its_own_numbers_and_a_gap(scene, tmp_path):
    strip = new_image(scene, still_files(), 1, -3)
    target = target_of(scene, strip)
    shot, plan = target.shot()
    assert list(shot.frames) == [n for n in range(1001, 1001 + FACTS.frames) if n not in (1007, 1008)]
    for frame in target.timeline():
        number = plan.number(frame, target.facts, target.source())
        if number not in (1007, 1008):
            assert number_in(render(scene, frame, tmp_path)) == number - 1000


def test_stills_in_any_order(scene, tmp_path):
    files = [STAGE / "stills" / f"shot.{1000 + n}.png" for n in (9, 3, 3, 12, 1)]
    seen = check(scene, new_image(scene, files, 1, 1), tmp_path, lambda number: number + 1000)
    assert seen == [1009, 1003, 1003, 1012, 1001]


def test_one_still_held(scene, tmp_path):
    strip = new_image(scene, [STAGE / "stills" / "shot.1005.png"], 1, 1)
    part("compat").set_length(strip, 9)
    assert set(check(scene, strip, tmp_path, lambda number: number + 1000)) == {1005}


def test_relative_paths(scene, tmp_path):
    bpy.ops.wm.save_as_mainfile(filepath=str(STAGE / "relative.blend"))
    scene = bpy.context.scene
    strip = new_movie(scene)
    strip.filepath = "//numbered.mp4"
    shot, _ = target_of(scene, strip).shot()
    assert Path(shot.path) == MOVIE


def test_a_movie_clip(scene, tmp_path):
    clip = bpy.data.movieclips.load(str(MOVIE))
    clip.frame_start, clip.frame_offset = 7, 4
    target = part("targets").ClipTarget(scene, clip)
    target.claim()
    compat = part("compat")
    tree = compat.compositor_tree(scene, create=True)
    node = tree.nodes.new("CompositorNodeMovieClip")
    node.clip = clip
    tree.links.new(node.outputs["Image"], compat.compositor_output(tree, create=True))
    shot, plan = target.shot()
    frames = target.timeline()
    planned = [plan.number(frame, target.facts, target.source()) for frame in frames]
    assert planned == [number_in(render(scene, frame, tmp_path, sequencer=False)) for frame in frames]
    assert planned[0] == 5
    assert list(shot.frames) == planned


@pytest.mark.parametrize("what", ["scene", "preview"])
def test_ranges(scene, what):
    strip = new_movie(scene)
    target = target_of(scene, strip)
    if what == "scene":
        scene.frame_start, scene.frame_end = 10, 14
    else:
        scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 10, 14
    target.settings.range = what.upper()
    assert list(target.shot()[0].frames) == [6, 7, 8, 9, 10]


def test_an_empty_range_is_explained(scene):
    target = target_of(scene, new_movie(scene))
    target.settings.range = "SCENE"
    scene.frame_start, scene.frame_end = 500, 600
    with pytest.raises(errors().JobSpecError, match="holds no frame"):
        target.shot()


def test_a_missing_movie_is_explained(scene, tmp_path):
    strip = new_movie(scene)
    strip.filepath = str(tmp_path / "gone.mp4")
    with pytest.raises(errors().MediaError, match="missing"):
        target_of(scene, strip).shot()
