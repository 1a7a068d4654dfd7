"""What the user can do; each is found in search (F3), and says why it is grey."""

# No "from __future__ import annotations" here: Blender reads properties from evaluated annotations.
# pyright: reportInvalidTypeForm=false

from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty
from sa2va_plugin.errors import Sa2vaError

from . import attach_choice, doctor, handlers, selection
from .host import HOST
from .properties import add_object
from .targets import StripTarget


def _why_not(context: Any) -> str:
    """Why there is nothing to generate from; empty when there is."""
    target = selection.from_context(context)
    if target is None:
        return "Select a clip first"
    if target.kind == "STRIP" and target.owner.type == "SOUND":
        return "A sound strip has no picture; select a movie or image strip"
    return ""


def _tell(operator: Any, error: Sa2vaError) -> set[str]:
    HOST.notice = ("ERROR", error.message, error.hint)
    operator.report({"ERROR"} if bpy.app.background else {"WARNING"}, error.message)
    handlers.redraw()
    return {"CANCELLED"}


class SA2VA_OT_generate(bpy.types.Operator):
    bl_idname = "sa2va.generate"
    bl_label = "Generate Mattes"
    bl_description = "Make mattes of what the phrases name, in the background"
    # Undone with the mattes, the run would be missing from the history.
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = "A job is running" if HOST.busy else _why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> set[str]:
        target = selection.from_context(context)
        if target is None:
            return {"CANCELLED"}
        try:
            HOST.start(target)
        except Sa2vaError as error:
            return _tell(self, error)
        handlers.wake()
        return {"FINISHED"}


class SA2VA_OT_phrase_entered(bpy.types.Operator):
    """Starts when Enter ended the typing, and not when a click elsewhere did."""

    bl_idname = "sa2va.phrase_entered"
    bl_label = "Phrase Entered"
    bl_options = {"INTERNAL"}

    def invoke(self, context: Any, event: Any) -> set[str]:
        if not HOST.busy:
            HOST.notice = ("", "", "")  # what was said is of the phrase before
        if event.type in {"RET", "NUMPAD_ENTER"} and bpy.ops.sa2va.generate.poll():
            return bpy.ops.sa2va.generate()
        return {"CANCELLED"}


class SA2VA_OT_cancel(bpy.types.Operator):
    bl_idname = "sa2va.cancel"
    bl_label = "Cancel Mattes"
    bl_description = "Stop the job. Its finished frames stay, and Generate goes on from there"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        if not HOST.busy:
            cls.poll_message_set("No job is running")
        return HOST.busy

    def invoke(self, context: Any, event: Any) -> set[str]:
        if event.type == "ESC" and context.screen and context.screen.is_animation_playing:
            return {"PASS_THROUGH"}  # it stops the playback
        return self.execute(context)

    def execute(self, context: Any) -> set[str]:
        HOST.cancel()
        handlers.redraw()
        return {"FINISHED"}


class SA2VA_OT_go_on(bpy.types.Operator):
    bl_idname = "sa2va.go_on"
    bl_label = "Go On"
    bl_description = "Reach or start the worker again; the job goes on from its finished frames"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        if not HOST.offers_go_on:
            cls.poll_message_set("No job was interrupted")
        return HOST.offers_go_on

    def execute(self, context: Any) -> set[str]:
        HOST.go_on()
        handlers.wake()
        return {"FINISHED"}


