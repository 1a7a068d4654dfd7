"""``sa2va worker``: be the background worker, or stop it."""

from __future__ import annotations

import argparse
import time
from typing import Any

from sa2va_plugin.client import Client
from sa2va_plugin.connection import read_connection
from sa2va_plugin.errors import WorkerError

from sa2va_core.worker.remote import connect
from sa2va_core.worker.service import run_worker

_ENDS_WITHIN = 15.0


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "worker", help="run the background worker that hosts talk to", description="Ctrl-C ends it; jobs are kept."
    )
    parser.add_argument("--stop", action="store_true", help="end the running worker; its job goes on at the next start")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if not arguments.stop:
        return run_worker()
    stop_worker()
    print("The worker has ended.")
    return 0


def stop_worker() -> None:
    """End the running worker and wait until it has. Raises WorkerError."""
    client = connect()
    client.call(client.shut_down_worker())
    _wait_for_end(client)


def _wait_for_end(client: Client) -> None:
    deadline = time.monotonic() + _ENDS_WITHIN
    while read_connection(client.folder) is not None:
        if time.monotonic() > deadline:
            raise WorkerError(f"The worker did not end within {_ENDS_WITHIN:.0f} s.", "See `sa2va logs`.")
        client.wait(0.1)
        time.sleep(0.02)
