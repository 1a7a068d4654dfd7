"""The files and folders that a job names, as another process or another machine has them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Callable

from .jobspec import JobSpec


def map_paths(spec: JobSpec, change: Callable[[str], str]) -> JobSpec:
    """The job with ``change`` done to the paths of its plate, OCIO configuration, pins and output folder.

    The engine's model is left alone, since it may be a catalogue name, and so is a built-in OCIO configuration.
    """
    shot = replace(spec.shot, path=change(spec.shot.path))
    if shot.ocio_config and "://" not in shot.ocio_config:
        shot = replace(shot, ocio_config=change(shot.ocio_config))
    objects = tuple(
        replace(item, masks=tuple(replace(pin, path=change(pin.path)) for pin in item.masks)) for item in spec.objects
    )
    return replace(spec, shot=shot, objects=objects, outputs=replace(spec.outputs, folder=change(spec.outputs.folder)))


def absolute(path: str) -> str:
    """``path`` from the root on, without ``..``, which people cannot read and path mapping rules do not see through.

    What stands before a ``..`` is followed through links first, as the system does; the rest is left as it is, links
    and frame patterns too.
    """
    whole = Path(path).expanduser().absolute()
    parts = whole.parts
    if ".." not in parts:
        return str(whole)
    rest = parts[::-1].index("..")
    return str(Path(os.path.realpath(str(Path(*parts[: len(parts) - rest])))).joinpath(*parts[len(parts) - rest :]))


def resolve(spec: JobSpec, ocio: str) -> JobSpec:
    """The job as another process understands it: paths made absolute, and the host's $OCIO written in. The engine's
    model is a path where there is a folder of that name."""
    shot, engine = replace(spec.shot, ocio_config=spec.shot.ocio_config or ocio), spec.engine
    if engine.model and Path(engine.model).expanduser().is_dir():
        engine = replace(engine, model=absolute(engine.model))
    return map_paths(replace(spec, shot=shot, engine=engine), absolute)
