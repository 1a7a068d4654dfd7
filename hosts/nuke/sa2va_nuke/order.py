"""What the knobs say -> a job. No Nuke in here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from sa2va_plugin.errors import JobSpecError
from sa2va_plugin.jobspec import EngineSpec, JobSpec, ObjectSpec, Outputs, Shot
from sa2va_plugin.naming import name_from_phrase, split_object

LAYERS, ROTO, CRYPTOMATTE, FILES = "layers", "layers + Roto", "layers + Cryptomatte", "files only"
RESULTS = (LAYERS, ROTO, CRYPTOMATTE, FILES)
#: Nuke would take these for frame numbers or views, and has already put those in where it evaluated a knob.
_TOKENS = re.compile(r"#|%0?\d*[dvV]")
_VERSION = re.compile(r"v(\d{3,})")


@dataclass(frozen=True)
class Order:
    """The part of the knobs that is not about the plate."""

    objects: str
    engine: str = "starter"
    model: str = ""
    result: str = LAYERS
    tolerance: float = 2.0
    plate_name: str = ""


def objects(text: str) -> tuple[ObjectSpec, ...]:
    """One object a line: ``name=phrase``, or a phrase alone."""
    found = []
    for line in text.splitlines():
        if line.strip():
            name, phrase = split_object(line)
            found.append(ObjectSpec(name or name_from_phrase(phrase), phrase))
    if not found:
        raise JobSpecError(
            "The node names no object.", 'Type one a line, for example "the man" or "ball=the red ball".'
        )
    return tuple(found)


def job(order: Order, shot: Shot, folder: str) -> JobSpec:
    """Raises JobSpecError."""
    extra: dict[str, Any] = {}
    if order.result == ROTO:
        extra.update(splines=True, spline_tolerance=order.tolerance)
    if order.result == CRYPTOMATTE:
        extra["cryptomatte"] = True
    outputs = Outputs(folder, crop=True, compression="zips", plate_name=order.plate_name, **extra)
    return JobSpec(shot, objects(order.objects), outputs, EngineSpec(order.engine, order.model))


def output_folder(chosen: str, typed: str, script: str, node: str) -> str:
    """Where a node's runs go. ``chosen``: what the knob evaluates to, ``typed``: what it holds. ``script``: the saved
    script's path, or empty. Raises JobSpecError."""
    if chosen.strip():
        folder = chosen.strip().replace("\\", "/").rstrip("/")
        if re.match(r"[A-Za-z]:(?!/)", folder):
            # So is P:\\mattes once TCL has taken its backslash for an escape.
            raise JobSpecError(f"The folder for mattes is no path: {typed or folder}", "Write it as P:/mattes.")
        if not re.match(r"/|[A-Za-z]:/", folder):
            if not script:
                raise JobSpecError("The folder for mattes is relative, and the script is not saved.", "Save it first.")
            folder = f"{parent(script)}/{folder}"
    elif script:
        folder = f"{parent(script)}/sa2va/{node}"
    else:
        raise JobSpecError("The script is not saved, so mattes have no place.", "Save it, or choose a folder.")
    check_folder(folder, typed)
    return folder


def check_folder(folder: str, typed: str) -> None:
    """Whether a Read of files in it finds them: what is in its path, Nuke takes for more than letters. Raises
    JobSpecError. ``typed``: what the knob holds that evaluates to ``folder``."""
    if re.search("[#%]", folder) or _TOKENS.search(typed):
        raise JobSpecError(
            f"Nuke takes part of this folder for a frame number, a view or a variable: {typed or folder}",
            "Choose one without # and %.",
        )


def parent(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[0]


def run_folder(base: str, made: Callable[[str], JobSpec], pending: str) -> str:
    """The folder of the next run in ``base``: a new version each time, except that an unfinished run goes on.

    ``pending``: the hash of the job that was submitted last. A version that a Read may show is never written to again.
    """
    newest = max(versions(base), default=0)
    if newest:
        folder = f"{base}/v{newest:03d}"
        if not Path(folder, "manifest.json").exists() and pending and made(folder).hash() == pending:
            return folder
    return f"{base}/v{newest + 1:03d}"


def versions(base: str) -> list[int]:
    """The numbers of the versions in ``base``."""
    try:
        names = [path.name for path in Path(base).iterdir() if path.is_dir()]
    except OSError:
        return []
    return [int(m[1]) for m in map(_VERSION.fullmatch, names) if m]
