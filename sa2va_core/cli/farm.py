"""``sa2va farm``: a prompt sheet as a bundle for a render farm, and what the bundle's sessions call."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from sa2va_plugin.connection import read_connection
from sa2va_plugin.paths import absolute

from sa2va_core.farm.bundle import SUBMIT_SLURM, write_bundle
from sa2va_core.farm.plan import plan
from sa2va_core.worker.remote import connect

from .batch import add_sheet_options
from .matte import frame_count
from .worker import end_worker

_FOLDER = "SA2VA_WORKER_FOLDER"


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("farm", help="export a prompt sheet for a render farm")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    export = verbs.add_parser("export", help="write a job bundle (Open Job Description)")
    add_sheet_options(export)
    export.add_argument("--to", choices=("openjd", "slurm"), default="openjd", help="which submission to explain")
    export.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the bundle")
    export.add_argument("--results", metavar="DIR", required=True, help="folder for the results, a folder a shot")
    export.add_argument("--chunk", type=frame_count, metavar="N", help="cut longer shots into a chain of tasks")
    export.add_argument("--timeout", type=float, default=12.0, metavar="HOURS", help="the longest a task may run (12)")
    export.set_defaults(run=_export)
    for name, verb, help_ in (
        ("enter", _enter, "start a worker of this session's own (called by the bundle)"),
        ("leave", _leave, "end it (called by the bundle)"),
    ):
        sub = verbs.add_parser(name, help=help_)
        sub.add_argument("folder", type=Path, help="the session's folder for its worker")
        sub.set_defaults(run=verb)


def _export(arguments: argparse.Namespace) -> int:
    results, folder = Path(absolute(arguments.results)), Path(absolute(arguments.output))
    jobs = plan(arguments.sheet, results, arguments.shot, arguments.object)
    name = f"Mattes: {arguments.sheet.stem}"[:128]
    template = write_bundle(jobs, folder, name, chunk=arguments.chunk, timeout_hours=arguments.timeout)
    print(f"{len(jobs)} shots: {template}")
    if arguments.to == "slurm":
        print(f"Submit with: {folder / SUBMIT_SLURM}")
    else:
        print(f'Run here with: openjd run "{template}" -p OutDir="{results}"')
        print(f'Submit to Deadline Cloud with: deadline bundle submit "{folder}"')
    return 0


def _enter(arguments: argparse.Namespace) -> int:
    arguments.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ[_FOLDER] = str(arguments.folder)
    connect(start=True).close()
    print(f"openjd_env: {_FOLDER}={arguments.folder}")
    return 0


def _leave(arguments: argparse.Namespace) -> int:
    os.environ[_FOLDER] = str(arguments.folder)
    if read_connection(str(arguments.folder)) is not None:
        end_worker(connect())
    return 0
