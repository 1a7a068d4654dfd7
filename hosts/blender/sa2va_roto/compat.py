"""Every difference between Blender 4.2 and 5.2 that this extension meets, in one place.

Facts were found by running each version; tests/blender runs them again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from .frames import StripFacts

VERSION: tuple[int, int, int] = bpy.app.version
#: 4.2 and 4.3 call strips sequences.
StripType: Any = getattr(bpy.types, "Strip", None) or getattr(bpy.types, "Sequence", None)
HAS_STRIP_COMPOSITOR = VERSION >= (5, 0, 0)


# Sequencer


def editor_scene(context: Any) -> Any:
    """The scene that the Sequencer edits: from 5.0 on not always the window's."""
    return getattr(context, "sequencer_scene", None) or context.scene


def strips(scene: Any) -> Any:
    """All strips of the top level; () without an editor."""
    return strips_in(scene.sequence_editor) if scene.sequence_editor else ()


def strips_in(holder: Any) -> Any:
    """Those of an editor's top level, or of a meta strip."""
    return holder.strips if hasattr(holder, "strips") else holder.sequences


def all_strips(scene: Any) -> Any:
    """Those in meta strips as well."""
    editor = scene.sequence_editor
    if editor is None:
        return ()
    return editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all


def new_strips(scene: Any) -> Any:
    return strips_in(scene.sequence_editor or scene.sequence_editor_create())


@contextmanager
def sequencer_of(scene: Any) -> Iterator[None]:
    """Make this the scene that strips' modifiers are changed in, whatever the user is looking at.

    Blender looks the strip up in the context's scene (4.x) or the workspace's sequencer scene (5.x), and crashes where
    that one has no strips.
    """
    # Only the workspace in use counts; each change costs Blender milliseconds.
    used = [bpy.context.workspace] if bpy.context.workspace else bpy.data.workspaces
    others = [(w, w.sequencer_scene) for w in used if getattr(w, "sequencer_scene", scene) != scene]
    for workspace, _ in others:
        workspace.sequencer_scene = scene
    try:
        with bpy.context.temp_override(scene=scene):
            yield
    finally:
        for workspace, before in others:
            # Without a window nobody chooses a scene later, and 5.0 and 5.1 would crash when they render.
            if before is not None or not bpy.app.background:
                workspace.sequencer_scene = before


def strip_facts(strip: Any) -> StripFacts:
    if hasattr(strip, "content_start"):  # 5.1: the older names are on their way out
        start, length, trim = strip.content_start, strip.content_duration, getattr(strip, "content_trim_start", 0)
        left, right = strip.left_handle, strip.right_handle
    else:
        start, length, trim = strip.frame_start, strip.frame_duration, getattr(strip, "animation_offset_start", 0)
        left, right = strip.frame_final_start, strip.frame_final_end
    return StripFacts(
        start=round(start),
        length=int(length),
        left=int(left),
        right=int(right),
        trim=int(trim),
        reverse=bool(getattr(strip, "use_reverse_frames", False)),
        strobe=float(getattr(strip, "strobe", 1.0)),
    )


def set_length(strip: Any, frames: int) -> None:
    if hasattr(strip, "duration"):
        strip.duration = frames
    else:
        strip.frame_final_duration = frames


def is_retimed(strip: Any) -> bool:
    keys = getattr(strip, "retiming_keys", None)
    return bool(keys) and len(keys) > 0


def copy_placement(source: Any, target: Any) -> None:
    """Where in the frame a strip lies. The modifier works in render space, so the matte must lie there too."""
    for name in ("scale_x", "scale_y", "offset_x", "offset_y", "rotation", "origin", "filter"):
        if hasattr(source.transform, name):
            setattr(target.transform, name, getattr(source.transform, name))
    for name in ("min_x", "max_x", "min_y", "max_y"):
        setattr(target.crop, name, getattr(source.crop, name))
    target.use_flip_x, target.use_flip_y = source.use_flip_x, source.use_flip_y


def show_through(strip: Any) -> None:
    """Let a strip with holes show what lies below. Set as it is already, it would cost Blender cached pictures too."""
    if strip.blend_type != "ALPHA_OVER":
        strip.blend_type = "ALPHA_OVER"


def cache_nothing(strip: Any) -> None:
    """Let Blender keep no pictures of this strip's own frames. Before 5.0 it keeps each matte beside the clip that it
    cuts, four times as large; to drop 300 of them at once takes it 40 ms."""
    if hasattr(strip, "override_cache_settings"):
        strip.override_cache_settings = True
        strip.use_cache_raw = strip.use_cache_preprocessed = strip.use_cache_composite = False


def modifier_works(modifier: Any) -> bool:
    """Whether a strip modifier is on, in the preview or in renders."""
    return not modifier.mute or getattr(modifier, "show_preview", False)


def switch_modifier(modifier: Any, on: bool) -> None:
    """On or off, in the preview and in renders: from 5.2 on these are two."""
    modifier.mute = not on
    if hasattr(modifier, "show_preview"):
        modifier.show_preview = on


def connect_strips(context: Any, scene: Any, pair: Any) -> bool:
    """Make strips move together (4.5 on). False where this Blender cannot."""
    operator = getattr(bpy.ops.sequencer, "connect", None)
    if VERSION < (4, 4, 0) or operator is None:
        return False
    chosen = [strip for strip in strips(scene) if strip.select]
    try:
        for strip in strips(scene):
            strip.select = strip in pair
        with context.temp_override(scene=scene):
            return "FINISHED" in operator()
    except (RuntimeError, TypeError):
        return False
    finally:
        for strip in strips(scene):
            strip.select = strip in chosen


