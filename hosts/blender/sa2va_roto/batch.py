"""``blender -b shot.blend --command sa2va``: mattes without a window, for queues and scripts."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import bpy
from sa2va_plugin.errors import Cancelled, JobSpecError, Sa2vaError
from sa2va_plugin.naming import split_object

from . import compat, properties
from .host import HOST, STEP
from .targets import ClipTarget, StripTarget, Target

_handle: Any = None


def run(arguments: list[str]) -> int:
    """Matte every strip and clip with objects, or those named. Returns 0, or an error's exit code."""
    options = _parser().parse_args(arguments)
    HOST.detach()  # a job that the file waits for goes on in the worker
    try:
        chosen = _targets(options)
        for target in chosen:
            _one(target)
        if options.save:
            bpy.ops.wm.save_mainfile()
    except (Sa2vaError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        HOST.cancel()
        return Cancelled.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blender -b FILE --command sa2va")
    parser.add_argument("phrases", nargs="*", metavar="[NAME=]PHRASE", help="objects, instead of those in the file")
    parser.add_argument("--scene", default="", help="scene (the active one)")
    parser.add_argument("--strip", action="append", default=[], metavar="NAME", help="only this strip; may be repeated")
    parser.add_argument("--clip", action="append", default=[], metavar="NAME", help="only this movie clip")
    parser.add_argument("--form", choices=sorted(properties.FORMS), help="what comes of the mattes")
    parser.add_argument("--engine", help="engine, instead of the one in the file")
    parser.add_argument("--save", action="store_true", help="save the .blend file with the results in it")
    return parser


def _targets(options: argparse.Namespace) -> list[Target]:
    scene = bpy.data.scenes.get(options.scene) if options.scene else compat.editor_scene(bpy.context)
    if scene is None:
        raise JobSpecError(f"There is no scene {options.scene!r}.", "Scenes: " + ", ".join(bpy.data.scenes.keys()))
    strips = {s.name: StripTarget(scene, s) for s in compat.strips(scene) if not s.sa2va.matte_of}
    clips = {c.name: ClipTarget(scene, c) for c in bpy.data.movieclips}
    named: list[Target] = [_named(strips, name, "strip") for name in options.strip]
    named += [_named(clips, name, "movie clip") for name in options.clip]
    found = named or [t for t in [*strips.values(), *clips.values()] if t.settings.objects]
    if not found:
        raise JobSpecError(
            "No strip or clip of this file has a phrase.", "Give one in Blender, or --strip NAME PHRASE."
        )
    for target in found:
        _fill_in(target, options)
    return found


def _named(known: dict[str, Any], name: str, what: str) -> Target:
    if name not in known:
        raise JobSpecError(f"There is no {what} {name!r}.", "There are: " + (", ".join(known) or "none") + ".")
    return known[name]


def _fill_in(target: Target, options: argparse.Namespace) -> None:
    settings = target.claim()
    if options.phrases:
        settings.objects.clear()
        for text in options.phrases:
            name, phrase = split_object(text)
            properties.add_object(settings, phrase, name or "")
    if options.form:
        if options.form not in properties.forms_of(target.kind):
            raise JobSpecError(f"{target.name} cannot have the result {options.form}.", "See --help.")
        settings.form = options.form
    if options.engine:
        properties.set_engines([(options.engine, options.engine, "")])
        settings.engine = options.engine


def _one(target: Target) -> None:
    """One job from start to mattes. Raises Sa2vaError."""
    name = target.name
    HOST.start(target)
    shown = ""
    while not HOST.idle:
        if HOST.offers_go_on:
            HOST.go_on()
        HOST.tick()
        if HOST.text and HOST.text != shown:
            shown = HOST.text
            print(f"{name}: {shown}", flush=True)
        time.sleep(STEP / 4)
    level, message, hint = HOST.notice
    if level == "ERROR":
        raise JobSpecError(message, hint)
    for object_name, (state, reason) in HOST.verdicts.items():
        print(f"{name}: {object_name}: {state}. {reason}", flush=True)


def register() -> None:
    global _handle
    _handle = bpy.utils.register_cli_command("sa2va", run)


def unregister() -> None:
    global _handle
    if _handle is not None:
        bpy.utils.unregister_cli_command(_handle)
        _handle = None
