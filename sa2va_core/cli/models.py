"""``sa2va models``: the weights on this machine."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from sa2va_core.models import store
from sa2va_core.models.catalogue import CATALOGUE

from .console import print_json


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("models", help="list, fetch, verify or remove weights")
    parser.add_argument("action", nargs="?", choices=("list", "fetch", "verify", "remove"), default="list")
    parser.add_argument("names", nargs="*", metavar="NAME", help="weights (all)")
    parser.add_argument("--json", action="store_true", help="as JSON, for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    names = arguments.names or list(CATALOGUE)
    if arguments.action == "fetch":
        for name in names:
            store.ensure(name, _show if sys.stderr.isatty() else None)
    elif arguments.action == "verify":
        for name in names:
            store.verify(name)
    elif arguments.action == "remove":
        for name in arguments.names or [entry.name for entry in CATALOGUE.values() if entry.package]:
            store.remove(name)
    rows = [row for row in store.installed() if row.weight.name in names]
    if arguments.json:
        print_json([{"name": row.weight.name, "state": row.state, "path": row.path} for row in rows])
        return 0
    for row in rows:
        weight = row.weight
        print(f"{weight.name:28} {row.state:9} {weight.size / 1e6:7.1f} MB  {weight.licence:11} {weight.role}")
    print(f"Folder: {store.folder()}")
    return 0


def _show(name: str, done: int, total: int) -> None:
    end = "\n" if done >= total else ""
    print(f"\rfetching {name}: {done / 1e6:.1f} of {total / 1e6:.1f} MB", end=end, file=sys.stderr, flush=True)
