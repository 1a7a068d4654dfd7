"""What users do and what goes wrong: each ends in a message in the panel, never in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest
from conftest import (
    MODULE,
    STAGE,
    end_worker,
    finish,
    name_everywhere,
    new_image,
    new_sound,
    part,
    run_job,
    white_files,
)

SAYS = "the light"


@pytest.fixture
def clip(scene):
    return new_image(scene, white_files()[:6], 1, 1)


def target_of(scene, strip, *phrases, form="STRIP"):
    found = part("targets").StripTarget(scene, strip)
    settings = found.claim()
    for phrase in phrases:
        part("properties").add_object(settings, phrase)
    settings.engine, settings.form = "brightness", form
    return found


def refused(host, target):
    """The message and hint that the panel shows after Generate."""
    try:
        host.start(target)
    except part("sa2va_plugin.errors").Sa2vaError as error:
        return f"{error.message} {error.hint}"
    finish(host)
    level, message, hint = host.notice
    assert level == "ERROR", host.notice
    assert message
    return f"{message} {hint}"


def mattes_in(scene):
    return [s.name for s in part("compat").strips(scene) if s.sa2va.matte_of]


def test_a_job_from_phrase_to_matte(scene, clip, host):
    assert run_job(host, target_of(scene, clip, SAYS))[1] == "Done."
    assert mattes_in(scene) == ["Matte: light"]
    assert clip.sa2va.objects[0].verdict == "found"
    assert [part("order").manifest_of(run).is_file() for run in clip.sa2va.runs] == [True]


def test_a_movie_clip_and_an_image_node_with_nothing_chosen_get_nodes(scene, host):
    path = str(white_files()[0])
    clip = bpy.data.movieclips.load(path)
    compat, targets = part("compat"), part("targets")
    node = compat.compositor_tree(scene, create=True).nodes.new("CompositorNodeImage")
    node.image = bpy.data.images.load(path)
    node.image.source = "SEQUENCE"
    node.frame_duration = 6
    for target in (targets.ClipTarget(scene, clip), targets.ImageTarget(scene, node)):
        settings = target.claim()
        assert settings.form == "NODES"
        part("properties").add_object(settings, SAYS)
        settings.engine = "brightness"
        assert run_job(host, target)[1] == "Done."
        groups = [n for n in compat.compositor_tree(scene).nodes if n.bl_idname == "CompositorNodeGroup"]
        assert [s.name for s in groups[-1].outputs] == ["Image", "light"]
    assert len(groups) == 2


def test_again_is_not_done_again_and_use_this_brings_it_back(scene, clip, host):
    target = target_of(scene, clip, SAYS)
    run_job(host, target)
    run_job(host, target)
    assert len(clip.sa2va.runs) == 1
    strips = part("compat").strips(scene)
    strips.remove(next(s for s in strips if s.sa2va.matte_of))
    host.use_run(target, clip.sa2va.runs[0])
    assert host.busy
    assert not mattes_in(scene)  # in steps, as with hundreds of frames it takes a while
    assert finish(host)[1] == "Done."
    assert mattes_in(scene) == ["Matte: light"]


def test_a_run_whose_files_are_gone_says_so(scene, clip, host):
    target = target_of(scene, clip, SAYS)
    run_job(host, target)
    run = clip.sa2va.runs[0]
    Path(bpy.path.abspath(run.folder), "manifest.json").unlink()
    host.use_run(target, run)
    level, message, _ = finish(host)
    assert (level, "gone" in message) == ("ERROR", True)


def test_one_object_of_several_is_shown(scene, clip, host):
    for form in ("STRIP", "MASK", "MODIFIER"):
        if form not in part("properties").forms_of("STRIP"):
            continue
        settings = clip.sa2va
        settings.objects.clear()
        run_job(host, target_of(scene, clip, SAYS, "the dark", form=form))
        choice, target = part("attach_choice"), part("targets").StripTarget(scene, clip)
        assert choice.shown(target) == {"light": True, "dark": False}, form
        scene.sequence_editor.active_strip, settings.active = clip, 1
        assert bpy.ops.sa2va.show_object() == {"FINISHED"}
        assert choice.shown(target) == {"light": False, "dark": True}, form
        assert bpy.ops.sa2va.show_object(name="light") == {"FINISHED"}
        assert choice.shown(target) == {"light": True, "dark": False}, form
        with pytest.raises(part("sa2va_plugin.errors").MediaError, match="has a matte of nobody"):
            choice.show(target, "nobody")
        # What an earlier form left does not cut as well.
        assert [works(modifier) for modifier in clip.modifiers].count(True) == 1, form
    settings.form = "STRIP"
    host.use_run(target, settings.runs[0])
    assert finish(host)[1] == "Done."
    (cuts,) = [modifier for modifier in clip.modifiers if works(modifier)]
    assert cuts.input_mask_strip.sa2va.layer == "light"


def works(modifier):
    """In renders and in the preview alike: from 5.2 on these are two switches."""
    assert getattr(modifier, "show_preview", not modifier.mute) == (not modifier.mute)
    return not modifier.mute


def test_the_phrase_field_makes_names_and_objects(scene, clip):
    settings = clip.sa2va
    settings.phrase = "the man on the left"
    assert [(o.name, o.phrase) for o in settings.objects] == [("man_on_the_left", "the man on the left")]
    settings.phrase = "a ball"
    assert [(o.name, o.phrase) for o in settings.objects] == [("ball", "a ball")]
    settings.objects[0].name = "hero"
    settings.phrase = "the ball"
    assert settings.objects[0].name == "hero"
    part("properties").add_object(settings, "hero")
    assert settings.objects[1].name == "hero_2"


def test_a_copied_strip_gets_a_life_of_its_own(scene, clip):
    target = target_of(scene, clip, SAYS)
    other = new_image(scene, white_files()[:6], 3, 1, "copy")
    other.sa2va.uid = clip.sa2va.uid  # what Duplicate brings along
    part("targets").StripTarget(scene, other).claim()
    assert other.sa2va.uid != clip.sa2va.uid
    assert target.settings.uid


# Wrong input


def test_nothing_typed(scene, clip, host):
    assert "nothing to matte" in refused(host, target_of(scene, clip))


@pytest.mark.parametrize("phrase", ["", "   ", "x" * 10_000, "say \"this\" and 'that' {x} $HOME \\", "🎒", "那个男人"])
def test_odd_phrases(scene, clip, host, phrase):
    target = target_of(scene, clip, SAYS)
    clip.sa2va.objects[0].phrase = phrase
    assert len(refused(host, target)) > 10
    assert not mattes_in(scene)


def test_two_objects_of_one_name(scene, clip, host):
    target = target_of(scene, clip, SAYS, "the dark")
    clip.sa2va.objects[1].name = clip.sa2va.objects[0].name
    assert "share the layer" in refused(host, target)


def test_a_missing_file(scene, host, tmp_path):
    strip = new_image(scene, [tmp_path / "gone" / "shot.0001.png"], 1, 1)
    assert "missing" in refused(host, target_of(scene, strip, SAYS))


def test_an_empty_range(scene, clip, host):
    target = target_of(scene, clip, SAYS)
    clip.sa2va.range = "PREVIEW"
    assert "no preview range" in refused(host, target)


def test_a_range_without_the_clip(scene, clip, host):
    target = target_of(scene, clip, SAYS)
    clip.sa2va.range = "SCENE"
    scene.frame_start, scene.frame_end = 500, 600
    assert "holds no frame of the strip" in refused(host, target)


def test_the_operator_shows_what_is_wrong_in_the_panel(scene, clip, host):
    """What a press of Generate refuses is a message there; Blender without a window makes an error of it as well."""
    scene.sequence_editor.active_strip = clip
    with pytest.raises(RuntimeError, match="nothing to matte"):
        bpy.ops.sa2va.generate()
    assert host.notice[:2] == ("ERROR", "There is nothing to matte yet.")
    assert host.notice[2]


def test_a_sound_strip(scene, host):
    scene, strip = new_sound(scene)
    assert strip.type == "SOUND"
    assert "no picture" in refused(host, target_of(scene, strip, SAYS))
    strip.select, scene.sequence_editor.active_strip = True, strip
    assert not bpy.ops.sa2va.generate.poll()
    assert "no picture" in part("operators")._why_not(bpy.context)


def test_a_strip_in_a_meta_strip(scene, clip, host):
    meta = part("compat").new_strips(scene).new_meta("meta", 3, 1)
    clip.move_to_meta(meta)
    assert "lies in a meta strip" in refused(host, target_of(scene, clip, SAYS))


def test_buttons_are_grey_while_a_job_runs(scene, clip, host, tmp_path):
    scene.sequence_editor.active_strip = clip
    assert not bpy.ops.sa2va.cancel.poll()
    start_and_hold(host, target_of(scene, clip, SAYS), tmp_path)
    for operator in ("generate", "use_run", "start_worker", "stop_worker"):
        assert not getattr(bpy.ops.sa2va, operator).poll(), operator
    with pytest.raises(RuntimeError, match="A job is running"):
        bpy.ops.sa2va.generate()
    release(tmp_path)
    finish(host)


def test_no_strip_says_why_the_button_is_grey(scene):
    assert part("selection").from_context(bpy.context) is None
    assert not bpy.ops.sa2va.generate.poll()
    assert part("operators")._why_not(bpy.context) == "Select a clip first"


def test_a_folder_that_cannot_be_written(scene, clip, host, tmp_path):
    blocked = tmp_path / "shot"
    blocked.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(blocked / "shot.blend"))
    # A file where the folder would be: root may write everywhere else.
    (blocked / "sa2va").write_text("")
    scene = bpy.context.scene
    strip = part("compat").strips(scene)[0]
    assert "cannot be written" in refused(host, target_of(scene, strip, SAYS))


def test_an_unsaved_file_uses_the_scratch_folder(scene, clip, host):
    assert not bpy.data.filepath
    run_job(host, target_of(scene, clip, SAYS))
    folder = Path(part("order").folder_of(clip.sa2va.runs[0]))
    assert part("machine").scratch_folder() in folder.parents


# The worker


def test_no_worker_is_set_up(scene, clip, host, monkeypatch, tmp_path):
    host.worker.command = None
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SA2VA_PYTHON", raising=False)
    assert "not set up" in refused(host, target_of(scene, clip, SAYS))
    assert any("not set up" in line for _, line in part("doctor").examine())


def until_no_worker_runs():
    deadline = time.monotonic() + 60
    while ("RADIOBUT_OFF", "No worker is running; Generate starts one.") not in part("doctor").examine():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_is_started_and_stopped_from_the_preferences(scene, clip, host, monkeypatch, tmp_path):
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path / "no models"))
    examine = part("doctor").examine
    assert ("RADIOBUT_OFF", "No worker is running; Generate starts one.") in examine()
    assert bpy.ops.sa2va.start_worker() == {"FINISHED"}
    assert finish(host)[1] == "The worker is ready."
    lines = [line for _, line in examine()]
    assert any("is running, process" in line for line in lines), lines
    assert "For tests: ready" in lines, lines
    # The next step is in the line, where an engine cannot run yet.
    assert any(line.startswith("Starter: Models are missing: ") and "models fetch" in line for line in lines), lines
    assert any(line.startswith(("Sa2VA: Models are missing: put", "Sa2VA: Not installed")) for line in lines), lines
    assert bpy.ops.sa2va.show_log() == {"FINISHED"}
    assert bpy.data.texts["Sa2VA worker log"].as_string().strip()
    assert bpy.ops.sa2va.stop_worker() == {"FINISHED"}
    assert host.busy  # not waited for, as a worker may be slow to end
    assert not bpy.ops.sa2va.start_worker.poll()
    assert finish(host)[1] == "The worker has ended."
    until_no_worker_runs()
    assert bpy.ops.sa2va.stop_worker() == {"FINISHED"}
    assert finish(host)[1] == "No worker is running."
    assert run_job(host, target_of(scene, clip, SAYS))[1] == "Done."


def test_a_worker_that_was_killed_is_not_called_running(scene, clip, host):
    run_job(host, target_of(scene, clip, SAYS))
    end_worker(host.worker.folder)
    until_no_worker_runs()


def test_a_worker_that_breaks(scene, clip, host):
    host.worker.command = [sys.executable, "-c", "raise SystemExit('it is broken')"]
    assert "it is broken" in refused(host, target_of(scene, clip, SAYS))


def test_a_worker_of_another_version(scene, clip, host, monkeypatch):
    monkeypatch.setattr(part("worker"), "__version__", "99.0")
    assert "this extension 99.0" in refused(host, target_of(scene, clip, SAYS))


def test_an_engine_that_cannot_run_and_models_that_are_missing(scene, clip, host):
    messages = part("sa2va_plugin.messages")
    engines = (
        messages.EngineDescription("starter", "Starter", None),
        messages.EngineDescription("brightness", "Test", "Not installed: torch."),
    )
    models = (messages.ModelDescription("detector", "finds", "missing", "MIT", 1),)
    host.worker.engines = messages.EngineList(engines, models)
    target = target_of(scene, clip, SAYS)
    assert "Not installed: torch" in refused(host, target)
    clip.sa2va.engine = "starter"
    assert not bpy.app.online_access
    assert "offline" in refused(host, target)


def test_a_killed_worker_can_be_gone_on_from(scene, clip, host, tmp_path):
    start_and_hold(host, target_of(scene, clip, SAYS), tmp_path)
    end_worker(host.worker.folder)
    finish(host)
    assert host.offers_go_on
    assert part("doctor").log_tail(4)
    host.go_on()
    assert finish(host)[1] == "Done."


# The document changes while a job runs


def start_and_hold(host, target, tmp_path):
    """The job is under way, and its engine waits before the third of its frames for :func:`release`."""
    hold = tmp_path / "control" / "at-2"
    hold.write_text("hold")
    host.start(target)
    deadline = time.monotonic() + 60
    while host.fraction is None or hold.exists():
        assert host.busy, host.notice
        assert time.monotonic() < deadline
        host.tick()
        time.sleep(0.02)


def release(tmp_path):
    (tmp_path / "control" / "release").touch()


def test_cancel(scene, clip, host, tmp_path, monkeypatch):
    monkeypatch.setenv("CANCEL_GRACE", "0.5")  # its engine is never released
    start_and_hold(host, target_of(scene, clip, SAYS), tmp_path)
    bpy.ops.sa2va.cancel()
    assert finish(host)[:2] == ("INFO", "Cancelled.")
    assert not mattes_in(scene)
    assert not part("order").manifest_of(clip.sa2va.runs[0]).exists()


def test_a_moved_and_renamed_strip_still_gets_its_matte(scene, clip, host, tmp_path):
    start_and_hold(host, target_of(scene, clip, SAYS), tmp_path)
    clip.name = "renamed"
    if hasattr(clip, "content_start"):
        clip.content_start = 50
    else:
        clip.frame_start = 50
    release(tmp_path)
    finish(host)
    (matte,) = [s for s in part("compat").strips(scene) if s.sa2va.matte_of]
    facts = part("compat").strip_facts(matte)
    assert (facts.left, facts.right) == (50, 56)


def test_a_deleted_strip(scene, clip, host, tmp_path):
    start_and_hold(host, target_of(scene, clip, SAYS), tmp_path)
    part("compat").strips(scene).remove(clip)
    release(tmp_path)
    assert "gone from the scene" in finish(host)[1]


def test_a_deleted_strip_comes_back_and_uses_what_was_made(scene, clip, host, tmp_path):
    start_and_hold(host, target_of(scene, clip, SAYS), tmp_path)
    bpy.ops.ed.undo_push(message="started")
    name, scene_name = clip.name, scene.name
    part("compat").strips(scene).remove(clip)
    bpy.ops.ed.undo_push(message="deleted")
    release(tmp_path)
    assert "Use This" in " ".join(finish(host))
    bpy.ops.ed.undo()
    scene = bpy.data.scenes[scene_name]
    clip = part("compat").strips(scene)[name]
    (run,) = clip.sa2va.runs
    assert part("order").manifest_of(run).is_file()
    host.use_run(part("targets").StripTarget(scene, clip), run)
    assert finish(host)[1] == "Done."
    assert mattes_in(scene) == ["Matte: light"]


def test_a_new_scene_is_looked_at_meanwhile(scene, clip, host, tmp_path):
    start_and_hold(host, target_of(scene, clip, SAYS), tmp_path)
    bpy.context.window.scene = bpy.data.scenes.new("other")
    release(tmp_path)
    finish(host)
    assert mattes_in(bpy.data.scenes[scene.name]) == ["Matte: light"]


def test_undo_after_the_matte(scene, clip, host):
    bpy.ops.ed.undo_push(message="before")
    host.start(target_of(scene, clip, SAYS))
    bpy.ops.ed.undo_push(message="Generate Mattes")  # the operator's own, where a user presses it
    finish(host)
    name = scene.name
    assert mattes_in(bpy.data.scenes[name])
    bpy.ops.ed.undo()
    assert not mattes_in(bpy.data.scenes[name])
    (run,) = part("compat").strips(bpy.data.scenes[name])["clip"].sa2va.runs
    assert part("order").manifest_of(run).is_file()
    bpy.ops.ed.redo()
    assert mattes_in(bpy.data.scenes[name]) == ["Matte: light"]


def test_undo_while_a_job_runs(scene, clip, host, tmp_path):
    """It takes back what the press of Generate wrote into the file, and the mattes come all the same."""
    part("properties").add_object(clip.sa2va, SAYS)
    bpy.ops.ed.undo_push(message="before")
    start_and_hold(host, target_of(scene, clip), tmp_path)
    bpy.ops.ed.undo_push(message="Generate Mattes")
    name = scene.name
    bpy.ops.ed.undo()
    clip = part("compat").strips(bpy.data.scenes[name])["clip"]
    assert not clip.sa2va.uid
    release(tmp_path)
    assert finish(host)[1] == "Done."
    assert mattes_in(bpy.data.scenes[name]) == ["Matte: light"]


def test_another_file_is_opened_and_the_first_comes_back(scene, clip, host, tmp_path):
    blend = tmp_path / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    scene = bpy.context.scene
    strip = part("compat").strips(scene)[0]
    start_and_hold(host, target_of(scene, strip, SAYS), tmp_path)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True, load_ui=False)
    assert not host.busy
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert host.busy
    name_everywhere(bpy.context.scene)
    release(tmp_path)
    assert finish(host)[1] == "Done."
    assert mattes_in(bpy.context.scene) == ["Matte: light"]


def test_a_file_saved_after_its_job_waits_for_nothing(scene, clip, host, tmp_path):
    blend = tmp_path / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    scene = bpy.context.scene
    assert run_job(host, target_of(scene, part("compat").strips(scene)[0], SAYS))[1] == "Done."
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert not host.busy
    assert mattes_in(bpy.context.scene) == ["Matte: light"]


@pytest.mark.parametrize("form", ["STRIP", "MASK"])
def test_rendered_first_then_matted(scene, host, form):
    strip = new_image(scene, white_files()[:6], 1, 1)
    strip.sa2va.as_shown = True
    assert run_job(host, target_of(scene, strip, SAYS, form=form))[1] == "Done."
    assert len(strip.modifiers) == 1
    assert mattes_in(scene) == (["Matte: light"] if form == "STRIP" else [])


def test_a_rendered_strip_cannot_have_nodes(scene, clip, host):
    clip.sa2va.as_shown = True
    assert "must be rendered first" in refused(host, target_of(scene, clip, SAYS, form="NODES"))


# From the command line, and leaving


def test_batch(scene, clip, host, capfd):
    batch = part("batch")
    arguments = ["--strip", "clip", "--engine", "brightness", SAYS]
    assert batch.run(arguments) == 0
    assert mattes_in(scene) == ["Matte: light"]
    assert batch.run(["--strip", "nobody", SAYS]) == 1
    assert "There is no strip 'nobody'" in capfd.readouterr().err


def test_objects_are_added_moved_and_removed(scene, clip):
    scene.sequence_editor.active_strip = clip
    operators, objects = bpy.ops.sa2va, clip.sa2va.objects
    clip.sa2va.phrase = "the man"
    assert operators.object_add() == {"FINISHED"}
    clip.sa2va.phrase = "the ball"
    assert [item.name for item in objects] == ["man", "ball"]
    assert operators.object_move(direction="UP") == {"FINISHED"}
    assert ([item.name for item in objects], clip.sa2va.active) == (["ball", "man"], 0)
    assert operators.object_move(direction="UP") == {"CANCELLED"}
    assert operators.object_move(direction="DOWN") == {"FINISHED"}
    assert operators.object_remove() == {"FINISHED"}
    assert [(item.name, item.phrase) for item in objects] == [("man", "the man")]


@pytest.mark.parametrize("name", ["say \"this\" & 'that'", "🎒", "那个男人", "x" * 60, "a.b/c\\d"])
def test_odd_names_of_objects_and_clips(scene, clip, host, name):
    clip.name = name
    target = target_of(scene, clip, SAYS)
    clip.sa2va.objects[0].name = name
    assert run_job(host, target)[1] == "Done."
    assert len(mattes_in(scene)) == len(clip.modifiers) == 1
    assert clip.sa2va.objects[0].verdict == "found"


def test_a_clip_that_is_not_there_any_more_says_so_in_every_editor(scene, host, tmp_path):
    picture = tmp_path / "shot.0001.png"
    picture.write_bytes(white_files()[0].read_bytes())
    clip = bpy.data.movieclips.load(str(picture))
    node = part("compat").compositor_tree(scene, create=True).nodes.new("CompositorNodeImage")
    node.image = bpy.data.images.load(str(picture))
    picture.unlink()
    targets = part("targets")
    for target in (targets.ClipTarget(scene, clip), targets.ImageTarget(scene, node)):
        part("properties").add_object(target.claim(), SAYS)
        assert "missing" in refused(host, target)


def test_menus_have_what_search_should_find():
    """Search goes through the menus of an editor."""
    for name in ("SEQUENCER_MT_strip", "CLIP_MT_clip", "NODE_MT_node"):
        drawn = getattr(bpy.types, name).draw._draw_funcs
        assert [f for f in drawn if f.__module__.startswith(MODULE)], name
    assert bpy.types.SA2VA_MT_roto.bl_label == "Sa2VA Roto"


def test_blender_validates_the_package():
    """By the tool behind ``blender --command extension validate``."""
    import bl_pkg

    tool = Path(bl_pkg.__file__).parent / "cli" / "blender_ext.py"
    (package,) = STAGE.glob("*.zip")
    command = [sys.executable, str(tool), "validate", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_and_operators_are_there():
    for name in ("sequencer", "clip", "nodes"):
        panel = getattr(bpy.types, f"SA2VA_PT_{name}")
        assert panel.bl_category == "Sa2VA"
    for operator in (
        "generate",
        "cancel",
        "go_on",
        "object_add",
        "object_remove",
        "object_move",
        "show_object",
        "use_run",
    ):
        assert getattr(bpy.ops.sa2va, operator).get_rna_type().description


def test_zz_removal_leaves_nothing_behind():
    """Last, as it takes the extension away."""
    folder = Path(sys.modules[MODULE].__file__).parent
    bpy.ops.preferences.addon_disable(module=MODULE)
    assert not hasattr(bpy.types, "SA2VA_PT_sequencer")
    assert not hasattr(bpy.types.MovieClip, "sa2va")
    assert not [h for h in bpy.app.handlers.load_post if h.__module__.startswith(MODULE)]
    bpy.ops.extensions.package_uninstall(repo_directory=str(folder.parent), pkg_id="sa2va_roto")
    assert not folder.exists()
    left = Path(os.environ["BLENDER_USER_RESOURCES"]) / "extensions" / ".user" / "user_default" / "sa2va_roto"
    assert not left.exists()
