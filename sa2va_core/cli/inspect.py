"""``sa2va inspect``: what a result file holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sa2va_core.media.inspect import format_report, inspect_file

from .console import print_json


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("inspect", help="show layers, windows and metadata of a file")
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="as JSON, for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    report = inspect_file(arguments.file)
    if arguments.json:
        print_json(report)
    else:
        print(format_report(report))
    return 0
