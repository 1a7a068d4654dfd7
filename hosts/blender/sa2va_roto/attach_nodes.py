"""Mattes in the compositor: one named group with the clip cut out and a socket an object, or a Cryptomatte node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
from sa2va_plugin.errors import MediaError
from sa2va_plugin.naming import FramePattern

from . import compat, selection
from .frames import Plan
from .mattes import Mattes
from .properties import PREFIX
from .targets import ImageTarget, StripTarget, Target

_UID = "sa2va_uid"
_LONG = 1_000_000


def attach_group(target: Target, mattes: Mattes, plan: Plan) -> Iterator[None]:
    """The group "Sa2VA: clip" and a node of it. A second run fills the same group anew, so that links stay.

    The picture is linked to the output only where nothing is. In steps. Raises MediaError.
    """
    first, key = first_frame(target, plan), target.key
    _picture(target)
    yield
    target = selection.again(key)
    tree = compat.compositor_tree(target.scene, create=True)
    name = PREFIX + target.name
    group = fresh_group(name, target.settings.uid)
    _set_outputs(group, [("Image", "NodeSocketColor"), *((o.layer, "NodeSocketFloat") for o in mattes.objects)])
    picture = _picture_node(group, target)
    image = matte_node(group, target, mattes, first)
    alpha = compat.set_alpha_node(group)
    leave = group.nodes.new("NodeGroupOutput")
    group.links.new(picture.outputs["Image"], alpha.inputs["Image"])
    # Several objects: the union, which is what a cut-out of all of them is.
    cut = image.outputs[mattes.objects[0].layer if len(mattes.objects) == 1 else "Alpha"]
    group.links.new(cut, alpha.inputs["Alpha"])
    group.links.new(alpha.outputs["Image"], leave.inputs["Image"])
    for item in mattes.objects:
        group.links.new(image.outputs[item.layer], leave.inputs[item.layer])
    arrange(picture, image, alpha, leave)
    node = next((n for n in tree.nodes if n.bl_idname == "CompositorNodeGroup" and n.node_tree == group), None)
    if node is None:
        node = tree.nodes.new("CompositorNodeGroup")
        node.node_tree, node.name, node.label, node.width = group, name, name, 240
        place(tree, node)
    _link_if_free(tree, node.outputs["Image"])


def attach_cryptomatte(target: Target, mattes: Mattes, plan: Plan) -> Iterator[None]:
    """A Cryptomatte node that picks the first object by its name. In steps. Raises MediaError."""
    if not mattes.crypto:
        raise MediaError("This run made no Cryptomatte files.", "Generate again with the result Cryptomatte Node.")
    first, key = first_frame(target, plan), target.key
    _picture(target)
    yield
    target = selection.again(key)
    tree = compat.compositor_tree(target.scene, create=True)
    name = f"{PREFIX}{target.name} Cryptomatte"
    node = tree.nodes.get(name)
    if node is None:
        node = tree.nodes.new("CompositorNodeCryptomatteV2")
        node.name, node.label, node.width = name, name, 240
        place(tree, node)
        picture = _picture_node(tree, target)
        picture.location = (node.location.x - 260, node.location.y)
        tree.links.new(picture.outputs["Image"], node.inputs["Image"])
    node.source = "IMAGE"
    node.image = _sequence(target, mattes, mattes.crypto_pattern, "cryptomatte")
    _time(node, mattes, first)
    node.matte_id = mattes.picked
    _link_if_free(tree, node.outputs["Image"])


# Parts


def first_frame(target: Target, plan: Plan) -> int:
    """The timeline frame at which file number 1 shows. Raises MediaError where a strip does not run straight."""
    facts = target.facts
    if isinstance(target, StripTarget):
        if plan.rendered:
            return facts.start + plan.origin
        source = target.source()
        plain = source is not None and (not source.numbers or _rising(source.numbers))
        if not facts.straight or not plain:
            raise MediaError(
                f"{target.name} runs backwards, in steps or out of order, which an Image node cannot follow.",
                "Choose the result Matte Strip.",
            )
        assert source is not None
        return facts.start - facts.trim - source.number(0) + 1
    source = target.source()
    assert source is not None
    return facts.start - facts.trim - source.number(0) + 1


def _rising(numbers: tuple[int, ...]) -> bool:
    return all(b == a + 1 for a, b in zip(numbers, numbers[1:])) or len(set(numbers)) == 1


def fresh_group(name: str, uid: str) -> Any:
    """The group that we made for this, emptied but for its sockets, or a new one."""
    group = next((g for g in bpy.data.node_groups if g.get(_UID) == uid), None)
    if group is None:
        group = bpy.data.node_groups.new(name, "CompositorNodeTree")
        group[_UID] = uid
    group.nodes.clear()
    return group


def _set_outputs(group: Any, wanted: list[tuple[str, str]]) -> None:
    """Keep sockets that stay: taking them away would cut the user's links."""
    for socket in [s for s in group.interface.items_tree if s.item_type == "SOCKET"]:
        if (socket.name, socket.socket_type) not in wanted:
            group.interface.remove(socket)
    present = {socket.name for socket in group.interface.items_tree}
    for name, kind in wanted:
        if name not in present:
            group.interface.new_socket(name=name, in_out="OUTPUT", socket_type=kind)


