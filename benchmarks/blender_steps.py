"""How long Blender's main thread works at a time while mattes are brought in, with all of the Sequencer's caches full.

In a window, with the extension installed:

    blender --app-template Video_Editing --python benchmarks/blender_steps.py -- CLIP RUN REPORT

``CLIP``: a movie of 24 frames a second. ``RUN``: the folder of a finished job on it with two objects, made with
`--rgb matte --per-object --splines`. ``REPORT``: the file to write. Each line: what was done, the longest step by this
thread's work and by the clock, and how many steps. Before each, Blender reads ahead for a while with every cache on.
"""

import importlib
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy

MODULE = "bl_ext.user_default.sa2va_roto"
CLIP, RUN, REPORT = sys.argv[sys.argv.index("--") + 1 :]
FILL = float(os.environ.get("SA2VA_FILL", "60"))
deleting = []
CACHES = ("raw", "preprocessed", "composite", "final")


def part(name):
    return importlib.import_module(f"{MODULE}.{name}")


def scene():
    return getattr(bpy.context, "sequencer_scene", None) or bpy.context.scene


def target():
    return part("targets").StripTarget(scene(), part("compat").strips(scene())["clip"])


def prepare():
    bpy.ops.preferences.addon_enable(module=MODULE)
    found = part("mattes").read(str(Path(RUN, "manifest.json")))
    render, editor = scene().render, scene().sequence_editor_create()
    render.resolution_x, render.resolution_y = found.size
    render.fps, render.fps_base = 24, 1.0
    scene().frame_start, scene().frame_end = 1, len(found.frames)
    part("compat").new_strips(scene()).new_movie("clip", CLIP, 2, 1)
    editor.use_prefetch = True
    for cache in CACHES:
        if hasattr(editor, f"use_cache_{cache}"):
            setattr(editor, f"use_cache_{cache}", True)
    settings = target().claim()
    for item in found.objects:
        part("properties").add_object(settings, item.phrase, item.name)
    return found


def bring(found, form):
    plan = part("frames").Plan(numbers=found.frames)
    return part("attach").use(target(), found, plan, form)


def eye(found):
    shown = part("attach_choice").shown(target())
    part("attach_choice").show(target(), next(o.name for o in found.objects if not shown.get(o.layer, True)))
    yield


def watch_deleting():
    """How long Blender takes in its own call that deletes strips."""
    compat: Any = part("compat")
    delete = compat.delete_selected

    def timed():
        worked = time.thread_time()
        delete()
        deleting.append(time.thread_time() - worked)

    compat.delete_selected = timed


def mute():
    """What a user's click on the modifier's own button does."""
    modifier = next(m for m in target().owner.modifiers if part("compat").modifier_works(m))
    modifier.mute = True
    yield
    modifier.mute = False


def delete():
    """What X does with the matte strip of the first object chosen."""
    strips = list(part("compat").strips(scene()))
    matte = next(strip for strip in strips if strip.sa2va.matte_of)
    for strip in strips:
        strip.select = strip == matte
    yield
    with part("compat").sequencer_of(scene()):
        part("compat").delete_selected()


def measure():
    found = prepare()
    watch_deleting()
    yield 2
    for what, make in (
        ("Matte Strip, the first", lambda: bring(found, "STRIP")),
        ("Matte Strip, once more", lambda: bring(found, "STRIP")),
        ("the eye", lambda: eye(found)),
        ("by hand, the modifier's button", mute),
        ("by hand, a matte strip deleted", delete),
        ("Mask, the first", lambda: bring(found, "MASK")),
        ("Mask, once more", lambda: bring(found, "MASK")),
        ("Compositor Nodes", lambda: bring(found, "NODES")),
    ):
        scene().frame_set(1)
        yield FILL
        steps, took, more = make(), [], True
        while more:
            worked, began = time.thread_time(), time.perf_counter()
            more = next(steps, "done") != "done"
            took.append((time.thread_time() - worked, time.perf_counter() - began))
            yield 0.1
        work, wall = (max(times) * 1000 for times in zip(*took, strict=True))
        say(f"{what}: {work:.1f} ms of work, {wall:.1f} ms by the clock, {len(took)} steps")
        if deleting:
            say(f"    Blender deleting strips: {max(deleting) * 1000:.1f} ms of work")
            deleting.clear()


def say(text):
    with open(REPORT, "a") as report:
        report.write(text + "\n")


def tick():
    try:
        return next(measuring)
    except StopIteration:
        say(f"Blender {bpy.app.version_string}: done")
    except Exception:  # noqa: BLE001 - this is all that anybody will see of it
        say(traceback.format_exc())
    bpy.ops.wm.quit_blender()
    return None


measuring = measure()
bpy.app.timers.register(tick, first_interval=3)
