"""``sa2va look``: the plate beside the picture that the model sees."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sa2va_core.media.look import look

from .matte import add_plate_options, shot_from


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("look", help="show what the model sees of a frame")
    parser.add_argument("shot", help="movie, file of a sequence, folder or pattern")
    parser.add_argument("--frame", type=int, help="frame number (the first)")
    parser.add_argument("-o", "--output", type=Path, default=Path("look.png"), metavar="FILE", help="PNG (look.png)")
    add_plate_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    for caption in look(shot_from(arguments), arguments.frame, arguments.output):
        print(caption)
    print(f"Look at: {arguments.output}")
    return 0
