"""Mattes as Masks: one an object, with a layer a shape, animated by shape keys as if the user had set them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
from sa2va_plugin import splines
from sa2va_plugin.blender_mask import MaskLayer, MaskPoint, mask_layers
from sa2va_plugin.errors import MediaError, ResultError
from sa2va_plugin.naming import layer_name

from . import attach_nodes, compat, render, selection
from .frames import Plan
from .mattes import Mattes
from .properties import PREFIX
from .targets import StripTarget, Target

_UID = "sa2va_uid"
#: Seconds of the window's thread that one step may take; a key is a few milliseconds.
_STEP = 0.008


def attach_masks(target: Target, mattes: Mattes, plan: Plan) -> Iterator[None]:
    """A Mask an object; a strip gets a modifier with it, anything else a Mask node. In steps. Raises MediaError."""
    path = mattes.folder / splines.NAME
    if not path.is_file():
        raise MediaError("This run made no splines.", "Generate again with the result Mask.")
    try:
        found = splines.SplineSet.from_json(path.read_text("utf-8"))
    except OSError as error:
        raise ResultError(f"The splines cannot be read ({error.strerror}): {path}", "Generate again.") from error
    offset = attach_nodes.first_frame(target, plan) - 1
    key = target.key
    for place, item in enumerate(found.objects):
        mask_name = _fresh_mask(target, item.name, mattes, offset).name
        for layer in mask_layers(found, item, offset):
            yield
            yield from _add_layer(key, mattes.folder, mask_name, layer)
        target = selection.again(key)
        _wire(target, bpy.data.masks[mask_name], item.name, mattes.size, on=place == 0)


def layer_of(mask: Any) -> str:
    """The layer's name of the object that a Mask of ours is of; empty for the user's own."""
    _, _, name = mask.get(_UID, "").partition("/")
    return layer_name(name) if name else ""


def _fresh_mask(target: Target, name: str, mattes: Mattes, offset: int) -> Any:
    """The object's Mask, emptied, or a new one: what uses it goes on using it."""
    uid = f"{target.settings.uid}/{name}"
    mask = next((m for m in bpy.data.masks if m.get(_UID) == uid), None)
    if mask is None:
        mask = bpy.data.masks.new(f"{PREFIX}{target.name} {name}")
        mask[_UID] = uid
        mask.use_fake_user = True
    mask.layers.clear()
    mask.animation_data_clear()
    mask.frame_start, mask.frame_end = mattes.frames[0] + offset, mattes.frames[-1] + offset
    return mask


def _add_layer(key: tuple[str, str, str, str], folder: Path, mask_name: str, shape: MaskLayer) -> Iterator[None]:
    mask = _mask(mask_name)
    layer = mask.layers.new(name=shape.name)
    layer_name = layer.name
    layer.blend, layer.use_fill_holes = shape.blend, True
    spline = layer.splines.new()
    spline.points.add(len(shape.keys[0].points) - 1)
    spline.use_cyclic = True
    for frame, value in shape.alpha:
        layer.alpha = value
        layer.keyframe_insert("alpha", frame=frame)
    waiting = list(shape.keys)
    while waiting:
        target, mask = selection.again(key), _mask(mask_name)
        with _mask_editor(target, folder, mask, layer_name) as (override, scene):
            began = time.perf_counter()
            while waiting and time.perf_counter() - began < _STEP:
                wanted = waiting.pop(0)
                # First the frame: a change of it brings back the pose of the keys that are there.
                scene.frame_set(wanted.frame)
                _pose(mask.layers[layer_name], wanted.points)
                with bpy.context.temp_override(**override):
                    if "FINISHED" not in bpy.ops.mask.shape_key_insert():
                        raise MediaError("Blender set no mask key.", "Use another result, and tell us of it.")
        yield
    for curve in compat.curves(_mask(mask_name)):
        for point in curve.keyframe_points:
            point.interpolation = "CONSTANT"


def _mask(name: str) -> Any:
    mask = bpy.data.masks.get(name)
    if mask is None:
        raise MediaError("The mask was removed while it was being made.", "Press Use This in History.")
    return mask


def _pose(layer: Any, points: tuple[MaskPoint, ...]) -> None:
    for point, wanted in zip(layer.splines[0].points, points):
        point.handle_type = "FREE"
        point.co, point.handle_left, point.handle_right = wanted.co, wanted.handle_left, wanted.handle_right
        point.select = True


@contextmanager
def _mask_editor(target: Target, folder: Path, mask: Any, layer_name: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """A Clip Editor with the mask in it, which alone may set shape keys; all is put back as it was.

    Keys are set for every layer that is not hidden, so all others are.
    """
    window = bpy.context.window or bpy.context.window_manager.windows[0]
    areas = sorted(window.screen.areas, key=lambda area: area.width * area.height)
    area = next((a for a in areas if a.type == "CLIP_EDITOR"), areas[0])
    kind, scene = area.ui_type, window.scene
    current = scene.frame_current
    hidden = {layer.name: layer.hide for layer in mask.layers}
    try:
        area.type = "CLIP_EDITOR"
        space = area.spaces.active
        before = space.mode, space.clip, space.mask
        space.mode, space.clip, space.mask = "MASK", _some_clip(target, folder), mask
        for layer in mask.layers:
            layer.hide = layer.name != layer_name
        region = next(region for region in area.regions if region.type == "WINDOW")
        try:
            yield {"window": window, "area": area, "region": region}, scene
        finally:
            space.clip, space.mask = before[1], before[2]
            space.mode = before[0]
    finally:
        for layer in mask.layers:
            layer.hide = hidden.get(layer.name, False)
        scene.frame_set(current)
        area.ui_type = kind


def _some_clip(target: Target, folder: Path) -> Any:
    """The editor wants a clip beside its mask: that of the target, where it has one."""
    if target.kind == "CLIP":
        return target.owner
    if isinstance(target, StripTarget) and target.rendered:
        return bpy.data.movieclips.load(render.first_picture(folder), check_existing=True)
    return attach_nodes.movie_clip(target)


def _wire(target: Target, mask: Any, name: str, size: tuple[int, int], on: bool) -> None:
    if isinstance(target, StripTarget):
        with compat.sequencer_of(target.scene):
            label = f"{PREFIX}{name} (mask)"
            modifier = target.owner.modifiers.get(label)
            if modifier is None:
                modifier = target.owner.modifiers.new(label, "MASK")
                compat.switch_modifier(modifier, on)
            modifier.input_mask_type, modifier.mask_time, modifier.input_mask_id = "ID", "ABSOLUTE", mask
        target.owner.blend_type = "ALPHA_OVER"
        return
    tree = compat.compositor_tree(target.scene, create=True)
    node = next((n for n in tree.nodes if n.bl_idname == "CompositorNodeMask" and n.mask == mask), None)
    if node is None:
        node = tree.nodes.new("CompositorNodeMask")
        node.mask, node.label = mask, mask.name
        attach_nodes.place(tree, node)
    compat.fix_mask_size(node, size)
