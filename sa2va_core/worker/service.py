"""One worker process: lock, log, journal, queue and door, from start to clean end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sa2va_plugin import connection as link
from sa2va_plugin.errors import WorkerError
from sa2va_plugin.messages import Welcome

import sa2va_core

from .journal import Journal
from .lane import Lane, devices
from .lock import ProcessLock
from .scheduler import ENGINE_IDLE, Scheduler
from .server import Server

#: Without a client or a job for so long, the worker ends; the next host starts another.
WORKER_IDLE = 3600.0
MAX_CLIENTS, FILES_TO_SPARE = 2000, 200
LOG_BYTES, LOG_FILES = 1024 * 1024, 5
CHILD_COMMAND = (sys.executable, "-P", "-m", "sa2va_core.worker.child")
_logger = logging.getLogger(__name__)


def run_worker(
    folder: str = "",
    child_command: Sequence[str] = CHILD_COMMAND,
    engine_idle: float = ENGINE_IDLE,
    worker_idle: float = WORKER_IDLE,
    engines: int | None = None,
) -> int:
    """Be this user's worker until it is shut down; returns the exit status. Raises WorkerError.

    Where one is running already, it says so and returns 0: whoever wanted a worker has one. The idle times are seconds.
    ``engines``: how many jobs run at a time; None means one for each GPU, or one.
    """
    folder = folder or link.worker_folder()
    link.make_private(folder)
    os.environ[link.FOLDER_VARIABLE] = folder
    # This may take seconds. With the lock, a worker has to be reached soon.
    names = devices(engines)
    lock = worker_lock(folder)
    try:
        if not lock.acquire():
            print(f"A worker of yours is running already (process {lock.owner()}).")  # noqa: T201
            return 0
        _open_log(folder)
        asyncio.run(_work(folder, list(child_command), names, engine_idle, worker_idle))
    except OSError as error:
        raise WorkerError(
            f"The worker cannot use its folder ({error.strerror}): {folder}",
            f"Make room, or set {link.FOLDER_VARIABLE} to a folder that you may write.",
        ) from error
    finally:
        lock.release()
    return 0


def worker_lock(folder: str) -> ProcessLock:
    """What the worker of that folder holds from its start to its very end."""
    return ProcessLock(Path(folder) / "worker.lock")


def _open_log(folder: str) -> None:
    handler = logging.handlers.RotatingFileHandler(
        link.log_file(folder), maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # A full disk must not stop the worker on account of its log.
    logging.raiseExceptions = False


async def _work(
    folder: str, child_command: list[str], devices: list[str], engine_idle: float, worker_idle: float
) -> None:
    journal = Journal(Path(folder) / "jobs")
    journal.load()
    log = str(link.log_file(folder))
    lanes = [Lane(number, device, child_command, log) for number, device in enumerate(devices)]
    scheduler = Scheduler(journal, lanes, engine_idle)
    scheduler.recover()
    stop = asyncio.Event()
    _stop_on_signals(stop)
    token = secrets.token_bytes(32)
    version = sa2va_core.__version__
    welcome = Welcome(0, version, os.getpid(), log)
    server = Server(scheduler, token, welcome, child_command, stop.set, _client_limit())
    port = await server.open()
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    link.write_connection(folder, link.Connection(port, token.hex(), os.getpid(), started, version, log))
    _logger.info("worker %s (process %d) listens on port %d", version, os.getpid(), port)
    print(f"The worker is ready (process {os.getpid()}). Its log: {log}", flush=True)  # noqa: T201
    running = asyncio.create_task(scheduler.run())
    watching = asyncio.create_task(_stop_when_idle(scheduler, server, worker_idle, stop))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        # No new clients first; then the clients see the end at once, while the engine is still stopping. The lock is
        # held until it has stopped: whoever wants a worker now has to try again.
        with contextlib.suppress(OSError):
            link.connection_file(folder).unlink()
        await server.close()
        scheduler.stop()
        watching.cancel()
        stopping.cancel()
        await running
        _logger.info("worker ends")


def _client_limit() -> int:
    """How many clients there may be, with files to spare for jobs. The system's limit is raised as far as need be."""
    if sys.platform == "win32":
        return MAX_CLIENTS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CLIENTS + FILES_TO_SPARE
    if soft < wanted:
        wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MAX_CLIENTS, max(1, soft - FILES_TO_SPARE))


async def _stop_when_idle(scheduler: Scheduler, server: Server, seconds: float, stop: asyncio.Event) -> None:
    idle = 0.0
    step = min(seconds / 4, 15.0)
    while idle < seconds:
        await asyncio.sleep(step)
        idle = idle + step if scheduler.idle and not server.clients else 0.0
    _logger.info("nothing to do for %.0f s", seconds)
    stop.set()


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:
            # Windows: the handler runs between two steps of the interpreter, so the loop must be woken.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    with contextlib.suppress(AttributeError):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
