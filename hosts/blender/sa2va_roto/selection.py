"""Finding targets: the one that is selected, and again the one that a job was started for."""

from __future__ import annotations

from typing import Any, Optional

import bpy
from sa2va_plugin.errors import JobSpecError

from . import compat
from .targets import ClipTarget, ImageTarget, StripTarget, Target


def from_context(context: Any) -> Optional[Target]:
    """What is selected in the editor that the panel is in."""
    space = context.space_data
    kind = space.type if space else "SEQUENCE_EDITOR"
    if kind == "CLIP_EDITOR":
        return ClipTarget(context.scene, space.clip) if space.clip else None
    if kind == "NODE_EDITOR":
        node = getattr(context, "active_node", None)
        return _of_node(context.scene, node)
    scene = compat.editor_scene(context)
    editor = scene.sequence_editor if scene else None
    strip = editor.active_strip if editor else None
    if strip is None:
        return None
    if strip.sa2va.matte_of:
        # Our own matte strip is selected: what is meant is the clip that it belongs to.
        return find(scene.name, "STRIP", strip.sa2va.matte_of, "")
    return StripTarget(scene, strip)


def _of_node(scene: Any, node: Any) -> Optional[Target]:
    if node is None:
        return None
    if node.bl_idname == "CompositorNodeMovieClip" and node.clip:
        return ClipTarget(scene, node.clip)
    if node.bl_idname == "CompositorNodeImage" and node.image:
        return ImageTarget(scene, node)
    return None


def find(scene_name: str, kind: str, uid: str, name: str) -> Optional[Target]:
    """The target that a job was started for; by name where an undo has taken its uid back."""
    scene = bpy.data.scenes.get(scene_name)
    if scene is None:
        return None
    if kind == "CLIP":
        clip = _pick(bpy.data.movieclips, uid, name)
        return ClipTarget(scene, clip) if clip else None
    if kind == "STRIP":
        strip = _pick([s for s in compat.all_strips(scene) if not s.sa2va.matte_of], uid, name)
        return StripTarget(scene, strip) if strip else None
    image = _pick(bpy.data.images, uid, name)
    tree = compat.compositor_tree(scene)
    for node in tree.nodes if image and tree else ():
        if node.bl_idname == "CompositorNodeImage" and node.image == image:
            return ImageTarget(scene, node)
    return None


def again(key: tuple[str, str, str, str]) -> Target:
    """The target of a key. Raises JobSpecError when it is gone."""
    found = find(*key)
    if found is None:
        raise JobSpecError(
            f"{key[3]} is gone from the scene; its mattes are kept.",
            "Undo its removal, then press Use This in its History.",
        )
    return found


def _pick(owners: Any, uid: str, name: str) -> Any:
    found = [owner for owner in owners if owner.sa2va.uid == uid]
    named = [owner for owner in found if owner.name == name]
    if found:
        return (named or found)[0]
    return next((owner for owner in owners if name and owner.name == name and not owner.sa2va.uid), None)
