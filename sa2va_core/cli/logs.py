"""``sa2va logs``: the end of the worker's log, whether or not it runs."""

from __future__ import annotations

import argparse
from typing import Any

from sa2va_plugin.connection import log_file, worker_folder
from sa2va_plugin.errors import WorkerError
from sa2va_plugin.launcher import tail


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("logs", help="show the end of the worker's log")
    parser.add_argument("-n", type=int, default=50, metavar="N", help="so many lines (50)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    path = log_file(worker_folder())
    if not path.exists():
        raise WorkerError(f"There is no log: no worker has run yet. It would be {path}", "Start one: `sa2va worker`.")
    print(tail(path, arguments.n))
    print(f"Log: {path}")
    return 0
