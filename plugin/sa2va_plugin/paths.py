"""The files and folders that a job names, as another process or another machine has them."""

from __future__ import annotations

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


def resolve(spec: JobSpec, ocio: str) -> JobSpec:
    """The job as another process understands it: paths made absolute, and the host's $OCIO written in."""
    shot = replace(spec.shot, ocio_config=spec.shot.ocio_config or ocio)
    return map_paths(replace(spec, shot=shot), lambda path: str(Path(path).expanduser().absolute()))