class _OnTarget(bpy.types.Operator):
    """Does something to the selected clip."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        reason = _why_not(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> set[str]:
        target = selection.from_context(context)
        try:
            done = target is not None and self.apply(target)
        except Sa2vaError as error:
            return _tell(self, error)
        return {"FINISHED"} if done else {"CANCELLED"}

    def apply(self, target: Any) -> bool:
        """Whether anything was done."""
        raise NotImplementedError


class SA2VA_OT_object_add(_OnTarget):
    bl_idname = "sa2va.object_add"
    bl_label = "Add Object"
    bl_description = "Another object of the same clip: all are matted in one pass"
    bl_options = {"REGISTER", "UNDO"}

    def apply(self, target: Any) -> bool:
        add_object(target.claim())
        return True


class SA2VA_OT_object_remove(_OnTarget):
    bl_idname = "sa2va.object_remove"
    bl_label = "Remove Object"
    bl_description = "Take the object from the list; its mattes stay where they are"
    bl_options = {"REGISTER", "UNDO"}

    def apply(self, target: Any) -> bool:
        settings = target.settings
        if not settings.objects:
            return False
        settings.objects.remove(settings.active)
        settings.active = max(0, min(settings.active, len(settings.objects) - 1))
        return True


class SA2VA_OT_object_move(_OnTarget):
    bl_idname = "sa2va.object_move"
    bl_label = "Move Object"
    bl_description = "Change the order of the objects"
    bl_options = {"REGISTER", "UNDO"}

    direction: EnumProperty(items=(("UP", "Up", ""), ("DOWN", "Down", "")))

    def apply(self, target: Any) -> bool:
        settings = target.settings
        to = settings.active + (-1 if self.direction == "UP" else 1)
        if not 0 <= to < len(settings.objects):
            return False
        settings.objects.move(settings.active, to)
        settings.active = to
        return True


class SA2VA_OT_show_object(_OnTarget):
    bl_idname = "sa2va.show_object"
    bl_label = "Show This Object"
    bl_description = "Cut the strip out by this object's matte, and by none of the others"
    bl_options = {"REGISTER", "UNDO"}

    name: StringProperty(description="The object; without a name the one chosen in the list", options={"SKIP_SAVE"})

    def apply(self, target: Any) -> bool:
        settings = target.settings
        if not settings.objects or not isinstance(target, StripTarget):
            return False
        attach_choice.show(target, self.name or settings.objects[settings.active].name)
        return True


class SA2VA_OT_use_run(_OnTarget):
    bl_idname = "sa2va.use_run"
    bl_label = "Use This"
    bl_description = "Bring this run's mattes into the scene, in the chosen result form"
    bl_options = {"REGISTER"}  # the undo step is the attaching's own

    run: IntProperty()

    @classmethod
    def poll(cls, context: Any) -> bool:
        return _idle(cls) and super().poll(context)

    def apply(self, target: Any) -> bool:
        if not 0 <= self.run < len(target.settings.runs):
            return False
        HOST.use_run(target, target.settings.runs[self.run])
        handlers.wake()
        return True


def _idle(cls: Any) -> bool:
    if HOST.busy:
        cls.poll_message_set("A job is running; cancel it first")
    return not HOST.busy


class _OnWorker(bpy.types.Operator):
    """Not while a job runs."""

    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return _idle(cls)


class SA2VA_OT_start_worker(_OnWorker):
    bl_idname = "sa2va.start_worker"
    bl_label = "Start Worker"
    bl_description = "Start the background worker now, and ask it which engines can run"

    def execute(self, context: Any) -> set[str]:
        HOST.ask_engines()
        handlers.wake()
        return {"FINISHED"}


class SA2VA_OT_stop_worker(_OnWorker):
    bl_idname = "sa2va.stop_worker"
    bl_label = "Stop Worker"
    bl_description = "End the background worker, which frees its memory; a waiting job goes on at its next start"

    def execute(self, context: Any) -> set[str]:
        HOST.shut_down_worker()
        handlers.wake()
        return {"FINISHED"}


class SA2VA_OT_show_log(bpy.types.Operator):
    bl_idname = "sa2va.show_log"
    bl_label = "Show Log"
    bl_description = "The end of the worker's log, as a text in the Text Editor"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        text = bpy.data.texts.get("Sa2VA worker log") or bpy.data.texts.new("Sa2VA worker log")
        text.clear()
        text.write(doctor.log_tail(200) or "There is no log yet.")
        self.report({"INFO"}, 'See "Sa2VA worker log" in the Text Editor')
        return {"FINISHED"}


_CLASSES = (
    SA2VA_OT_generate,
    SA2VA_OT_phrase_entered,
    SA2VA_OT_cancel,
    SA2VA_OT_go_on,
    SA2VA_OT_object_add,
    SA2VA_OT_object_remove,
    SA2VA_OT_object_move,
    SA2VA_OT_use_run,
    SA2VA_OT_show_object,
    SA2VA_OT_start_worker,
    SA2VA_OT_stop_worker,
    SA2VA_OT_show_log,
)


def register() -> None:
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
