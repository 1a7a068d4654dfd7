"""``sa2va engines``: which engines there are, and why one cannot run here."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from sa2va_core.engines import registry

from .console import print_json


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("engines", help="list engines and whether they can run here")
    parser.add_argument("--json", action="store_true", help="as JSON, for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    found = registry.describe()
    if arguments.json:
        print_json([{**asdict(engine), "second_look": registry.factory(engine.name).looks_twice} for engine in found])
        return 0
    for engine in found:
        print(f"{engine.name:10} {engine.label}: {engine.state}")
    return 0
