"""From what a panel says to a job: objects, files, folders, and whether the engine can run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy
from sa2va_plugin.errors import EngineError, JobSpecError, ModelError, OutputError
from sa2va_plugin.jobspec import EngineSpec, ObjectSpec, Outputs
from sa2va_plugin.messages import EngineList

from . import compat, machine
from .targets import StripTarget, Target

_LONGEST_PHRASE = 1000
#: Pixels. At the default, 1, small shapes are off: a disc of 20 pixels in radius would have an IoU of 0.98.
_SPLINE_TOLERANCE = 0.75


def check_engine(spec: EngineSpec, engines: EngineList) -> None:
    engine = next((e for e in engines.engines if e.name == spec.name), None)
    if engine is None:
        raise EngineError(f"The worker has no engine {spec.name!r}.", "Choose another engine.")
    if engine.unavailable:
        raise EngineError(f"The engine {engine.label} cannot run on this computer.", engine.unavailable)
    if spec.name != "starter":
        return
    missing = [m.name for m in engines.models if m.state == "missing"]
    if missing and not bpy.app.online_access:
        raise ModelError(
            f"Models are missing ({', '.join(missing)}), and Blender is set to stay offline.",
            "Allow Online Access in Preferences > System, or run `sa2va models fetch` once.",
        )


def check_result(target: Target) -> None:
    """Raises JobSpecError where the chosen result cannot come of this clip."""
    form = target.settings.form
    if not isinstance(target, StripTarget):
        return
    if target.owner.type == "SOUND":
        raise JobSpecError("A sound strip has no picture.", "Select a movie or image strip.")
    if target.owner.parent_meta() and form == "STRIP":
        raise JobSpecError(
            f"{target.name} lies in a meta strip, where a matte strip cannot reach it.",
            "Matte the meta strip itself, or choose another result.",
        )
    if target.rendered and form in ("MODIFIER", "NODES", "CRYPTO"):
        raise JobSpecError(
            "This strip must be rendered first, which the compositor cannot follow.",
            "Choose the result Matte Strip, Mask or Files Only.",
        )


def objects(settings: Any) -> tuple[ObjectSpec, ...]:
    """Raises JobSpecError for what cannot be a job, before anything is made."""
    used = [item for item in settings.objects if item.use]
    if not used:
        raise JobSpecError("There is nothing to matte yet.", "Type what the matte is of: the man on the left.")
    for item in used:
        if not item.phrase.strip():
            raise JobSpecError("A phrase is empty.", "Say in words what the matte is of.")
        if len(item.phrase) > _LONGEST_PHRASE:
            raise JobSpecError(
                f"The phrase has {len(item.phrase)} letters.", f"Say it in a sentence of up to {_LONGEST_PHRASE}."
            )
    return tuple(ObjectSpec(item.name.strip() or f"object_{n}", item.phrase.strip()) for n, item in enumerate(used, 1))


# Folders


def outputs(target: Target, form: str) -> Outputs:
    """What files a result form needs; the folder is decided later, as it does not shape the files."""
    return Outputs(
        "?",
        rgb="matte",
        per_object=target.kind == "STRIP",
        cryptomatte=form == "CRYPTO",
        splines=form == "MASK",
        spline_tolerance=_SPLINE_TOLERANCE,
        plate_name=_file_name(target.name),
    )


def results_root(blend: str) -> Path:
    """Where results go: beside the .blend file, or the scratch folder while it is not saved."""
    return Path(blend).parent / "sa2va" if blend else machine.scratch_folder()


def _file_name(name: str) -> str:
    """A clip's name as the beginning of file names."""
    return re.sub(r"[^\w\-]+", "_", Path(name).stem or name).strip("_")[:60] or "clip"


def new_folder(target: Target) -> Path:
    base = results_root(bpy.data.filepath) / f"{_file_name(target.name)}-{target.settings.uid}"
    used = [int(m[1]) for run in target.settings.runs if (m := re.search(r"run(\d+)[\\/]?$", run.folder))]
    number = max(used, default=0) + 1
    while (base / f"run{number:03d}").exists():
        number += 1
    return base / f"run{number:03d}"


def writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".sa2va-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"Results cannot be written ({error.strerror}): {folder}",
            "Save the .blend where you may write, or set a scratch folder in the preferences.",
        ) from error
    return folder


def same_run(settings: Any, digest: str) -> str:
    """The folder of an earlier run of the very same job: what is finished there is not done again."""
    return next((folder_of(run) for run in settings.runs if run.hash == digest), "")


def folder_of(run: Any) -> str:
    return os.path.normpath(bpy.path.abspath(run.folder))


def manifest_of(run: Any) -> Path:
    """Written last: it is there when the run is done. The .blend file cannot tell, as an undo changes it."""
    return Path(folder_of(run), "manifest.json")


def note_run(settings: Any, request: Mapping[str, Any], objects: tuple[ObjectSpec, ...]) -> None:
    run = run_of(settings, request)
    run.hash, run.plan = request["hash"], request["plan"]
    run.name = ", ".join(item.phrase for item in objects)[:120]


def run_of(settings: Any, request: Mapping[str, Any]) -> Any:
    """The history's entry of a job, made where there is none."""
    for run in settings.runs:
        if folder_of(run) == request["folder"]:
            return run
    run = settings.runs.add()
    run.folder = compat.portable(request["folder"])
    return run
