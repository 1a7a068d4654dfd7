"""Mattes in the Sequencer: a muted matte strip that a Mask modifier reads, or a node group on the strip (5.0 on)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import bpy
from sa2va_plugin.errors import MediaError

from . import attach_nodes, compat, frames, selection, steps
from .frames import Plan
from .mattes import MatteObject, Mattes
from .properties import PREFIX
from .targets import StripTarget

_CHANNELS = 128
#: How many frames a strip grows by at a time. Blender drops its cached pictures of each frame that a strip comes to lie
#: on, which takes a quarter of a millisecond a frame.
_GROWTH = 16
#: Instead of a layer's name: the strip is not whole yet. A run that was broken off leaves it, the next one removes it.
_GROWING = "..."
#: Colour tags of strips, roughly as the default theme shows them.
_TAGS = {
    "COLOR_01": (0.88, 0.24, 0.24), "COLOR_02": (0.92, 0.55, 0.24), "COLOR_03": (0.90, 0.80, 0.30),
    "COLOR_04": (0.45, 0.72, 0.36), "COLOR_05": (0.35, 0.58, 0.78), "COLOR_06": (0.55, 0.40, 0.75),
    "COLOR_07": (0.78, 0.42, 0.65), "COLOR_08": (0.48, 0.36, 0.30),
}  # fmt: skip


def attach_matte_strips(target: StripTarget, mattes: Mattes, plan: Plan) -> Iterator[None]:
    """One matte strip and one modifier an object; only the first modifier works at first, as several would leave
    what all have in common. A second run replaces what the first one made. In steps. Raises MediaError."""
    if not Path(mattes.path(mattes.single(mattes.objects[0].layer), mattes.frames[0])).is_file():
        raise MediaError("This run made no files for the Sequencer.", "Generate again.")
    _remove_others(target, {item.layer for item in mattes.objects})
    key = target.key
    for place, item in enumerate(mattes.objects):
        yield
        target = _again(key)
        names = _files(target, mattes, plan, item)
        strip = _matte_strip(target, mattes, item, next(names))
        if plan.rendered:
            _lie_plain(strip)
        else:
            compat.copy_placement(target.owner, strip)
        more = True
        while more:
            yield
            strip = _growing(_again(key))
            more = steps.some(_grow(strip, names))
        yield
        target = _again(key)
        _modify(target, PREFIX + item.name, _growing(target), on=place == 0)
        yield
        _take_over(_again(key), item)
    yield
    compat.show_through(_again(key).owner)


def _again(key: tuple[str, str, str, str]) -> StripTarget:
    found = selection.again(key)
    assert isinstance(found, StripTarget)
    return found


def _modify(target: StripTarget, name: str, strip: Any, on: bool) -> None:
    with compat.sequencer_of(target.scene):
        modifier = target.owner.modifiers.get(name)
        if modifier is None:
            modifier = target.owner.modifiers.new(name, "MASK")
            compat.switch_modifier(modifier, on)
        if modifier.input_mask_type != "STRIP":
            modifier.input_mask_type = "STRIP"
        modifier.input_mask_strip = strip


def _files(target: StripTarget, mattes: Mattes, plan: Plan, item: MatteObject) -> Iterator[str]:
    """A file's name for each timeline frame; frames that were not matted show the closest one before."""
    facts = target.facts
    source = None if plan.rendered else target.source()
    pattern = mattes.single(item.layer)
    for frame in range(facts.left, facts.right):
        number = frames.nearest(plan.number(frame, facts, source), mattes.frames)
        yield pattern.path(number).rpartition("/")[2]


def _matte_strip(target: StripTarget, mattes: Mattes, item: MatteObject, first: str) -> Any:
    """A matte strip with its first frame, to be grown and then to take over from the object's earlier one."""
    scene, clip = target.scene, target.owner
    left, right = target.facts.left, target.facts.right
    channel = next((n for n in range(clip.channel + 1, _CHANNELS) if _is_free(scene, n, left, right)), None)
    if channel is None:
        raise MediaError(f"There is no free channel above {clip.name}.", "Make room for a matte strip.")
    # Of a file that is there Blender would read the whole picture now, which takes it 50 ms and more.
    later = str(mattes.folder / mattes.single(item.layer).prefix) + "named in the next line"
    strip = compat.new_strips(scene).new_image("Matte: " + item.name, later, channel, left)
    strip.elements[0].filename = first
    strip.directory = compat.portable(strip.directory)
    compat.cache_nothing(strip)
    strip.colorspace_settings.name = "Non-Color"
    strip.mute, strip.select, strip.color_tag = True, False, _tag(target, item)
    strip.sa2va.matte_of, strip.sa2va.layer = target.settings.uid, _GROWING
    return strip