def matte_node(group: Any, target: Target, mattes: Mattes, first: int) -> Any:
    """An Image node of the layered EXR series, with a float socket for each layer."""
    node = group.nodes.new("CompositorNodeImage")
    node.label, node.width = "Mattes", 200
    node.image = _sequence(target, mattes, mattes.layers, "mattes")
    _time(node, mattes, first)
    return node


def _sequence(target: Target, mattes: Mattes, pattern: FramePattern, what: str) -> Any:
    name = f"{PREFIX}{target.name} {what}"
    uid = f"{target.settings.uid}/{what}"
    path = compat.portable(mattes.path(pattern, mattes.frames[0]))
    image = next((i for i in bpy.data.images if i.get(_UID) == uid), None)
    if image is None:
        image = bpy.data.images.load(path, check_existing=False)
        image.name, image[_UID] = name, uid
    else:
        image.source, image.filepath = "FILE", path
        image.reload()
    image.size[:]  # 4.2 finds the layers when it reads a single file, not a sequence
    image.source = "SEQUENCE"
    image.colorspace_settings.name = "Non-Color"
    return image


def _time(node: Any, mattes: Mattes, first: int) -> None:
    """Blender shows file number frame - frame_start + 1 + frame_offset."""
    node.frame_start, node.frame_offset = first, 0
    node.frame_duration = min(_LONG, mattes.frames[-1])
    node.use_auto_refresh = True


def _picture(target: Target) -> Any:
    """What shows the clip itself, an image or a movie clip. To open a movie takes Blender some time, once."""
    return movie_clip(target) if isinstance(target, StripTarget) else target.owner


def _picture_node(tree: Any, target: Target) -> Any:
    """The clip itself, as a node."""
    if isinstance(target, ImageTarget):
        node = tree.nodes.new("CompositorNodeImage")
        node.image = _picture(target)
        for name in ("frame_start", "frame_offset", "frame_duration", "use_auto_refresh", "use_cyclic"):
            setattr(node, name, getattr(target.node, name))
        return node
    node = tree.nodes.new("CompositorNodeMovieClip")
    node.clip = _picture(target)
    return node


def movie_clip(target: Target) -> Any:
    """A strip's file as a movie clip that shows the same frame at the same time."""
    source = target.source()
    if source is None:
        raise MediaError(f"{target.name} has no files of its own.", "Choose the result Matte Strip.")
    uid = target.settings.uid + "/clip"
    pattern = None if source.movie else FramePattern.parse(source.path)
    path = compat.portable(source.path if pattern is None else pattern.path(source.number(0)))
    clip = next((c for c in bpy.data.movieclips if c.get(_UID) == uid), None)
    if clip is None or clip.filepath != path:
        clip = bpy.data.movieclips.load(path)
        clip[_UID] = uid
    clip.frame_start = target.facts.start - target.facts.trim
    clip.colorspace_settings.name = target.colour_space
    return clip


def _link_if_free(tree: Any, socket: Any) -> None:
    out = compat.compositor_output(tree, create=True)
    if not out.is_linked:
        tree.links.new(socket, out)


def place(tree: Any, node: Any) -> None:
    """Below all that is there."""
    others = [n for n in tree.nodes if n != node]
    node.location = (
        min((n.location.x for n in others), default=0),
        min((n.location.y for n in others), default=300) - 320,
    )


def arrange(*nodes: Any) -> None:
    for place, node in enumerate(nodes):
        node.location = (place * 280, 0 if place != 1 else -240)
