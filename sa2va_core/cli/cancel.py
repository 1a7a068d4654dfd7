"""``sa2va cancel ID``: stop a job of the worker."""

from __future__ import annotations

import argparse
from typing import Any

from sa2va_core.worker.remote import connect


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("cancel", help="stop a job of the worker; its finished frames stay")
    parser.add_argument("job", metavar="ID", help="a job, as `sa2va jobs` names it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    client = connect()
    status = client.call(client.cancel(arguments.job))
    print(f"{status.job}: {'stopping' if status.state == 'running' else status.state}")
    return 0
