"""Splines of a finished job, made again from its mattes: another tolerance needs no engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import Cancelled, MediaError, ResultError
from sa2va_plugin.jobspec import JobSpec, check_tolerance
from sa2va_plugin.naming import layer_name

from sa2va_core.media.frames import PlateFacts
from sa2va_core.media.mattes import read_matte

from . import manifest
from .events import Listener, Progress, Warned
from .folder import remove_scratch, sole_use
from .journal import sha256
from .splines import SplineWriter


def make_splines(
    folder: Path,
    tolerance: float | None = None,
    on_event: Listener = lambda event: None,
    cancelled: threading.Event | None = None,
) -> list[Path]:
    """Fit the mattes in ``folder`` again and return the files made. ``tolerance`` in pixels; None means the job's own.

    Raises ResultError where the folder holds no finished job of EXR or still mattes, JobSpecError for the tolerance,
    MediaError for mattes that are gone, OutputError while a job writes to the folder, and Cancelled.
    """
    if not folder.is_dir():
        raise _no_job(folder)
    with sole_use(folder):
        data = manifest.read(folder)
        if data is None:
            raise _no_job(folder)
        return _fit(folder, data, tolerance, on_event, cancelled or threading.Event())


def _no_job(folder: Path) -> ResultError:
    return ResultError(f"There is no finished job in this folder: {folder}", "Name the folder given to -o.")


def _fit(
    folder: Path, data: dict[str, Any], tolerance: float | None, on_event: Listener, stop: threading.Event
) -> list[Path]:
    spec = JobSpec.from_dict(data["job"])
    if spec.outputs.format == "prores":
        raise ResultError(
            f"The mattes are movies, which splines are not made of: {folder}", "Run the job again with --splines."
        )
    tolerance = spec.outputs.spline_tolerance if tolerance is None else tolerance
    check_tolerance(tolerance)
    began: dict[str, float] = {}

    def step(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            raise Cancelled("Stopped; the splines that were there before stay.", "Run the same command to try again.")
        spent = time.monotonic() - began.setdefault(stage, time.monotonic())
        on_event(Progress(stage, done, total, None, spent * (total - done) / done if done else None))

    writer = SplineWriter(folder, _facts(data), spec.objects, tolerance, step)
    try:
        records = data["frames"]
        for number, record in enumerate(records):
            step("reading mattes", number, len(records))
            alphas = {
                item.name: read_matte(_file(folder, record, item.name), layer_name(item.name)) for item in spec.objects
            }
            writer.write(record["frame"], alphas)
        made = writer.finish([record["frame"] for record in records])
    finally:
        remove_scratch(folder)
    for message in writer.warnings:
        on_event(Warned(message))
    data["files"] |= {path.relative_to(folder).as_posix(): sha256(path) for path in made}
    manifest.write(folder, data)
    return made


def _file(folder: Path, record: Mapping[str, Any], name: str) -> Path:
    """The file that holds an object's matte on one frame: the EXR of all objects, or else its own."""
    folders = "mattes", f"mattes/{layer_name(name)}"
    found = [file for folder in folders for file in record["files"] if file.rpartition("/")[0] == folder]
    if not found:
        raise MediaError(
            f"The manifest names no matte of {name!r} on frame {record['frame']}: {folder}", "Run the job again."
        )
    return folder / found[0]


def _facts(data: Mapping[str, Any]) -> PlateFacts:
    plate = data["plate"]
    return PlateFacts(
        stem=plate["name"],
        size=(plate["size"][0], plate["size"][1]),
        pixel_aspect=plate["pixel_aspect"],
        fps=Fraction(plate["fps"]),
        colour_space=plate["colour_space"],
        colour_source=plate["colour_source"],
    )
