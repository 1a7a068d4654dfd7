"""``sa2va matte``: a shot and phrases, or a job file, to mattes."""

from __future__ import annotations

import argparse
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import JobSpecError
from sa2va_plugin.jobspec import (
    FORMATS,
    MISSING_POLICIES,
    EngineSpec,
    JobSpec,
    MatteSettings,
    ObjectSpec,
    Outputs,
    Shot,
)
from sa2va_plugin.naming import name_from_phrase, split_object

from sa2va_core.engines import registry
from sa2va_core.jobs.runner import run_job
from sa2va_core.worker.remote import run_in_worker

from .console import JsonListener, TextListener
from .qc import add_bar, require

_EPILOG = """examples:
  sa2va matte juggle.mp4 "the man" "ball=the white ball" -o out
  sa2va matte plates/sh010.####.exr "the girl on the right" -o out --range 1001-1100 --colour-space ACEScg
  sa2va matte job.json
"""


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "matte",
        help="make mattes of what phrases name",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shot", help="movie, file of a sequence, folder, pattern (####, %%04d, <f>), or a job (.json)")
    parser.add_argument("objects", nargs="*", metavar="[NAME=]PHRASE", help="what to matte; several in one pass")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for the results")
    add_plate_options(parser)
    parser.add_argument("--range", metavar="A-B", help="first and last frame, inclusive")
    parser.add_argument("--output-first", type=int, metavar="N", help="number of the first result frame")
    parser.add_argument("--format", choices=FORMATS, help="form of the mattes (exr)")
    parser.add_argument("--rgb", choices=("none", "matte", "plate"), help="what the EXR's bare RGB holds (none)")
    parser.add_argument("--compression", choices=("zip", "zips"), help="EXR compression (zip)")
    parser.add_argument("--crop", action="store_true", help="shrink the EXR data window to the mattes")
    parser.add_argument("--cryptomatte", action="store_true", help="also write a Cryptomatte of all objects")
    parser.add_argument("--splines", action="store_true", help="also make splines of the mattes, for Blender and Nuke")
    parser.add_argument("--spline-tolerance", type=float, metavar="PX", help="how far they may be off (1)")
    parser.add_argument("--no-refine", action="store_true", help="do not fit edges to the plate")
    parser.add_argument("--engine", choices=registry.names(), help="engine (starter)")
    parser.add_argument("--model", help="weights: catalogue name or folder")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps")
    add_bar(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace another job's results in the same folder")
    parser.add_argument("--worker", action="store_true", help="run in the background worker, started if need be")
    parser.add_argument("--print-job", action="store_true", help="print the job as JSON and stop")
    parser.add_argument("--json", action="store_true", help="events as JSON lines, for machines")
    parser.set_defaults(run=run)


def add_plate_options(parser: argparse.ArgumentParser) -> None:
    """Options that say how a plate is read; shared with ``sa2va look``."""
    parser.add_argument("--first-frame", type=int, metavar="N", help="number of a movie's first frame (1)")
    parser.add_argument("--fps", type=float, help="frames per second, where the plate does not say")
    parser.add_argument("--missing", choices=MISSING_POLICIES, help="what to do about gaps (error)")
    parser.add_argument("--stereo-view", metavar="VIEW", help="what %%V stands for")
    parser.add_argument("--layer", help="EXR layer that holds the plate's RGB")
    parser.add_argument("--colour-space", metavar="SPACE", help="colour space of the plate")
    parser.add_argument("--ocio", metavar="CONFIG", help="OCIO configuration: a path or an ocio:// name")
    parser.add_argument("--display", help="OCIO display that the model sees")
    parser.add_argument("--display-view", metavar="VIEW", help="OCIO view that the model sees")


_SHOT_OPTIONS = {
    "first_frame": "movie_first",
    "fps": "fps",
    "missing": "missing",
    "stereo_view": "view",
    "layer": "layer",
    "colour_space": "colour_space",
    "ocio": "ocio_config",
    "display": "display",
    "display_view": "display_view",
    "output_first": "output_first",
}


def shot_from(arguments: argparse.Namespace) -> Shot:
    """The plate that the options describe."""
    given = {field: getattr(arguments, option, None) for option, field in _SHOT_OPTIONS.items()}
    return Shot(arguments.shot, **{field: value for field, value in given.items() if value is not None})


def job_from(arguments: argparse.Namespace) -> JobSpec:
    """The job that the options describe. Raises JobSpecError."""
    if arguments.shot.lower().endswith(".json"):
        return _job_from_file(arguments)
    if not arguments.output:
        raise JobSpecError("There is no output folder.", "Add -o DIR.")
    shot = shot_from(arguments)
    if arguments.range:
        shot = replace(shot, range=_range(arguments.range))
    engine = {name: getattr(arguments, name) for name in ("model", "device") if getattr(arguments, name)}
    given = ("format", "rgb", "compression", "splines", "spline_tolerance")
    outputs = {name: getattr(arguments, name) for name in given if getattr(arguments, name)}
    return JobSpec(
        shot=shot,
        objects=tuple(_object(text) for text in arguments.objects),
        outputs=Outputs(arguments.output, crop=arguments.crop, cryptomatte=arguments.cryptomatte, **outputs),
        engine=EngineSpec(arguments.engine or "starter", **engine),
        matte=MatteSettings(refine=not arguments.no_refine),
    )


def _job_from_file(arguments: argparse.Namespace) -> JobSpec:
    if arguments.objects:
        raise JobSpecError("A job file names its own objects.", "Leave the phrases out, or name a plate instead.")
    path = Path(arguments.shot)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JobSpecError(f"The job file cannot be read: {error}", "Check the path.") from error
    spec = JobSpec.from_json(text)
    return replace(spec, outputs=replace(spec.outputs, folder=arguments.output)) if arguments.output else spec


def _object(text: str) -> ObjectSpec:
    name, phrase = split_object(text)
    if not phrase:
        raise JobSpecError(f"The phrase in {text!r} is empty.", "Say in words what the matte is of.")
    return ObjectSpec(name_from_phrase(phrase) if name is None else name, phrase)


def _range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(-?\d+)\s*(?:[-:]\s*(-?\d+)\s*)?", text)
    if not match:
        raise JobSpecError(f"{text!r} is not a frame range.", "Write it as 1001-1100.")
    return int(match[1]), int(match[2] if match[2] is not None else match[1])


def run(arguments: argparse.Namespace) -> int:
    spec = job_from(arguments)
    if arguments.print_job:
        print(spec.to_json(), end="")
        return 0
    listener = JsonListener() if arguments.json else TextListener()
    with stop_on_signal() as cancelled:
        run = run_in_worker if arguments.worker else run_job
        run(spec, on_event=listener, cancelled=cancelled, overwrite=arguments.overwrite)
    if arguments.fail_under is not None:
        require(Path(spec.outputs.folder), arguments.fail_under)
    return 0


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C stops at once, as usual."""
    cancelled = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in signals]

    def stop(number: int, frame: object) -> None:
        cancelled.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield cancelled
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