def remove_strips(scene: Any, gone: list[Any]) -> None:
    """By the user's operator, which waits for Blender's threads that read ahead: 5.2 crashes when a script takes away
    a strip that they are looking at. Where there is no editor for it, by hand."""
    kept = [strip for strip in strips(scene) if strip.select and strip not in gone]
    names = {strip.name for strip in gone}
    for strip in strips(scene):
        strip.select = strip in gone
    try:
        with sequencer_of(scene):
            delete_selected()
    except RuntimeError:
        pass
    for strip in [strip for strip in strips(scene) if strip.name in names]:
        strips(scene).remove(strip)
    for strip in kept:
        strip.select = True


def delete_selected() -> None:
    """As X does. Blender drops the strips' cached pictures here, nearly a millisecond each for mattes of HD."""
    bpy.ops.sequencer.delete()


def read_ahead(scene: Any, on: bool) -> bool:
    """Let Blender read ahead, or not; whether it did. While its thread reads a frame, every change of a strip waits
    for that; told not to, it ends by itself after the frame that it is at."""
    editor = scene.sequence_editor
    did = bool(getattr(editor, "use_prefetch", False))
    if did != on and hasattr(editor, "use_prefetch"):
        editor.use_prefetch = on
    return did


# Compositor


def compositor_tree(scene: Any, create: bool = False) -> Any:
    if VERSION >= (5, 0, 0):
        tree = scene.compositing_node_group
        if tree is None and create:
            tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
            tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
            scene.compositing_node_group = tree
        return tree
    if create and not scene.use_nodes:
        fresh = scene.node_tree is None
        scene.use_nodes = True
        if fresh:  # it comes with Render Layers, which nobody asked for and which wants a camera
            scene.node_tree.nodes.clear()
    return scene.node_tree if scene.use_nodes else None


def compositor_output(tree: Any, create: bool = False) -> Any:
    """The socket whose picture is the render's; None where there is no such node."""
    kind = "NodeGroupOutput" if VERSION >= (5, 0, 0) else "CompositorNodeComposite"
    for node in tree.nodes:
        if node.bl_idname == kind:
            return node.inputs[0]
    return tree.nodes.new(kind).inputs[0] if create else None


def set_alpha_node(tree: Any) -> Any:
    node = tree.nodes.new("CompositorNodeSetAlpha")
    if "Type" in node.inputs:
        node.inputs["Type"].default_value = "Apply Mask"
    else:
        node.mode = "APPLY"
    return node


# Masks


def curves(data: Any) -> list[Any]:
    """The F-curves of a data block: from 5.0 on in channel bags alone."""
    action = data.animation_data.action if data.animation_data else None
    if action is None:
        return []
    if VERSION < (5, 0, 0):
        return list(action.fcurves)
    return [
        curve for layer in action.layers for strip in layer.strips for bag in strip.channelbags for curve in bag.fcurves
    ]


def jump(scene: Any, frame: int) -> None:
    """Change the current frame for what only asks for its number. Blender evaluates nothing for it, which
    ``frame_set`` takes 50 ms for, and is told nothing: change it back."""
    bpy.data.scenes.foreach_set("frame_current", [frame if s == scene else s.frame_current for s in bpy.data.scenes])


def fix_mask_size(node: Any, size: tuple[int, int]) -> None:
    """Make a Mask node as large as the clip, whatever the render's size is."""
    if hasattr(node, "size_source"):
        node.size_source = "FIXED"
    else:
        node.inputs["Size Source"].default_value = "Fixed"
    for axis, pixels in zip("XY", size):
        if f"Size {axis}" in node.inputs:
            node.inputs[f"Size {axis}"].default_value = pixels
        else:
            setattr(node, f"size_{axis.lower()}", pixels)


# Files


def portable(path: str) -> str:
    """``path`` as the .blend file should keep it: relative to it where the user's preferences say so."""
    if not bpy.data.filepath or not bpy.context.preferences.filepaths.use_relative_paths:
        return path
    try:
        return bpy.path.relpath(path)
    except ValueError:  # another drive
        return path


# Background


def make_renderable(scene: Any) -> None:
    """Keep Blender without a window from crashing when it renders the strips of this scene."""
    for workspace in bpy.data.workspaces:
        # 5.0 and 5.1 do without, when a strip has modifiers.
        if hasattr(workspace, "sequencer_scene"):
            workspace.sequencer_scene = scene
    if hasattr(scene.sequence_editor, "show_missing_media"):
        # 5.1 does on a missing file otherwise.
        scene.sequence_editor.show_missing_media = False


def write_stills(settings: Any) -> None:
    """Let image settings take a format of stills: from 5.0 on they are for stills or movies first."""
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"


def blender_command() -> list[str]:
    """Another Blender without a window: the same program, or this Python where Blender is a module."""
    if bpy.app.binary_path:
        return [bpy.app.binary_path, "--background", "--factory-startup", "--python-exit-code", "1", "--python"]
    return [sys.executable]


def blender_ocio() -> str:
    """Blender's own colour configuration."""
    folder = bpy.utils.system_resource("DATAFILES", path="colormanagement")
    return f"{folder}/config.ocio" if folder else ""


def user_ocio() -> str:
    """$OCIO as the user set it: Blender 5 sets it to its own configuration, which is no wish of the user's."""
    named = os.environ.get("OCIO", "")
    own = blender_ocio()
    return "" if own and os.path.normpath(named) == os.path.normpath(own) else named
