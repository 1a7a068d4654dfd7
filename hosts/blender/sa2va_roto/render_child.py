"""Run by a second Blender: render one strip's frames to numbered PNGs. Knows nothing of the extension."""

import json
import sys
from pathlib import Path

import bpy


def strips_of(editor):
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def main(blend, order):
    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    scene = bpy.data.scenes[order["scene"]]
    for workspace in bpy.data.workspaces:
        # 5.0 and 5.1 crash without, when a strip has modifiers.
        if hasattr(workspace, "sequencer_scene"):
            workspace.sequencer_scene = scene
    editor = scene.sequence_editor
    if hasattr(editor, "show_missing_media"):
        # 5.1 crashes on a missing file otherwise.
        editor.show_missing_media = False
    for window in bpy.context.window_manager.windows:
        window.scene = scene
    isolate(editor, order["strip"], order["without"])
    plain_output(scene)
    with bpy.context.temp_override(scene=scene):
        for number, frame in enumerate(range(order["first"], order["last"] + 1), 1):
            scene.frame_set(frame)
            scene.render.filepath = "{}{:06d}.part".format(order["pattern"], number)
            bpy.ops.render.render(write_still=True, scene=scene.name)
            Path(scene.render.filepath).replace("{}{:06d}.png".format(order["pattern"], number))


def isolate(editor, name, without):
    """Show this strip alone, wherever it lies, without the modifiers whose names start like ``without``; what feeds
    it goes on feeding it."""
    wanted = next(s for s in everything(editor) if s.name == name)
    for modifier in wanted.modifiers:
        if modifier.name.startswith(without):
            modifier.mute = True
    while wanted is not None:
        holder = wanted.parent_meta()
        around = editor if holder is None else holder
        for strip in strips_of(around):
            strip.mute = not (strip == wanted or is_seen_through(wanted, strip))
        around.channels[wanted.channel].mute = False
        wanted = holder


def everything(editor):
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def is_seen_through(wanted, strip):
    """Adjustment and multicam strips show what lies below them, as far as that is not muted."""
    if strip.mute:
        return False
    if wanted.type == "ADJUSTMENT":
        return strip.channel < wanted.channel
    return wanted.type == "MULTICAM" and strip.channel == wanted.multicam_source


def plain_output(scene):
    render, image = scene.render, scene.render.image_settings
    render.use_sequencer, render.use_compositing = True, False
    render.resolution_percentage, render.use_border, render.use_stamp = 100, False, False
    render.use_file_extension, render.use_overwrite, render.use_multiview = False, True, False
    if hasattr(image, "media_type"):
        image.media_type = "IMAGE"
    image.file_format, image.color_mode, image.color_depth, image.compression = "PNG", "RGB", "8", 10
    image.color_management = "FOLLOW_SCENE"
    scene.display_settings.display_device = "sRGB"
    view = scene.view_settings
    view.view_transform, view.look, view.exposure, view.gamma = "Standard", "None", 0.0, 1.0
    view.use_curve_mapping = False
    render.dither_intensity = 0.0


arguments = sys.argv[sys.argv.index("--") + 1 :]
main(arguments[0], json.loads(arguments[1]))
