"""``sa2va matte``: a shot and phrases, or a job file, to mattes."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import Cancelled, JobSpecError, Sa2vaError
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
from sa2va_plugin.paths import resolve

from sa2va_core.engines import registry
from sa2va_core.farm.paths import mapped, read_rules
from sa2va_core.jobs.events import Event, FrameReady
from sa2va_core.jobs.runner import run_job
from sa2va_core.mattes.qc import result as qc
from sa2va_core.worker.remote import run_in_worker

from .console import JsonListener, OpenJdListener, TextListener, stop_on_signal
from .qc import add_bar

_EPILOG = """examples:
  sa2va matte juggle.mp4 "the man" "ball=the white ball" -o out
  sa2va matte plates/sh010.####.exr "the girl on the right" -o out --range 1001-1100 --colour-space ACEScg
  sa2va matte job.json
"""


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "matte",
        help="make mattes of what phrases name",
        usage="sa2va matte SHOT [NAME=]PHRASE ... -o DIR [options]\n       sa2va matte JOB.json [options]",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "shot",
        metavar="SHOT",
        help="movie, file of a sequence, folder, pattern (####, %%04d, <f>), or a job (.json)",
    )
    parser.add_argument("objects", nargs="*", metavar="[NAME=]PHRASE", help="what to matte; several in one pass")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--negative",
        action="append",
        default=[],
        metavar="[NAME=]PHRASE",
        help="what to leave out of the object NAME, or of all; may be given again",
    )
    plate = add_plate_options(parser)
    plate.add_argument("--range", metavar="A-B", help="first and last frame, inclusive")
    _add_output_options(parser.add_argument_group("results"))
    _add_matte_options(parser.add_argument_group("edges, in plate pixels"))
    add_engine_options(parser, default="starter")
    how = parser.add_argument_group("how it runs")
    add_bar(how)
    how.add_argument("--overwrite", action="store_true", help="replace another job's results in the same folder")
    how.add_argument("--worker", action="store_true", help="run in the background worker, started if need be")
    how.add_argument("--pause-after", type=frame_count, metavar="N", help="stop after N more frames; again to go on")
    how.add_argument("--path-map", type=Path, metavar="FILE", help="path mapping rules of Open Job Description")
    how.add_argument("--print-job", action="store_true", help="print the job as JSON and stop")
    form = how.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="events as JSON lines, for machines")
    form.add_argument("--openjd", action="store_true", help="progress and failure as Open Job Description reads them")
    parser.set_defaults(run=run, default_of=parser.get_default)


def _add_output_options(group: Any) -> None:
    group.add_argument("--format", choices=FORMATS, help="form of the mattes (exr)")
    group.add_argument(
        "--rgb", choices=("none", "matte", "plate", "foreground"), help="what the EXR's bare RGB holds (none)"
    )
    group.add_argument("--compression", choices=("zip", "zips"), help="EXR compression (zip)")
    group.add_argument("--crop", action="store_true", help="shrink the EXR data window to the mattes")
    group.add_argument("--per-object", action="store_true", help="also write an EXR of each object by itself")
    group.add_argument("--cryptomatte", action="store_true", help="also write a Cryptomatte of all objects")
    group.add_argument("--splines", action="store_true", help="also make splines of the mattes, for Blender and Nuke")
    group.add_argument("--spline-tolerance", type=float, metavar="PX", help="how far they may be off, mostly (2)")
    group.add_argument("--output-first", type=int, metavar="N", help="number of the first result frame (the plate's)")


def _add_matte_options(group: Any) -> None:
    """How logits become alpha."""
    group.add_argument("--no-refine", action="store_true", help="do not fit edges to the plate")
    group.add_argument("--no-steady", action="store_true", help="do not take flicker out of edges")
    for option, text in (
        ("blur-band", "widen the edge band, for heavy motion blur or defocus (0)"),
        ("fill-holes", "fill holes up to this wide (0)"),
        ("drop-specks", "drop separate pieces up to this wide (0)"),
        ("grow", "move edges outwards; negative moves them inwards (0)"),
        ("softness", "soften edges over so many pixels (0)"),
    ):
        group.add_argument(f"--{option}", type=float, default=0.0, metavar="PX", help=text)
    group.add_argument(
        "--second-look", action="store_true", help="look at small objects again, at the scale of a crop (sa2va)"
    )


def _matte_from(arguments: argparse.Namespace) -> MatteSettings:
    """The matte settings that the options describe."""
    return MatteSettings(
        refine=not arguments.no_refine,
        steady=not arguments.no_steady,
        blur_band=arguments.blur_band,
        fill_holes=arguments.fill_holes,
        drop_specks=arguments.drop_specks,
        grow=arguments.grow,
        softness=arguments.softness,
        second_look=arguments.second_look,
    )


def add_plate_options(parser: argparse.ArgumentParser) -> Any:
    """Options that say how a plate is read, as a group of their own; shared with ``sa2va look`` and ``sa2va ask``."""
    group = parser.add_argument_group("the plate")
    group.add_argument("--colour-space", metavar="SPACE", help="colour space of the plate")
    group.add_argument("--ocio", metavar="CONFIG", help="OCIO configuration: a path or an ocio:// name")
    group.add_argument("--display", help="OCIO display that the model sees")
    group.add_argument("--display-view", metavar="VIEW", help="OCIO view that the model sees")
    group.add_argument("--layer", help="EXR layer that holds the plate's RGB")
    group.add_argument("--stereo-view", metavar="VIEW", help="what %%V stands for")
    group.add_argument("--missing", choices=MISSING_POLICIES, help="what to do about gaps (error)")
    group.add_argument("--fps", type=float, help="frames per second, where the plate does not say")
    group.add_argument("--first-frame", type=int, metavar="N", help="number of a movie's first frame (1)")
    return group


def add_engine_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Options that say what looks at the plate; shared with ``sa2va ask``."""
    group = parser.add_argument_group("the engine")
    group.add_argument("--engine", choices=registry.names(), default=default, help=f"engine ({default})")
    group.add_argument("--model", help="weights: catalogue name or folder")
    group.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps")


