"""``sa2va look``: the plate beside the picture that the model sees."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from sa2va_core.media.look import look

from .matte import add_plate_options, shot_from


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("look", help="show what the model sees of a frame")
    parser.add_argument("shot", help="movie, file of a sequence, folder or pattern")
    parser.add_argument("--frame", type=int, help="frame number (the first)")
    parser.add_argument("-o", "--output", type=_png, default=Path("look.png"), metavar="FILE", help="PNG (look.png)")
    add_plate_options(parser)
    parser.set_defaults(run=run)


def _png(text: str) -> Path:
    if Path(text).suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text} does not end in .png")
    return Path(text)


def run(arguments: argparse.Namespace) -> int:
    shot = shot_from(arguments)
    if arguments.missing is None:
        shot = replace(shot, missing="skip")  # one frame can be looked at while others are still rendered
    for caption in look(shot, arguments.frame, arguments.output):
        print(caption)
    print(f"Look at: {arguments.output}")
    return 0
