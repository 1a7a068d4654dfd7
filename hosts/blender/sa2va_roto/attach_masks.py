"""Mattes as Masks: one an object, with a layer a shape, animated by shape keys as if the user had set them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import bpy
from sa2va_plugin import splines
from sa2va_plugin.blender_mask import MaskKey, MaskLayer, mask_layers
from sa2va_plugin.errors import MediaError, ResultError
from sa2va_plugin.naming import layer_name

from . import attach_nodes, compat, selection, steps
from .frames import Plan
from .mattes import Mattes
from .properties import PREFIX
from .targets import StripTarget, Target

_UID = "sa2va_uid"
#: Marks a Mask that is not whole yet. A run that was broken off leaves it, the next one removes it.
_GROWING = "sa2va_growing"


def attach_masks(target: Target, mattes: Mattes, plan: Plan) -> Iterator[None]:
    """A Mask an object; a strip gets a modifier with it, anything else a Mask node. In steps. Raises MediaError.

    Each is made aside and takes over when it is whole: every change of a Mask in use would cost Blender pictures that
    it has cached.
    """
    found = yield from steps.paced(splines.SplineSet.read_in_steps(_text(mattes.folder)))
    offset = attach_nodes.first_frame(target, plan) - 1
    key = target.key
    for mask in [mask for mask in bpy.data.masks if _GROWING in mask]:
        bpy.data.masks.remove(mask)
    for place, item in enumerate(found.objects):
        yield
        mask = bpy.data.masks.new(PREFIX + item.name)
        mask[_GROWING], mask.use_fake_user = True, True
        mask.frame_start, mask.frame_end = mattes.frames[0] + offset, mattes.frames[-1] + offset
        name = mask.name
        yield from steps.paced(_add_layers(name, mask_layers(found, item, offset)))
        yield
        target, mask = selection.again(key), _mask(name)
        _take_over(target, mask, item.name)
        _wire(target, mask, item.name, mattes.size, on=place == 0)


def _text(folder: Path) -> str:
    path = folder / splines.NAME
    if not path.is_file():
        raise MediaError("This run made no splines.", "Generate again with the result Mask.")
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ResultError(f"The splines cannot be read ({error.strerror}): {path}", "Generate again.") from error


def layer_of(mask: Any) -> str:
    """The layer's name of the object that a Mask of ours is of; empty for the user's own."""
    _, _, name = mask.get(_UID, "").partition("/")
    return layer_name(name) if name else ""


def _add_layers(mask_name: str, shapes: Iterator[MaskLayer]) -> Generator[None, None, None]:
    for shape in shapes:
        yield from _add_layer(mask_name, shape)


def _add_layer(mask_name: str, shape: MaskLayer) -> Iterator[None]:
    layer = _mask(mask_name).layers.new(name=shape.name)
    layer_name = layer.name
    layer.blend, layer.use_fill_holes = shape.blend, True
    layer.splines.new().use_cyclic = True
    for frame, value in shape.alpha:
        layer.alpha = value
        layer.keyframe_insert("alpha", frame=frame)
    more = True
    while more:
        yield
        mask = _mask(mask_name)
        with _mask_editor(mask) as (override, scene):
            more = steps.some(_set_keys(mask.layers[layer_name].splines[0], shape.keys, override, scene))
    # Keys are set for every layer that is not hidden.
    _mask(mask_name).layers[layer_name].hide = True


def _mask(name: str) -> Any:
    mask = bpy.data.masks.get(name)
    if mask is None:
        raise MediaError("The mask was removed while it was being made.", "Press Use This in History.")
    return mask


def _set_keys(spline: Any, keys: Iterator[MaskKey], override: dict[str, Any], scene: Any) -> Iterator[None]:
    for key in keys:
        # First the frame, and what Blender evaluates for it: that brings back the pose of the keys that are there.
        compat.jump(scene, key.frame)
        override["window"].view_layer.update()
        points = spline.points
        if len(points) < len(key.points):
            points.add(len(key.points) - len(points))
            for point in points:
                point.handle_type, point.select = "FREE", True
        points.foreach_set("co", [*chain.from_iterable(p.co for p in key.points)])
        points.foreach_set("handle_left", [*chain.from_iterable(p.handle_left for p in key.points)])
        points.foreach_set("handle_right", [*chain.from_iterable(p.handle_right for p in key.points)])
        with bpy.context.temp_override(**override):
            if "FINISHED" not in bpy.ops.mask.shape_key_insert():
                raise MediaError("Blender set no mask key.", "Use another result, and tell us of it.")
        yield


@contextmanager
def _mask_editor(mask: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """An Image Editor with the mask in it, as shape keys are only set from an editor; all is put back as it was."""
    window = bpy.context.window or bpy.context.window_manager.windows[0]
    area = min(window.screen.areas, key=lambda area: (area.type != "IMAGE_EDITOR", area.width * area.height))
    kind, scene = area.ui_type, window.scene
    current = scene.frame_current
    try:
        area.type = "IMAGE_EDITOR"
        space = area.spaces.active
        before = space.mode, space.mask
        space.mode, space.mask = "MASK", mask
        region = next(region for region in area.regions if region.type == "WINDOW")
        try:
            yield {"window": window, "area": area, "region": region}, scene
        finally:
            space.mask, space.mode = before[1], before[0]
    finally:
        compat.jump(scene, current)
        area.ui_type = kind


def _take_over(target: Target, mask: Any, name: str) -> None:
    """Put the finished Mask in the place of the object's earlier one, wherever that is used."""
    for layer in mask.layers:
        layer.hide = False
    for curve in compat.curves(mask):
        for point in curve.keyframe_points:
            point.interpolation = "CONSTANT"
    uid = f"{target.settings.uid}/{name}"
    old = next((m for m in bpy.data.masks if m.get(_UID) == uid), None)
    mask[_UID] = uid
    del mask[_GROWING]
    if old is None:
        mask.name = f"{PREFIX}{target.name} {name}"
    else:
        kept = old.name
        old.user_remap(mask)
        bpy.data.masks.remove(old)
        mask.name = kept


def _wire(target: Target, mask: Any, name: str, size: tuple[int, int], on: bool) -> None:
    if isinstance(target, StripTarget):
        with compat.sequencer_of(target.scene):
            label = f"{PREFIX}{name} (mask)"
            modifier = target.owner.modifiers.get(label)
            if modifier is None:
                modifier = target.owner.modifiers.new(label, "MASK")
                compat.switch_modifier(modifier, on)
            if (modifier.input_mask_type, modifier.mask_time) != ("ID", "ABSOLUTE"):
                modifier.input_mask_type, modifier.mask_time = "ID", "ABSOLUTE"
            modifier.input_mask_id = mask
            # Where the user has it too: a remap lets Blender keep the pictures that it made with the old one.
            for strip in compat.all_strips(target.scene):
                for other in strip.modifiers:
                    if other != modifier and getattr(other, "input_mask_id", None) == mask:
                        other.input_mask_id = mask
        compat.show_through(target.owner)
        return
    tree = compat.compositor_tree(target.scene, create=True)
    node = next((n for n in tree.nodes if n.bl_idname == "CompositorNodeMask" and n.mask == mask), None)
    if node is None:
        node = tree.nodes.new("CompositorNodeMask")
        node.mask, node.label = mask, mask.name
        attach_nodes.place(tree, node)
    compat.fix_mask_size(node, size)
