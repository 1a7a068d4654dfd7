"""Reach a worker, starting one where none is running, in steps that never block."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Generator, Sequence
from typing import Optional

from . import connection as link
from . import launcher
from .errors import WorkerError

START_WITHIN = 30.0
ANSWER_WITHIN = 1.5
START_AGAIN_AFTER = 1.0


def dial(folder: str, command: Optional[Sequence[str]], start: bool) -> Generator[None, None, socket.socket]:
    """A generator, each step of which takes milliseconds; its value is a socket to the worker of that folder, after
    both have proved who they are. ``command`` and ``start``: as for :class:`~sa2va_plugin.client.Client`.

    Raises WorkerError when there is no worker and none can be started, and when one does not answer.
    """
    deadline = time.monotonic() + START_WITHIN
    process, again = None, 0.0
    while True:
        found = link.read_connection(folder)
        if found is not None:
            peer = yield from _greet(folder, found)
            if peer is not None:
                return peer
        if process is None:
            if not start:
                raise WorkerError("No worker is running.", "Start one with `sa2va worker`.")
            process = launcher.start(folder, launcher.worker_command() if command is None else command)
        elif process.poll():
            raise _start_failed(folder, f"The worker ended as it started (code {process.returncode}).")
        elif process.returncode == 0:
            # Another one holds the lock: it is about to write its connection file, or ends and is about to let go.
            again = again or time.monotonic() + START_AGAIN_AFTER
            if time.monotonic() > again:
                process, again = None, 0.0
        if time.monotonic() > deadline:
            raise _start_failed(folder, "The worker cannot be reached.")
        yield


def no_answer(pid: Optional[int], log: str) -> WorkerError:
    """What to say of a worker that took a connection and keeps silent; ``pid`` where it is known."""
    who = "" if pid is None else f" (process {pid})"
    return WorkerError(f"The worker{who} does not answer.", f"End it, then try again. Its log: {log}")


def _greet(folder: str, found: link.Connection) -> Generator[None, None, Optional[socket.socket]]:
    """Connect and shake hands; its value is None when there is nobody, or not the worker."""
    peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    known = False
    try:
        known = yield from _shake_hands(peer, folder, found)
    except ConnectionError:
        pass  # a connection file that a dead worker left
    finally:
        if not known:
            peer.close()
    return peer if known else None


def _shake_hands(peer: socket.socket, folder: str, found: link.Connection) -> Generator[None, None, bool]:
    """Whether it is the worker. Raises ConnectionError when nobody is there."""
    token, nonce = bytes.fromhex(found.token), link.new_nonce()
    peer.setblocking(False)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    deadline = time.monotonic() + ANSWER_WITHIN
    if peer.connect_ex((link.HOST, found.port)) == errno.ECONNREFUSED:
        raise ConnectionRefusedError
    while not _is_connected(peer):
        if time.monotonic() > deadline:
            raise ConnectionRefusedError
        yield
    peer.sendall(link.MAGIC + nonce)
    answer = b""
    while len(answer) < link.ANSWER_SIZE:
        try:
            data = peer.recv(link.ANSWER_SIZE - len(answer))
            if not data:
                raise ConnectionResetError
            answer += data
        except BlockingIOError:
            if time.monotonic() > deadline:
                if not launcher.is_running(found.pid):
                    # A stranger has the port of a dead worker.
                    raise ConnectionRefusedError from None
                raise no_answer(found.pid, str(link.log_file(folder))) from None
            yield
    theirs, given = answer[: link.NONCE_SIZE], answer[link.NONCE_SIZE :]
    if not link.proves(given, link.worker_proof(token, nonce, theirs)):
        return False
    peer.sendall(link.client_proof(token, nonce, theirs))
    return True


def _is_connected(peer: socket.socket) -> bool:
    """Raises ConnectionError once the attempt has failed."""
    if peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise ConnectionRefusedError
    try:
        peer.getpeername()
    except OSError:
        return False
    return True


def _start_failed(folder: str, message: str) -> WorkerError:
    path = launcher.startup_log(folder)
    return WorkerError(f"{message} {launcher.tail(path, 1)}".strip(), f"Its output: {path}")
