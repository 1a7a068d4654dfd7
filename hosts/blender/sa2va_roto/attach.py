"""A finished run into the document, as one undo step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
from sa2va_plugin.errors import JobSpecError, MediaError

from . import attach_choice, attach_masks, attach_nodes, attach_strips, compat, mattes, order, properties, selection
from .frames import Plan
from .mattes import Mattes
from .targets import StripTarget, Target

_ON_THE_STRIP = ("STRIP", "MODIFIER", "MASK")


def finish(request: dict[str, Any], manifest: str) -> Iterator[None]:
    """What a job's end brings, in steps that are each short enough for the window's thread.

    Raises JobSpecError when its clip is gone, MediaError.
    """
    found = mattes.read(manifest)
    yield
    target = selection.again((request["scene"], request["kind"], request["uid"], request["name"]))
    if not target.settings.uid:
        target.settings.uid = request["uid"]  # an undo took it
    _note(target, request, found)
    yield from use(target, found, Plan.from_text(request["plan"]), request["form"])


def use(target: Target, found: Mattes, plan: Plan, form: str) -> Iterator[None]:
    """Bring mattes into the document in one of the result forms, in steps. Raises MediaError, JobSpecError."""
    if form not in properties.forms_of(target.kind):
        raise JobSpecError(f"This Blender has no {properties.FORMS[form][0]} here.", "Choose another result.")
    key, scene = target.key, target.scene.name
    reads_ahead = isinstance(target, StripTarget) and form in _ON_THE_STRIP and compat.read_ahead(target.scene, False)
    try:
        if reads_ahead:
            yield
            yield  # time for the frame that is being read
        yield from _bring(selection.again(key), found, plan, form)
    finally:
        if reads_ahead and scene in bpy.data.scenes:
            compat.read_ahead(bpy.data.scenes[scene], True)
    yield
    _push_undo()


def _bring(target: Target, found: Mattes, plan: Plan, form: str) -> Iterator[None]:
    key = target.key
    if isinstance(target, StripTarget) and form == "STRIP":
        yield from attach_strips.attach_matte_strips(target, found, plan)
    elif isinstance(target, StripTarget) and form == "MODIFIER":
        attach_strips.attach_modifier(target, found, plan)
    elif form == "MASK":
        yield from attach_masks.attach_masks(target, found, plan)
    elif form == "NODES":
        yield from attach_nodes.attach_group(target, found, plan)
    elif form == "CRYPTO":
        yield from attach_nodes.attach_cryptomatte(target, found, plan)
    target = selection.again(key)
    if isinstance(target, StripTarget) and form in _ON_THE_STRIP:
        attach_choice.show_form(target, form)


def _push_undo() -> None:
    if bpy.ops.ed.undo_push.poll():  # there is no undo without a window
        bpy.ops.ed.undo_push(message="Sa2VA Mattes")


def use_run(target: Target, run: Any) -> Iterator[None]:
    """Bring an earlier run back, in steps. Raises MediaError, JobSpecError."""
    try:
        plan = Plan.from_text(run.plan)
    except (ValueError, KeyError, TypeError):
        raise MediaError("This run's record is damaged.", "Run it again.") from None
    found = mattes.read(str(order.manifest_of(run)))
    yield from use(target, found, plan, target.settings.form)


def _note(target: Target, request: dict[str, Any], found: Mattes) -> None:
    """Verdicts to the objects, and the run into the history."""
    for item in found.objects:
        for known in target.settings.objects:
            if known.name == item.name:
                known.verdict, known.reason = item.verdict, item.reason
    run = order.run_of(target.settings, request)
    run.hash, run.plan = request["hash"], request["plan"]
    run.name = ", ".join(item.phrase for item in found.objects)[:120]
