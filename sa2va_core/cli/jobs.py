"""``sa2va jobs``: the worker's jobs, oldest first."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from sa2va_core.worker.remote import connect

from .console import print_json


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
    for status in statuses:
        frames = f"{status.done}/{status.total}" if status.total else ""
        state = f"{status.state} {status.position}" if status.position else status.state
        print(f"{status.job}  {state:10} {frames:>11}  {', '.join(status.objects)}  {status.plate}")
    if not statuses:
        print("The worker has no jobs.")
    return 0
