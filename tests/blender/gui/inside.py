"""Run by the Blender under test: puts a clip into the Sequencer, then says three times a second what is where.

Arguments after ``--``: the clip, the .blend file to be, the file to write. The clip's strip starts out 48 frames long.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import bpy

CLIP, BLEND, REPORT = sys.argv[sys.argv.index("--") + 1 :]
warnings.simplefilter("ignore", DeprecationWarning)
ready = 0.0
problems = []
slowest = {}
calls = {}
#: One call of Blender that a user's own key makes as well, and takes as long: told apart from what is ours.
BLENDERS = "compat.delete_selected"
blenders = [0.0, 0.0]


def extension(name):
    return sys.modules.get(f"bl_ext.user_default.sa2va_roto.{name}")


def scene():
    return getattr(bpy.context, "sequencer_scene", None) or bpy.context.scene


def strips():
    editor = scene().sequence_editor  # looked up anew each time: undo frees the old ones
    return (editor.strips if hasattr(editor, "strips") else editor.sequences) if editor else []


def timed(owner, name):
    """Note the longest call of one of the extension's functions: by the clock, and of this thread's own work."""
    function = getattr(owner, name)

    def call(*arguments, **named):
        began, before = (time.perf_counter(), time.thread_time()), tuple(blenders)
        try:
            return function(*arguments, **named)
        finally:
            key = f"{getattr(owner, '__name__', type(owner).__name__).rpartition('.')[2]}.{name}"
            took = time.perf_counter() - began[0], time.thread_time() - began[1]
            if key == BLENDERS:
                blenders[:] = [a + b for a, b in zip(blenders, took, strict=True)]
            else:
                took = tuple(a - (now - then) for a, now, then in zip(took, blenders, before, strict=True))
            if name == "tick":
                key += f" ({extension('host').HOST.text.split(':')[0] or 'at the end'})"
            slowest[key] = tuple(map(max, slowest.get(key, took), took))
            calls[key] = calls.get(key, 0) + 1

    setattr(owner, name, call)


def watch():
    host, panels = extension("host"), extension("panels")
    timed(host.HOST, "tick")
    timed(host.HOST, "start")
    timed(host.HOST, "cancel")
    timed(panels, "_draw_panel")
    timed(extension("handlers"), "redraw")
    # What steps are made of.
    for part, names in {
        "mattes": ("read",),
        "attach": ("_note", "_push_undo"),
        "attach_strips": ("_remove_others", "_matte_strip", "_modify", "_take_over"),
        "attach_masks": ("_text", "_wire"),
        "steps": ("some",),
        "compat": ("connect_strips", "copy_placement", "read_ahead", "remove_strips", "delete_selected"),
    }.items():
        for name in names:
            timed(extension(part), name)


@bpy.app.handlers.persistent
def loaded(*_):
    bpy.app.timers.register(prepare, first_interval=0.5)


def prepare():
    global ready
    areas = [area.type for window in bpy.context.window_manager.windows for area in window.screen.areas]
    if "SEQUENCE_EDITOR" not in areas or ready:
        return None  # Video Editing was not chosen yet
    if any(strip.name == "juggle" for strip in strips()):
        watch()
        ready = time.time()  # this is the second time
        return None
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "FILE_BROWSER":
            area.ui_type = "OUTLINER"  # no folders of this machine in pictures for the docs
    render = scene().render
    render.resolution_x, render.resolution_y, render.fps = 1280, 720, 24
    scene().frame_start, scene().frame_end = 1, 300
    scene().view_settings.view_transform = "Standard"
    scene().sequence_editor_create()
    strip = strips().new_movie("juggle", CLIP, 2, 1)
    if hasattr(strip, "duration"):
        strip.duration = 48
    else:
        strip.frame_final_duration = 48
    for item in strips():
        item.select = False
    scene().sequence_editor.active_strip = None
    scene().frame_set(20)
    bpy.ops.wm.save_as_mainfile(filepath=BLEND)
    bpy.ops.ed.undo_push(message="Clip loaded")
    watch()
    ready = time.time()
    return None


def state():
    window = bpy.context.window_manager.windows[0]
    found = {
        "version": bpy.app.version_string,
        "ready": bool(ready),
        "problems": problems,
        "slowest": slowest,
        "blenders": BLENDERS,
        "calls": calls,
        "playing": window.screen.is_animation_playing,
        "texts": [text.name for text in bpy.data.texts],
        "masks": [mask.name for mask in bpy.data.masks],
    }
    found["window"] = [window.width, window.height]
    found["areas"] = []
    for area in window.screen.areas:
        space = area.spaces.active
        entry = {
            "type": area.type,
            "view": getattr(space, "view_type", ""),
            "side": getattr(space, "show_region_ui", False),
        }
        entry["regions"] = {r.type: [r.x, r.y, r.width, r.height] for r in area.regions if r.width > 1}
        # 4.3 crashes when this is read before a region was drawn.
        if ready and time.time() - ready > 2 and entry["view"] == "SEQUENCER":
            sides = [r for r in area.regions if r.type == "UI" and r.width > 60]
            entry["tab"] = getattr(sides[0], "active_panel_category", "") if sides else ""
            found["strips"] = [placed(area, strip) for strip in strips()]
        found["areas"].append(entry)
    host = extension("host")
    if host and ready:
        one = host.HOST
        found["job"] = {"busy": one.busy, "text": one.text, "fraction": one.fraction, "notice": one.notice}
        found["job"]["preview"] = one.preview_path
        found["doctor"] = [line for _, line in extension("doctor").examine()]
        active = scene().sequence_editor.active_strip
        found["active"] = active.name if active else ""
        found["phrases"] = [item.phrase for item in active.sa2va.objects] if active else []
        found["runs"] = [Path(run.folder).name for run in active.sa2va.runs] if active else []
    return found


def placed(area, strip):
    region = next(r for r in area.regions if r.type == "WINDOW")
    left = strip.left_handle if hasattr(strip, "left_handle") else strip.frame_final_start
    right = strip.right_handle if hasattr(strip, "right_handle") else strip.frame_final_end
    x, y = region.view2d.view_to_region((left + right) / 2, strip.channel + 0.5, clip=False)
    return {
        "name": strip.name,
        "x": region.x + x,
        "y": region.y + y,
        "select": strip.select,
        "mute": strip.mute,
        "frames": right - left,
        "modifiers": [modifier.name for modifier in strip.modifiers],
        "working": [m.name for m in strip.modifiers if extension("compat").modifier_works(m)],
    }


def report():
    try:
        text = json.dumps(state())
    except Exception as error:  # noqa: BLE001 - what goes wrong here is shown by the driver
        problems.append(repr(error))
        return 0.3
    part = Path(REPORT + ".part")
    part.write_text(text)
    part.replace(REPORT)
    if Path(REPORT + ".frames").exists() and ready:
        # The driver asks for so much of the clip.
        length = int(Path(REPORT + ".frames").read_text())
        Path(REPORT + ".frames").unlink()
        extension("compat").set_length(strips()["juggle"], length)
    if Path(REPORT + ".unmatte").exists() and ready:
        Path(REPORT + ".unmatte").unlink()
        extension("compat").remove_strips(scene(), [strip for strip in strips() if strip.sa2va.matte_of])
        strips()["juggle"].modifiers.clear()
    if Path(REPORT + ".form").exists() and ready:
        strips()["juggle"].sa2va.form = Path(REPORT + ".form").read_text()
        scene().frame_set(20)  # playing has left the clip
        Path(REPORT + ".form").unlink()
    if Path(REPORT + ".object").exists() and ready:
        less = Path(REPORT + ".object").read_text() == "-"
        Path(REPORT + ".object").unlink()
        settings = scene().sequence_editor.active_strip.sa2va
        if less:
            settings.objects.remove(1)
            settings.active = 0
        else:
            extension("properties").add_object(settings)
    if Path(REPORT + ".preferences").exists() and ready:
        Path(REPORT + ".preferences").unlink()
        preferences()
    for kind in ("clip", "nodes"):
        if Path(f"{REPORT}.{kind}").exists() and ready:
            Path(f"{REPORT}.{kind}").unlink()
            other_editor(kind)
    return 0.3


def preferences():
    """Open the preferences at the extension; close them when they are open."""
    manager = bpy.context.window_manager
    shown = [w for w in manager.windows if w.screen.areas[0].type == "PREFERENCES"]
    with bpy.context.temp_override(window=shown[0] if shown else manager.windows[0]):
        if shown:
            bpy.ops.wm.window_close()
        else:
            bpy.ops.preferences.addon_show(module="bl_ext.user_default.sa2va_roto")


def other_editor(kind):
    """Turn the timeline's area into a Movie Clip Editor, or a compositor with the clip's node chosen."""
    clips = bpy.data.movieclips
    clip = clips[0] if clips else clips.load(CLIP)
    area = next(
        area
        for area in bpy.context.window_manager.windows[0].screen.areas
        if area.type == "CLIP_EDITOR"
        or (area.type == "SEQUENCE_EDITOR" and area.spaces.active.view_type == "SEQUENCER")
    )
    if kind == "clip":
        area.ui_type = "CLIP_EDITOR"
        area.spaces.active.clip = clip
    else:
        compat = extension("compat")
        tree = compat.compositor_tree(bpy.context.window.scene, create=True)
        node = tree.nodes.new("CompositorNodeMovieClip")
        node.clip = clip
        node.select, tree.nodes.active = True, node
        area.ui_type = "CompositorNodeTree"
        if hasattr(area.spaces.active, "node_tree") and area.spaces.active.node_tree is None:
            area.spaces.active.node_tree = tree
    area.spaces.active.show_region_ui = True


bpy.app.handlers.load_post.append(loaded)
loaded()
bpy.app.timers.register(report, first_interval=0.5, persistent=True)
