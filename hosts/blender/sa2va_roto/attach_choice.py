"""Several objects of one strip: which of them cuts it out. Modifiers in a row would leave what all have in common."""

from __future__ import annotations

from typing import Any

import bpy
from sa2va_plugin.errors import MediaError
from sa2va_plugin.naming import layer_name

from . import attach_masks, compat
from .properties import PREFIX
from .targets import StripTarget


def shown(target: StripTarget) -> dict[str, bool]:
    """Layers that a modifier of ours on this strip can cut out, and whether it does now."""
    found: dict[str, bool] = {}
    for modifier in target.owner.modifiers:
        layers = _layers(modifier)
        for layer in layers:
            found[layer] = (not modifier.mute and layers[0] == layer) or found.get(layer, False)
    return found


def show(target: StripTarget, name: str) -> None:
    """Cut the strip out by this object alone. Raises MediaError where there is nothing to do it with."""
    layer = layer_name(name)
    if layer not in shown(target):
        raise MediaError(f"No modifier of {target.name} has a matte of {name}.", "Generate it, or use an earlier run.")
    for modifier in target.owner.modifiers:
        layers = _layers(modifier)
        if layers:
            modifier.mute = layer not in layers
        if modifier.type == "COMPOSITOR" and layer in layers:
            _cut_by(modifier.node_group, layer)
    compat.refresh_sequencer(bpy.context, target.scene)


def _layers(modifier: Any) -> list[str]:
    """The layers that a modifier of ours may use, the one in use first; none where it is the user's own."""
    if not modifier.name.startswith(PREFIX):
        return []
    if modifier.type == "MASK":
        if modifier.input_mask_type == "STRIP":
            return [modifier.input_mask_strip.sa2va.layer] if modifier.input_mask_strip else []
        return [attach_masks.layer_of(modifier.input_mask_id)] if modifier.input_mask_id else []
    if modifier.type != "COMPOSITOR" or modifier.node_group is None:
        return []
    alpha, image = _parts(modifier.node_group)
    if alpha is None or image is None or not alpha.is_linked:
        return []
    used = alpha.links[0].from_socket.name
    return [used, *(o.name for o in image.outputs if o.name not in (used, "Combined", "Alpha", "Image"))]


def _parts(group: Any) -> tuple[Any, Any]:
    """The matte's socket at Set Alpha, and the Image node with all mattes."""
    alpha = next((n for n in group.nodes if n.bl_idname == "CompositorNodeSetAlpha"), None)
    image = next((n for n in group.nodes if n.bl_idname == "CompositorNodeImage"), None)
    return (alpha.inputs["Alpha"] if alpha else None), image


def _cut_by(group: Any, layer: str) -> None:
    alpha, image = _parts(group)
    group.links.new(image.outputs[layer], alpha)
