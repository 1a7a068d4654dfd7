"""The side panels: the same in the Sequencer, the Movie Clip Editor and the compositor (tab Sa2VA)."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews
from sa2va_plugin.naming import layer_name

from . import attach_choice, doctor, machine, order, selection
from .host import HOST
from .targets import StripTarget

TAB = "Sa2VA"
_LINES = 10
_VERDICT_ICONS = {"found": "CHECKMARK", "ambiguous": "QUESTION", "not in shot": "X"}
_previews: Any = None


class SA2VA_UL_objects(bpy.types.UIList):
    def draw_item(
        self, context: Any, layout: Any, data: Any, item: Any, icon: Any, active: Any, property: Any, index: int = 0
    ) -> None:
        row = layout.row(align=True)
        row.prop(item, "use", text="")
        colour = row.row()
        colour.ui_units_x = 1
        colour.prop(item, "colour", text="")
        row.prop(item, "name", text="", emboss=False)
        words = row.row()
        words.active = item.use
        words.label(text=item.phrase)
        if item.verdict:
            row.label(text="", icon=_VERDICT_ICONS.get(item.verdict, "DOT"))
        target = selection.from_context(context) if len(data.objects) > 1 else None
        cuts = attach_choice.shown(target) if isinstance(target, StripTarget) else {}
        layer = layer_name(item.name)
        if layer in cuts:
            icon = "HIDE_OFF" if cuts[layer] else "HIDE_ON"
            row.operator("sa2va.show_object", text="", icon=icon, emboss=False).name = item.name


class _Panel:
    bl_region_type = "UI"
    bl_category = TAB


class _Main(_Panel):
    bl_label = "Sa2VA Roto"

    def draw(self, context: Any) -> None:
        _draw_panel(self.layout, context, self.bl_space_type)  # type: ignore[attr-defined]


def _draw_panel(layout: Any, context: Any, space: str) -> None:
    target = selection.from_context(context)
    if target is None:
        layout.label(text=_NOTHING[space], icon="INFO")
        _draw_state(layout, context)
        return
    settings = target.settings
    layout.label(text=target.name, icon=_ICONS[target.kind])
    if target.kind == "STRIP" and target.owner.type == "SOUND":
        layout.label(text="A sound strip has no picture.", icon="INFO")
    field = layout.row()
    field.scale_y = 1.3
    field.prop(settings, "phrase", text="", placeholder="the man on the left")
    if settings.objects:
        row = layout.row()
        row.template_list("SA2VA_UL_objects", "", settings, "objects", settings, "active", rows=2)
        side = row.column(align=True)
        side.operator("sa2va.object_add", text="", icon="ADD")
        side.operator("sa2va.object_remove", text="", icon="REMOVE")
        if len(settings.objects) > 1:
            side.operator("sa2va.object_move", text="", icon="TRIA_UP").direction = "UP"
            side.operator("sa2va.object_move", text="", icon="TRIA_DOWN").direction = "DOWN"
    column = layout.column()
    column.use_property_split, column.use_property_decorate = True, False
    column.prop(settings, "form")
    row = layout.row()
    row.scale_y = 1.5
    if HOST.busy:
        row.operator("sa2va.cancel", text="Cancel", icon="X")
    else:
        row.operator("sa2va.generate", text="Generate", icon="PLAY")
    _draw_state(layout, context)
    _draw_verdicts(layout, context, settings)


def _draw_state(layout: Any, context: Any) -> None:
    """Progress, what the last job said, and the worker's log where it died."""
    if HOST.busy and not HOST.offers_go_on:
        layout.progress(factor=HOST.fraction or 0.0, text=HOST.text or "Starting")
        _draw_preview(layout)
    level, message, hint = HOST.notice
    if message:
        box = layout.box().column(align=True)
        wrapped(box, context, message, doctor.NOTICE_ICONS[level])
        if hint:
            wrapped(box, context, hint, "BLANK1")
        if HOST.offers_go_on:
            box.operator("sa2va.go_on", icon="FILE_REFRESH")
            for line in doctor.log_tail(4).splitlines():
                box.label(text=line[-80:])
    for message in HOST.warnings[-3:]:
        wrapped(layout.column(align=True), context, message, "ERROR")


def _draw_verdicts(layout: Any, context: Any, settings: Any) -> None:
    for item in settings.objects:
        state, reason = HOST.verdicts.get(item.name, ("", "")) if HOST.busy else (item.verdict, item.reason)
        if state:
            column = layout.column(align=True)
            column.alert = state == "not in shot"  # red: there is no matte
            wrapped(column, context, f"{item.name}: {state}. {reason}", _VERDICT_ICONS.get(state, "DOT"))


def _draw_preview(layout: Any) -> None:
    if not HOST.preview_path or _previews is None:
        return
    if HOST.preview_path not in _previews:
        _previews.clear()
        try:
            _previews.load(HOST.preview_path, HOST.preview_path, "IMAGE")
        except KeyError:
            return
    layout.template_icon(_previews[HOST.preview_path].icon_id, scale=8)


