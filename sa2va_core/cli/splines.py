"""``sa2va splines``: splines of finished mattes, to another tolerance, without the engine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sa2va_core.jobs.respline import make_splines

from .console import JsonListener, TextListener, print_json
from .matte import stop_on_signal


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("splines", help="make splines of a finished job's mattes")
    parser.add_argument("folder", type=Path, help="the job's results")
    parser.add_argument("--tolerance", type=float, metavar="PX", help="how far they may be off (what the job says)")
    parser.add_argument("--json", action="store_true", help="events as JSON lines, for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    listener = JsonListener() if arguments.json else TextListener()
    with stop_on_signal() as cancelled:
        made = make_splines(arguments.folder, arguments.tolerance, listener, cancelled)
    if arguments.json:
        print_json({"event": "splines", "files": made})
    else:
        for path in made:
            print(path)
    return 0
