"""What a clip's owner (strip, movie clip, image) keeps in the .blend file."""

# No "from __future__ import annotations" here: Blender reads properties from evaluated annotations.
# pyright: reportInvalidTypeForm=false

import uuid
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)
from sa2va_plugin.naming import name_from_phrase

from . import compat

#: What the names of all that we add to a document start with.
PREFIX = "Sa2VA: "
#: Okabe and Ito's palette, as the overlay of the results uses it.
COLOURS = (
    (0.90, 0.62, 0.0), (0.34, 0.71, 0.91), (0.0, 0.62, 0.45), (0.94, 0.89, 0.26),
    (0.0, 0.45, 0.70), (0.84, 0.37, 0.0), (0.80, 0.47, 0.65),
)  # fmt: skip

FORMS = {
    "STRIP": ("Matte Strip", "A muted matte strip above the clip, and a Mask modifier on the clip that uses it"),
    "MODIFIER": ("Compositor Modifier", "A node group on the strip itself: it keeps to the strip when that is scaled"),
    "NODES": ("Compositor Nodes", "A node group with the clip cut out, and one socket for each object's matte"),
    "CRYPTO": ("Cryptomatte Node", "One Cryptomatte node, in which objects are picked by name"),
    "MASK": ("Mask", "An editable mask with animated splines, for each object; soft edges become sharp ones"),
    "FILES": ("Files Only", "EXR files, and nothing added to this .blend file"),
}
_FORMS_OF = {
    "STRIP": ("STRIP", "MODIFIER", "NODES", "CRYPTO", "MASK", "FILES"),
    "CLIP": ("NODES", "CRYPTO", "MASK", "FILES"),
    "IMAGE": ("NODES", "CRYPTO", "MASK", "FILES"),
}


def forms_of(kind: str) -> tuple[str, ...]:
    """The result forms that make sense for a kind of clip in this Blender."""
    return tuple(f for f in _FORMS_OF[kind] if f != "MODIFIER" or compat.HAS_STRIP_COMPOSITOR)


def kind_of(data: Any) -> str:
    """``data``: the data block that the settings belong to; a strip's is its scene."""
    if isinstance(data, bpy.types.MovieClip):
        return "CLIP"
    return "IMAGE" if isinstance(data, bpy.types.Image) else "STRIP"


# Blender keeps no reference to the texts of a dynamic enumeration: they must live somewhere.
_form_items: dict[str, list[tuple[str, str, str, int]]] = {}


def _forms(settings: Any, context: Any) -> list[tuple[str, str, str, int]]:
    kind = kind_of(settings.id_data)
    if kind not in _form_items:
        order, (first, *_) = list(FORMS), forms_of(kind)
        # Files keep the number, and 0 is what nobody has chosen yet: each kind's own first form.
        _form_items[kind] = [(f, *FORMS[f], 0 if f == first else order.index(f)) for f in forms_of(kind)]
    return _form_items[kind]


_STARTER = ("starter", "Starter", "Small networks for any computer, no GPU needed", 0)
_engine_items: list[tuple[str, str, str, int]] = [_STARTER]


def capital(text: str) -> str:
    """As names of engines are shown beside each other, and what is said of them."""
    return text[:1].upper() + text[1:]


def set_engines(engines: Any) -> None:
    """``engines``: name, label and state, as the worker told."""
    # Files keep the number: an engine keeps its own as long as Blender runs, and the worker's order is stable.
    known = {item[0]: item for item in _engine_items}
    for name, label, state in engines:
        number = known[name][3] if name in known else 1 + max(item[3] for item in known.values())
        known[name] = (name, capital(label), capital(state), number)
    _engine_items[:] = sorted(known.values(), key=lambda item: item[3])


def _engines(settings: Any, context: Any) -> list[tuple[str, str, str, int]]:
    return _engine_items


def _get_phrase(settings: Any) -> str:
    index = settings.active
    return settings.objects[index].phrase if 0 <= index < len(settings.objects) else ""