def wrapped(layout: Any, context: Any, text: str, icon: str) -> None:
    """Labels do not wrap by themselves."""
    scale = context.preferences.system.ui_scale
    width = max(20, int((context.region.width - 60 * scale) / (6.2 * scale))) if context.region else 40
    lines = textwrap.wrap(text, width, max_lines=_LINES, placeholder=" ...") or [""]
    for number, line in enumerate(lines):
        layout.label(text=line, icon=icon if number == 0 else "BLANK1")


class _Settings(_Panel):
    bl_label = "Settings"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout: Any = self.layout  # type: ignore[attr-defined]
        target = selection.from_context(context)
        if target is None:
            return
        settings = target.settings
        layout.use_property_split, layout.use_property_decorate = True, False
        layout.prop(settings, "range")
        if target.kind == "STRIP":
            layout.prop(settings, "as_shown")
        layout.prop(settings, "engine")
        for engine in HOST.worker.engines.engines if HOST.worker.engines else ():
            if engine.name == settings.engine and engine.state != "ready":
                wrapped(layout.column(align=True), context, engine.state, "ERROR")
        layout.prop(settings, "model")
        if not HOST.worker.engines:
            layout.operator("sa2va.start_worker", text="Ask What Can Run Here", icon="FILE_REFRESH")
        if not bpy.data.filepath:
            wrapped(
                layout.column(align=True),
                context,
                f"This file is not saved; mattes go to {machine.scratch_folder()}",
                "INFO",
            )


class _History(_Panel):
    bl_label = "History"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout: Any = self.layout  # type: ignore[attr-defined]
        target = selection.from_context(context)
        runs = list(target.settings.runs) if target else []
        if not runs:
            layout.label(text="No run yet")
        for index in reversed(range(len(runs))):
            run = runs[index]
            row = layout.row()
            folder, done = order.folder_of(run), order.manifest_of(run).is_file()
            row.label(text=f"{Path(folder).name}: {run.name}", icon="CHECKMARK" if done else "DOT")
            if done:
                row.operator("sa2va.use_run", text="Use This").run = index
            else:
                runs_now = HOST.busy and HOST.request is not None and HOST.request.get("folder") == folder
                row.label(text="running" if runs_now else "not finished")


_ICONS = {"STRIP": "SEQUENCE", "CLIP": "TRACKER", "IMAGE": "IMAGE_DATA"}
_NOTHING = {
    "SEQUENCE_EDITOR": "Select a strip.",
    "CLIP_EDITOR": "Open a movie clip.",
    "NODE_EDITOR": "Select a Movie Clip or Image node.",
}
_EDITORS = (("SEQUENCE_EDITOR", "sequencer"), ("CLIP_EDITOR", "clip"), ("NODE_EDITOR", "nodes"))


def _in_compositor(cls: Any, context: Any) -> bool:
    space = context.space_data
    return space.type != "NODE_EDITOR" or space.tree_type == "CompositorNodeTree"


def _classes() -> list[Any]:
    """Blender wants a class a place."""
    made: list[Any] = [SA2VA_UL_objects]
    for space, word in _EDITORS:
        main = f"SA2VA_PT_{word}"
        common = {"bl_space_type": space, "poll": classmethod(_in_compositor)}
        made.append(type(main, (_Main, bpy.types.Panel), common))
        for part, name in ((_Settings, "settings"), (_History, "history")):
            made.append(type(f"{main}_{name}", (part, bpy.types.Panel), {**common, "bl_parent_id": main}))
    return made


_CLASSES = _classes()


class SA2VA_MT_roto(bpy.types.Menu):
    """Search (F3) finds what is in the menus of the editor that the mouse is over."""

    bl_label = "Sa2VA Roto"

    def draw(self, context: Any) -> None:
        layout = self.layout
        layout.operator("sa2va.generate", icon="MOD_MASK")
        layout.operator("sa2va.cancel", icon="X")
        layout.operator("sa2va.go_on", icon="FILE_REFRESH")
        layout.separator()
        layout.operator("sa2va.object_add", icon="ADD")
        layout.operator("sa2va.object_remove", icon="REMOVE")
        layout.operator("sa2va.show_object", icon="HIDE_OFF")
        layout.separator()
        layout.operator("sa2va.start_worker")
        layout.operator("sa2va.stop_worker")
        layout.operator("sa2va.show_log", icon="TEXT")


def _in_menu(self: Any, context: Any) -> None:
    if _in_compositor(None, context):
        self.layout.separator()
        self.layout.menu("SA2VA_MT_roto", icon="MOD_MASK")


_MENUS = ("SEQUENCER_MT_strip", "CLIP_MT_clip", "NODE_MT_node")


def register() -> None:
    global _previews
    _previews = bpy.utils.previews.new()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    bpy.utils.register_class(SA2VA_MT_roto)
    for name in _MENUS:
        getattr(bpy.types, name).append(_in_menu)


def unregister() -> None:
    global _previews
    for name in _MENUS:
        getattr(bpy.types, name).remove(_in_menu)
    bpy.utils.unregister_class(SA2VA_MT_roto)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    bpy.utils.previews.remove(_previews)
    _previews = None
