"""``sa2va status``: how the worker is, or one job."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from sa2va_plugin.client import Client
from sa2va_plugin.messages import JobStatus

from sa2va_core.worker.remote import connect

from .console import print_json


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("status", help="how the worker is, or one job of it")
    parser.add_argument("job", nargs="?", metavar="ID", help="a job, as `sa2va jobs` names it")
    parser.add_argument("--json", action="store_true", help="as JSON, for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    client = connect()
    if arguments.job:
        status = client.call(client.status(arguments.job))
        if arguments.json:
            print_json(asdict(status))
        else:
            _print_job(status)
        return 0
    _print_worker(client, arguments.json)
    return 0


def _print_worker(client: Client, as_json: bool) -> None:
    worker = client.worker
    assert worker is not None
    states = [status.state for status in client.call(client.jobs()).jobs]
    counts = {state: states.count(state) for state in ("running", "queued", "done", "failed", "cancelled")}
    if as_json:
        print_json({**asdict(worker), "jobs": counts})
        return
    print(f"worker {worker.version}, process {worker.pid}, protocol {worker.protocol}")
    print("jobs: " + ", ".join(f"{count} {state}" for state, count in counts.items()))
    print(f"log: {worker.log}")


def _print_job(status: JobStatus) -> None:
    place = f", place {status.position} in the queue" if status.position else ""
    frames = f", {status.done} of {status.total} frames" if status.total else ""
    print(f"{status.job}: {status.state}{place}{frames}")
    print(f"  plate    {status.plate}")
    print(f"  objects  {', '.join(status.objects)}")
    print(f"  results  {status.folder}")
    if status.message:
        print(f"  {status.message}\n  {status.hint}".rstrip())