def _set_phrase(settings: Any, phrase: str) -> None:
    if not settings.objects:
        if not phrase.strip():
            return
        add_object(settings)
    item = settings.objects[min(max(settings.active, 0), len(settings.objects) - 1)]
    named_after = not item.name or item.name == name_from_phrase(item.phrase or "object")
    item.phrase, item.verdict, item.reason = phrase, "", ""
    if named_after and phrase.strip():
        item.name = unique_name(settings, name_from_phrase(phrase), item)


def _phrase_entered(settings: Any, context: Any) -> None:
    # The operator knows which key ended the typing; only Enter starts.
    if not bpy.app.background and settings.phrase.strip():
        bpy.ops.sa2va.phrase_entered("INVOKE_DEFAULT")


def add_object(settings: Any, phrase: str = "", name: str = "") -> Any:
    item = settings.objects.add()
    item.colour = COLOURS[(len(settings.objects) - 1) % len(COLOURS)]
    item.phrase = phrase
    if phrase or name:
        item.name = unique_name(settings, name or name_from_phrase(phrase), item)
    settings.active = len(settings.objects) - 1
    return item


def unique_name(settings: Any, name: str, item: Any) -> str:
    taken = {other.name.lower() for other in settings.objects if other != item}
    found, number = name, 2
    while found.lower() in taken:
        found, number = f"{name}_{number}", number + 1
    return found


class SA2VA_PG_object(bpy.types.PropertyGroup):
    name: StringProperty(name="Name", description="Names the layer, the matte strip and the socket")
    phrase: StringProperty(name="Phrase", description="What the matte is of, in words")
    use: BoolProperty(name="Use", description="Matte this object", default=True)
    colour: FloatVectorProperty(
        name="Colour", description="Colour of the matte strip", subtype="COLOR_GAMMA", size=3, min=0, max=1
    )
    verdict: StringProperty()
    reason: StringProperty()


class SA2VA_PG_run(bpy.types.PropertyGroup):
    """One run, finished or not. ``plan``: JSON of frames.Plan."""

    name: StringProperty()
    folder: StringProperty()
    hash: StringProperty()
    plan: StringProperty()


class SA2VA_PG_clip(bpy.types.PropertyGroup):
    uid: StringProperty()
    objects: CollectionProperty(type=SA2VA_PG_object)
    active: IntProperty(name="Active Object", default=0)
    phrase: StringProperty(
        name="Phrase",
        description="What to matte, in your words: the man on the left. Enter starts",
        get=_get_phrase,
        set=_set_phrase,
        update=_phrase_entered,
    )
    range: EnumProperty(
        name="Range",
        description="Which frames to matte",
        items=(
            ("CLIP", "Clip", "All that shows of the clip"),
            ("PREVIEW", "Preview Range", "The scene's preview range"),
            ("SCENE", "Scene", "The scene's frame range"),
        ),
        default="CLIP",
    )
    engine: EnumProperty(name="Engine", description="What finds the objects", items=_engines)
    model: StringProperty(
        name="Model",
        description="Folder or catalogue name of the engine's weights; empty: its own",
        subtype="FILE_PATH",
    )
    form: EnumProperty(name="Result", description="What comes of the mattes", items=_forms)
    as_shown: BoolProperty(
        name="As the Sequencer Shows It",
        description="Look at the strip with its modifiers, speed and effects, rendered by a second Blender first",
    )
    runs: CollectionProperty(type=SA2VA_PG_run)
    # A matte strip that we made: the clip's uid and the layer it shows.
    matte_of: StringProperty()
    layer: StringProperty()


def claim(owner: Any, others: Any) -> Any:
    """An owner's settings, with a uid that no other owner has: copies of a clip bring the original's along."""
    settings = owner.sa2va
    if not settings.uid or any(o.sa2va.uid == settings.uid for o in others if o != owner):
        settings.uid = uuid.uuid4().hex[:8]
    return settings


_CLASSES = (SA2VA_PG_object, SA2VA_PG_run, SA2VA_PG_clip)
_OWNERS = (compat.StripType, bpy.types.MovieClip, bpy.types.Image)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    for owner in _OWNERS:
        owner.sa2va = PointerProperty(type=SA2VA_PG_clip)


def unregister() -> None:
    for owner in _OWNERS:
        del owner.sa2va
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
