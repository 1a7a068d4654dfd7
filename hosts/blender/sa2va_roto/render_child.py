"""Run by a second Blender: render one strip's frames to numbered PNGs. Of the extension, which is not switched on
there, it knows the differences between versions alone."""

import importlib.util
import json
import sys
from pathlib import Path

import bpy

HERE = Path(__file__).resolve().parent
# By its place, so that nothing else there can be imported.
spec = importlib.util.spec_from_file_location(HERE.name, HERE / "__init__.py", submodule_search_locations=[str(HERE)])
assert spec
sys.modules[HERE.name] = importlib.util.module_from_spec(spec)
compat = importlib.import_module(HERE.name + ".compat")


def main(blend, order):
    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    scene = bpy.data.scenes[order["scene"]]
    compat.make_renderable(scene)
    for window in bpy.context.window_manager.windows:
        window.scene = scene
    isolate(scene, order["strip"], order["without"])
    plain_output(scene)
    with bpy.context.temp_override(scene=scene):
        for number, frame in enumerate(range(order["first"], order["last"] + 1), 1):
            scene.frame_set(frame)
            scene.render.filepath = "{}{:06d}.part".format(order["pattern"], number)
            bpy.ops.render.render(write_still=True, scene=scene.name)
            Path(scene.render.filepath).replace("{}{:06d}.png".format(order["pattern"], number))


def isolate(scene, name, without):
    """Show this strip alone, wherever it lies, without the modifiers whose names start like ``without``; what feeds
    it goes on feeding it."""
    wanted = next(s for s in compat.all_strips(scene) if s.name == name)
    for modifier in wanted.modifiers:
        if modifier.name.startswith(without):
            modifier.mute = True
    while wanted is not None:
        holder = wanted.parent_meta()
        around = scene.sequence_editor if holder is None else holder
        for strip in compat.strips_in(around):
            strip.mute = not (strip == wanted or is_seen_through(wanted, strip))
        around.channels[wanted.channel].mute = False
        wanted = holder


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
    compat.write_stills(image)
    image.file_format, image.color_mode, image.color_depth, image.compression = "PNG", "RGB", "8", 10
    image.color_management = "FOLLOW_SCENE"
    scene.display_settings.display_device = "sRGB"
    view = scene.view_settings
    view.view_transform, view.look, view.exposure, view.gamma = "Standard", "None", 0.0, 1.0
    view.use_curve_mapping = False
    render.dither_intensity = 0.0


arguments = sys.argv[sys.argv.index("--") + 1 :]
main(arguments[0], json.loads(arguments[1]))