#: What may be said beside a job file: the file itself, where to, and how it runs.
_BESIDE_JOBS = frozenset({"shot", "objects", "negative", "output", "run", "default_of"}) | {
    *("fail_under", "overwrite", "worker", "pause_after", "path_map", "print_job", "json", "openjd")
}
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
        shot = replace(shot, range=frame_range(arguments.range))
    engine = {name: getattr(arguments, name) for name in ("model", "device") if getattr(arguments, name)}
    outputs = {name: getattr(arguments, name) for name in ("format", "rgb", "compression") if getattr(arguments, name)}
    if arguments.spline_tolerance is not None:
        if not arguments.splines:
            raise JobSpecError("--spline-tolerance is of splines, and the job makes none.", "Add --splines.")
        outputs["spline_tolerance"] = arguments.spline_tolerance
    return JobSpec(
        shot=shot,
        objects=_objects(arguments.objects, arguments.negative),
        outputs=Outputs(
            arguments.output,
            crop=arguments.crop,
            per_object=arguments.per_object,
            cryptomatte=arguments.cryptomatte,
            splines=arguments.splines,
            **outputs,
        ),
        engine=EngineSpec(arguments.engine, **engine),
        matte=_matte_from(arguments),
    )


def _job_from_file(arguments: argparse.Namespace) -> JobSpec:
    if arguments.objects or arguments.negative:
        raise JobSpecError("A job file names its own objects.", "Leave the phrases out, or name a plate instead.")
    given = vars(arguments).items()
    idle = [name for name, value in given if name not in _BESIDE_JOBS and value != arguments.default_of(name)]
    if idle:
        options = ", ".join("--" + name.replace("_", "-") for name in idle)
        raise JobSpecError(f"Beside a job file these do nothing: {options}.", "Say it in the job file.")
    path = Path(arguments.shot)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise JobSpecError(f"The job file cannot be read ({error.strerror}): {path}", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise JobSpecError(f"The job file is not UTF-8 text: {path}", "Save it as UTF-8.") from error
    spec = JobSpec.from_json(text)
    return replace(spec, outputs=replace(spec.outputs, folder=arguments.output)) if arguments.output else spec


def _object(text: str) -> ObjectSpec:
    name, phrase = split_object(text)
    if not phrase:
        raise JobSpecError(f"The phrase in {text!r} is empty.", "Say in words what the matte is of.")
    return ObjectSpec(name_from_phrase(phrase) if name is None else name, phrase)


def _objects(phrases: Sequence[str], negatives: Sequence[str]) -> tuple[ObjectSpec, ...]:
    """Phrases, and what is left out of one of them, or of all."""
    objects = [_object(text) for text in phrases]
    left_out: dict[str, list[str]] = {item.name: [] for item in objects}
    for text in negatives:
        name, phrase = split_object(text)
        if not phrase:
            raise JobSpecError(f"The negative phrase in {text!r} is empty.", "Say in words what to leave out.")
        if name is not None and name not in left_out:
            raise JobSpecError(f"There is no object {name!r} for {text!r}.", f"There is: {', '.join(left_out)}.")
        for its in left_out if name is None else (name,):
            left_out[its].append(phrase)
    return tuple(replace(item, negative_phrases=tuple(left_out[item.name])) for item in objects)


def frame_count(text: str) -> int:
    """For argparse: a number of frames, from 1; shared with ``sa2va farm``."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of frames")
    return int(text)


def frame_range(text: str) -> tuple[int, int]:
    """``1001-1100`` or ``1001`` as first and last frame. Raises JobSpecError."""
    match = re.fullmatch(r"\s*(-?\d+)\s*(?:[-:]\s*(-?\d+)\s*)?", text)
    if not match:
        raise JobSpecError(f"{text!r} is not a frame range.", "Write it as 1001-1100.")
    return int(match[1]), int(match[2] if match[2] is not None else match[1])


def run(arguments: argparse.Namespace) -> int:
    spec = job_from(arguments)
    if arguments.path_map:
        spec = mapped(spec, read_rules(arguments.path_map))
    if arguments.print_job:
        # A job file is UTF-8, which a pipe need not be.
        utf8 = sys.stdout.encoding.lower() in ("utf-8", "utf8")
        print(spec.to_json() if utf8 else json.dumps(spec.to_dict(), indent=2) + "\n", end="")
        return 0
    # As the worker and the farm write it, so that one job is the same job wherever it runs.
    spec = resolve(spec, os.environ.get("OCIO", ""))
    listener = JsonListener() if arguments.json else OpenJdListener() if arguments.openjd else TextListener()
    pause = _Pause(arguments.pause_after)
    try:
        with stop_on_signal() as cancelled:

            def tell(event: Event) -> None:
                listener(event)
                if pause.reached(event):
                    cancelled.set()

            run = run_in_worker if arguments.worker else run_job
            run(spec, on_event=tell, cancelled=cancelled, overwrite=arguments.overwrite)
        if arguments.fail_under is not None:
            folder = Path(spec.outputs.folder)
            qc.require_score(qc.require(folder), folder, arguments.fail_under)
    except Cancelled as stopped:
        if not pause.over:
            raise
        print(f"{stopped.message} {stopped.hint}")
        return 0
    except Sa2vaError as error:
        if arguments.openjd:
            print(f"openjd_fail: {error.message}", flush=True)
        raise
    return 0


class _Pause:
    """Counts the frames of this run."""

    def __init__(self, frames: int | None) -> None:
        self._left = frames
        self.over = False

    def reached(self, event: Event) -> bool:
        if self._left is not None and isinstance(event, FrameReady):
            self._left -= 1
            self.over = self._left <= 0
        return self.over
