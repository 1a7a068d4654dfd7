"""Where a user's worker is found on this machine, and how the two sides prove who they are.

The worker listens on a loopback port and writes the port and a fresh token into a file that only its user can read. A
port number can be taken over by a stranger once the worker is gone, so both sides prove that they know the token, with
HMAC-SHA256 over fresh random numbers of both; the token itself is never sent. docs/decisions/0004 compares the ways.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ntpath
import os
import posixpath
import secrets
import socket
import stat
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

from .errors import WorkerError
from .files import replace
from .protocol import ProtocolError, from_params

FOLDER_VARIABLE = "SA2VA_WORKER_FOLDER"
HOST = "127.0.0.1"

# The handshake, in bytes: greeting to the worker, its answer, the client's proof. Fixed sizes: before a stranger is
# known there is nothing to parse.
MAGIC = b"SA2VA/1\n"
NONCE_SIZE = PROOF_SIZE = 32
GREETING_SIZE = len(MAGIC) + NONCE_SIZE
ANSWER_SIZE = NONCE_SIZE + PROOF_SIZE


@dataclass(frozen=True)
class Connection:
    """What a worker tells its user's programs. ``token``: hex. ``started``: text, for people."""

    port: int
    token: str
    pid: int
    started: str
    version: str
    log: str


def worker_folder(
    environ: Mapping[str, str] = os.environ, platform: str = sys.platform, home: str = "", machine: str = ""
) -> str:
    """The one folder of this user's worker on this machine: lock, connection file, log and jobs.

    Freedesktop's XDG variables are not asked: a host in a sandbox has values of its own, and would not find the worker
    that another host started. Linux homes are often shared between machines, so the machine's name is part of it.
    """
    if environ.get(FOLDER_VARIABLE):
        return environ[FOLDER_VARIABLE]
    home = home or str(Path.home())
    if platform == "win32":
        local = environ.get("LOCALAPPDATA") or ntpath.join(home, "AppData", "Local")
        return ntpath.join(local, "Sa2VA Roto", "worker")
    if platform == "darwin":
        return posixpath.join(home, "Library", "Application Support", "Sa2VA Roto", "worker")
    machine = (machine or socket.gethostname()).partition(".")[0] or "localhost"
    return posixpath.join(home, ".local", "state", "sa2va-roto", machine)


def connection_file(folder: str) -> Path:
    return Path(folder) / "worker.json"


def log_file(folder: str) -> Path:
    return Path(folder) / "worker.log"


def make_private(folder: str) -> None:
    """Make the folder if need be, for its user's eyes only. Raises WorkerError where that cannot be had."""
    path = Path(folder)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            found = path.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise WorkerError(
                    f"The worker's folder is not a folder of yours: {folder}",
                    f"Remove it, or set {FOLDER_VARIABLE} to a folder of your own.",
                )
            if found.st_mode & 0o077:
                path.chmod(0o700)
    except OSError as error:
        raise WorkerError(
            f"The worker's folder cannot be made ({error.strerror}): {folder}",
            f"Make room, or set {FOLDER_VARIABLE} to a folder that you may write.",
        ) from error


def write_connection(folder: str, connection: Connection) -> None:
    """Put the connection file in its place, whole, readable by its user only. Raises OSError."""
    target = connection_file(folder)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(asdict(connection), stream)
        replace(temporary, target)
    except OSError:
        temporary.unlink()
        raise


def read_connection(folder: str) -> Optional[Connection]:
    """What the worker wrote; None when there is no such file or no sense in it.

    Raises WorkerError when others could have read or written it.
    """
    path = connection_file(folder)
    try:
        with open(path, encoding="utf-8") as stream:
            found = os.fstat(stream.fileno())
            if os.name == "posix" and (found.st_uid != os.getuid() or found.st_mode & 0o077):
                raise WorkerError(
                    f"Other users have access to the worker's connection file: {path}",
                    "Remove that file, then start the worker again.",
                )
            data = json.loads(stream.read(16 * 1024))
        connection = from_params(Connection, data if isinstance(data, dict) else {})
        bytes.fromhex(connection.token)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError, ProtocolError):
        return None
    except OSError as error:
        raise WorkerError(
            f"The worker's connection file cannot be read ({error.strerror}): {path}",
            "Give yourself access to it, or remove it.",
        ) from error
    return connection if 0 < connection.port < 65536 else None


def new_nonce() -> bytes:
    return secrets.token_bytes(NONCE_SIZE)


def _proof(token: bytes, side: bytes, client_nonce: bytes, worker_nonce: bytes) -> bytes:
    return hmac.new(token, MAGIC + side + client_nonce + worker_nonce, hashlib.sha256).digest()


def worker_proof(token: bytes, client_nonce: bytes, worker_nonce: bytes) -> bytes:
    return _proof(token, b"worker", client_nonce, worker_nonce)


def client_proof(token: bytes, client_nonce: bytes, worker_nonce: bytes) -> bytes:
    # Another word than the worker's: its answer cannot be sent back to it as a proof.
    return _proof(token, b"client", client_nonce, worker_nonce)


def proves(given: bytes, expected: bytes) -> bool:
    return hmac.compare_digest(given, expected)
