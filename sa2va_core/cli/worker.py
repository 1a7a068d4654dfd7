"""``sa2va worker``: be the background worker, stop it, or have hosts use this one."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from typing import Any

from sa2va_plugin import launcher
from sa2va_plugin.client import Client
from sa2va_plugin.errors import WorkerError

from sa2va_core.worker.remote import connect
from sa2va_core.worker.service import run_worker, worker_lock

#: Jobs and engines get seconds each to stop by themselves.
_ENDS_WITHIN = 30.0
_ENGINES_WITHIN = 120.0


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "worker", help="run the background worker that hosts talk to", description="Ctrl-C ends it; jobs are kept."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--stop", action="store_true", help="end the running worker; its job goes on at the next start")
    what.add_argument(
        "--register", action="store_true", help="have hosts start the worker with this Python; set-up does it"
    )
    what.add_argument("--check", action="store_true", help="start a worker as hosts do, ask it for its engines, end it")
    parser.add_argument(
        "--engines", type=int, choices=range(1, 65), metavar="N", help="jobs at a time (one for each GPU, or one)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.stop:
        end_worker(connect())
        print("The worker has ended.")
        return 0
    if arguments.register:
        launcher.record_python(sys.executable)
        print(f"Hosts start the worker with {sys.executable}")
        return 0
    return _check() if arguments.check else run_worker(engines=arguments.engines)


def _check() -> int:
    """In a folder of its own, so that a worker with jobs is not disturbed."""
    with tempfile.TemporaryDirectory(prefix="sa2va-check-", ignore_cleanup_errors=True) as folder:
        client = Client("sa2va worker --check", folder)
        for engine in client.call(client.engines(), _ENGINES_WITHIN).engines:
            print(f"{engine.name}: {engine.state}")
        assert client.worker is not None
        print(f"worker {client.worker.version}: starts, answers and ends")
        end_worker(client)
    return 0


def end_worker(client: Client) -> None:
    """Ask the worker to end and wait until its process has let go of its folder. Raises WorkerError."""
    client.call(client.shut_down_worker())
    client.close()
    assert client.worker is not None
    pid, lock = client.worker.pid, worker_lock(client.folder)
    deadline = time.monotonic() + _ENDS_WITHIN
    # Another one may be running by now: then this one has ended as well.
    while lock.owner() == str(pid) and not lock.acquire():
        if time.monotonic() > deadline:
            raise WorkerError(
                f"The worker (process {pid}) was asked to end, but still runs after {_ENDS_WITHIN:.0f} s.",
                "See `sa2va logs`, or end that process.",
            )
        time.sleep(0.05)
    lock.release()
