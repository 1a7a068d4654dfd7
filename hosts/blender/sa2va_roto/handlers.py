"""What happens by itself: the timer, files that come and go, the Esc key."""

from __future__ import annotations

from typing import Any, Optional

import bpy
from bpy.app.handlers import persistent

from . import machine, properties
from .host import HOST, STEP

_AREAS = {"SEQUENCE_EDITOR", "CLIP_EDITOR", "NODE_EDITOR", "PREFERENCES"}
_keys: list[tuple[Any, Any]] = []
_shown: tuple[Any, ...] = ()


def wake() -> None:
    """Run the job's steps from now on."""
    if not bpy.app.timers.is_registered(_step):
        bpy.app.timers.register(_step, first_interval=STEP, persistent=True)
    redraw()


def _step() -> Optional[float]:
    global _shown
    HOST.tick()
    state = (HOST.busy, HOST.text, HOST.fraction, HOST.notice, HOST.preview_path, tuple(HOST.verdicts))
    if state != _shown:
        _shown = state
        redraw()
    return None if HOST.idle else STEP


def redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in _AREAS:
                for region in area.regions:
                    if region.type == "UI" or area.type == "PREFERENCES":
                        region.tag_redraw()


@persistent
def _before_load(*_: Any) -> None:
    HOST.detach()


@persistent
def _after_load(*_: Any) -> None:
    if HOST.come_back(bpy.data.filepath):
        wake()


@persistent
def _after_save(*_: Any) -> None:
    HOST.keep(bpy.data.filepath)


def _learn_engines() -> None:
    properties.set_engines([tuple(item) for item in machine.store().engines().get("engines", []) if len(item) == 3])


_HANDLERS = (("load_pre", _before_load), ("load_post", _after_load), ("save_post", _after_save))


def register() -> None:
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    _learn_engines()
    keyconfig = bpy.context.window_manager.keyconfigs.addon
    if keyconfig is not None:  # there is none without a window
        for keymap_name, space in (
            ("Sequencer", "SEQUENCE_EDITOR"),
            ("SequencerPreview", "SEQUENCE_EDITOR"),
            ("Clip Editor", "CLIP_EDITOR"),
            ("Node Editor", "NODE_EDITOR"),
        ):
            keymap = keyconfig.keymaps.new(name=keymap_name, space_type=space)
            # It catches Esc only while a job runs: the operator's poll lets it pass otherwise.
            _keys.append((keymap, keymap.keymap_items.new("sa2va.cancel", "ESC", "PRESS")))


def unregister() -> None:
    HOST.detach()
    if bpy.app.timers.is_registered(_step):
        bpy.app.timers.unregister(_step)
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(handler)
