"""``sa2va jobs``: the worker's jobs, oldest first."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any

from sa2va_plugin.messages import JobStatus

from sa2va_core.worker.remote import connect

from .console import print_json

_HEAD = ("ID", "STATE", "FRAMES", "FROM", "AGE", "OBJECTS", "PLATE")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("jobs", help="list the worker's jobs")
    parser.add_argument("-n", type=int, default=20, metavar="N", help="at most so many, the newest (20)")
    parser.add_argument("--json", action="store_true", help="as JSON, for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    client = connect()
    statuses = client.call(client.jobs(arguments.n)).jobs
    if arguments.json:
        print_json([asdict(status) for status in statuses])
        return 0
    if not statuses:
        print("The worker has no jobs.")
        return 0
    rows = [_HEAD, *(_row(status) for status in statuses)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for status in statuses:
        if status.state == "failed":
            print(f"{status.job} failed: {status.message}")
    return 0


def _row(status: JobStatus) -> tuple[str, ...]:
    state = f"{status.state}, place {status.position}" if status.position else status.state
    frames = f"{status.done}/{status.total}" if status.total else "-"
    age = _age(time.time() - status.submitted)
    return status.job, state, frames, status.client, age, ", ".join(status.objects), status.plate


def _age(seconds: float) -> str:
    """``seconds`` in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
