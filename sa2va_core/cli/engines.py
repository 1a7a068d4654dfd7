"""``sa2va engines``: which engines there are, and why one cannot run here."""

from __future__ import annotations

import argparse
from typing import Any

from sa2va_core.engines import registry

from .console import print_json


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("engines", help="list engines and whether they can run here")
    parser.add_argument("--json", action="store_true", help="as JSON, for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    rows = [
        {
            "name": made.name,
            "label": made.label,
            "unavailable": made.unavailable(),
            "second_look": made.looks_twice,
        }
        for made in map(registry.factory, registry.names())
    ]
    if arguments.json:
        print_json(rows)
        return 0
    for row in rows:
        print(f"{row['name']:10} {row['label']}: {row['unavailable'] or 'ready'}")
    return 0
