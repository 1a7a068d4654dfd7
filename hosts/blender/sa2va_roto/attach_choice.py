"""What of all that we attached to a strip cuts it out: one object, in one form. Modifiers in a row would leave what all
of them have in common."""

from __future__ import annotations

from typing import Any

from sa2va_plugin.errors import MediaError
from sa2va_plugin.naming import layer_name

from . import attach_masks, compat
from .properties import PREFIX
from .targets import StripTarget


def shown(target: StripTarget) -> dict[str, bool]:
    """Layers that a modifier of ours on this strip can cut out, and whether it does now."""
    found: dict[str, bool] = {}
    for modifier in _ours(target):
        layers = _layers(modifier)
        for layer in layers:
            found[layer] = found.get(layer, False) or (compat.modifier_works(modifier) and layers[0] == layer)
    return found


def show(target: StripTarget, name: str) -> None:
    """Cut the strip out by this object alone, in the form that is in use. Raises MediaError for one without a matte."""
    layer, ours = layer_name(name), _ours(target)
    able = [modifier for modifier in ours if layer in _layers(modifier)]
    if not able:
        raise MediaError(f"No modifier of {target.name} has a matte of {name}.", "Generate it, or use an earlier run.")
    used = {_form(modifier) for modifier in ours if compat.modifier_works(modifier)}
    chosen = next((modifier for modifier in able if _form(modifier) in used), able[0])
    for modifier in ours:
        compat.switch_modifier(modifier, modifier == chosen)
    if chosen.type == "COMPOSITOR":
        alpha, image = _parts(chosen.node_group)
        chosen.node_group.links.new(image.outputs[layer], alpha)


def show_form(target: StripTarget, form: str) -> None:
    """Switch off what an earlier run attached in another form. The object that this one shows stays, else it is the
    first."""
    ours = _ours(target)
    mine = [modifier for modifier in ours if _form(modifier) == form]
    for modifier in ours:
        if modifier not in mine:
            compat.switch_modifier(modifier, False)
    if mine and not any(compat.modifier_works(modifier) for modifier in mine):
        compat.switch_modifier(mine[0], True)


def _ours(target: StripTarget) -> list[Any]:
    return [modifier for modifier in target.owner.modifiers if _layers(modifier)]


def _form(modifier: Any) -> str:
    """The result form, as in properties.FORMS, that one of our modifiers is of."""
    if modifier.type == "COMPOSITOR":
        return "MODIFIER"
    return "STRIP" if modifier.input_mask_type == "STRIP" else "MASK"


def _layers(modifier: Any) -> list[str]:
    """The layers that a modifier of ours may use, the one in use first; none where it is the user's own."""
    if not modifier.name.startswith(PREFIX):
        return []
    if modifier.type == "MASK":
        if modifier.input_mask_type == "STRIP":
            layer = modifier.input_mask_strip.sa2va.layer if modifier.input_mask_strip else ""
        else:
            layer = attach_masks.layer_of(modifier.input_mask_id) if modifier.input_mask_id else ""
        return [layer] if layer else []
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