def _grow(strip: Any, names: Iterator[str]) -> Iterator[None]:
    while chunk := [*islice(names, _GROWTH)]:
        for name in chunk:
            strip.elements.append(name)
        compat.set_length(strip, len(strip.elements))
        yield


def _take_over(target: StripTarget, item: MatteObject) -> None:
    """Put the grown strip, which the modifier uses by now, in the place of the earlier one."""
    old, strip = _made(target, item.layer), _growing(target)
    if old is not None:
        name, channel, tag = strip.name, old.channel, old.color_tag
        compat.remove_strips(target.scene, [old])
        strip = compat.strips(target.scene)[name]
        strip.color_tag = tag
        if _is_free(target.scene, channel, target.facts.left, target.facts.right):
            strip.channel = channel
    strip.name, strip.sa2va.layer = "Matte: " + item.name, item.layer
    compat.connect_strips(bpy.context, target.scene, (target.owner, strip))


def _growing(target: StripTarget) -> Any:
    strip = _made(target, _GROWING)
    if strip is None:
        raise MediaError("The matte strip was removed while it was being made.", "Press Use This in History.")
    return strip


def _made(target: StripTarget, layer: str) -> Any:
    """The layer's matte strip; None where there is none."""
    uid = target.settings.uid
    strips = compat.strips(target.scene)
    return next((s for s in strips if s.sa2va.matte_of == uid and s.sa2va.layer == layer), None)


def _is_free(scene: Any, channel: int, left: int, right: int) -> bool:
    for strip in compat.strips(scene):
        facts = compat.strip_facts(strip)
        if strip.channel == channel and facts.left < right and facts.right > left:
            return False
    return True


def _lie_plain(strip: Any) -> None:
    """A rendered frame is the whole picture; Blender 4.x and 5.x differ in what new strips are scaled to."""
    strip.transform.scale_x = strip.transform.scale_y = 1.0
    strip.transform.offset_x = strip.transform.offset_y = strip.transform.rotation = 0.0


def _remove_others(target: StripTarget, layers: set[str]) -> None:
    """Strips and modifiers of objects that this run no longer has."""
    gone = [
        strip
        for strip in compat.strips(target.scene)
        if strip.sa2va.matte_of == target.settings.uid and strip.sa2va.layer not in layers
    ]
    for strip in gone:
        with compat.sequencer_of(target.scene):
            for modifier in [m for m in target.owner.modifiers if getattr(m, "input_mask_strip", None) == strip]:
                target.owner.modifiers.remove(modifier)
    if gone:
        compat.remove_strips(target.scene, gone)


def _tag(target: StripTarget, item: MatteObject) -> str:
    named = next((o for o in target.settings.objects if o.name == item.name), None)
    if named is None:
        return "NONE"
    colour = tuple(named.colour)
    return min(_TAGS, key=lambda tag: sum((a - b) ** 2 for a, b in zip(_TAGS[tag], colour)))


def attach_modifier(target: StripTarget, mattes: Mattes, plan: Plan) -> None:
    """A node group that the strip itself runs through. Raises MediaError where a node cannot follow the strip."""
    clip = target.owner
    first = attach_nodes.first_frame(target, plan)
    name = f"{PREFIX}{clip.name} (strip)"
    group = attach_nodes.fresh_group(name, target.settings.uid + "/strip")
    group.interface.new_socket(name="Image", in_out="INPUT", socket_type="NodeSocketColor")
    group.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    entry, leave = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    image = attach_nodes.matte_node(group, target, mattes, first)
    alpha = compat.set_alpha_node(group)
    group.links.new(entry.outputs["Image"], alpha.inputs["Image"])
    group.links.new(image.outputs[mattes.objects[0].layer], alpha.inputs["Alpha"])
    group.links.new(alpha.outputs["Image"], leave.inputs["Image"])
    attach_nodes.arrange(entry, image, alpha, leave)
    with compat.sequencer_of(target.scene):
        modifier = clip.modifiers.get(PREFIX + "Mattes") or clip.modifiers.new(PREFIX + "Mattes", "COMPOSITOR")
        modifier.node_group = group
    compat.show_through(clip)
