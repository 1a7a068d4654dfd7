"""The extension's preferences: where the worker is, what it runs on, where results of unsaved files go."""

# No "from __future__ import annotations" here: Blender reads properties from evaluated annotations.
# pyright: reportInvalidTypeForm=false

from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from . import doctor, machine
from .panels import wrapped


class SA2VA_AP_preferences(bpy.types.AddonPreferences):
    bl_idname = machine.PACKAGE

    python: StringProperty(
        name="Worker's Python",
        description="The Python that Sa2VA Roto is installed in; empty: what its installer recorded",
        subtype="FILE_PATH",
    )
    device: EnumProperty(
        name="Device",
        description="What the engine computes on",
        items=(
            ("auto", "Automatic", "A GPU where the engine can use one, else the CPU"),
            ("cpu", "CPU", "The processor alone"),
            ("cuda", "CUDA", "An NVIDIA GPU"),
            ("mps", "Metal", "Apple's GPU"),
        ),
    )
    scratch: StringProperty(
        name="Scratch Folder",
        description="Results of .blend files that were never saved; empty: the extension's own folder",
        subtype="DIR_PATH",
    )

    def draw(self, context: Any) -> None:
        layout = self.layout
        layout.use_property_split = True
        box = layout.box()
        lines = box.column(align=True)
        for icon, line in [*doctor.examine(), *doctor.said()]:
            wrapped(lines, context, line, icon)
        row = box.row(align=True)
        row.operator("sa2va.start_worker", icon="PLAY")
        row.operator("sa2va.stop_worker", icon="SNAP_FACE")
        row.operator("sa2va.show_log", icon="TEXT")
        layout.prop(self, "python")
        layout.prop(self, "device")
        layout.prop(self, "scratch")


def register() -> None:
    bpy.utils.register_class(SA2VA_AP_preferences)


def unregister() -> None:
    bpy.utils.unregister_class(SA2VA_AP_preferences)
