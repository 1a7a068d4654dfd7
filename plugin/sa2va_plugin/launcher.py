"""Start the worker in its own environment, so that it outlives its host and shares nothing with the host's Python."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .connection import FOLDER_VARIABLE, make_private, worker_folder
from .errors import WorkerError
from .files import replace

PYTHON_VARIABLE = "SA2VA_PYTHON"

#: What hosts set for themselves, and what would make another Python load the host's libraries.
_STRIPPED_PREFIXES = ("PYTHON", "QT_", "QML", "PYSIDE", "SHIBOKEN", "NUKE_", "FOUNDRY_", "OFX_", "BLENDER_", "DYLD_")
_STRIPPED = frozenset({"LD_LIBRARY_PATH", "LD_PRELOAD", "OCIO", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"})
_AGAIN = "Run `python3 -m installer install` again."
_MAX_STARTUP_LOG = 256 * 1024
_NICE = 5
# Kept so that workers that ended leave no zombies in their host.
_started: list[subprocess.Popen[bytes]] = []


def environment_file() -> Path:
    """Names the Python of the environment that Sa2VA Roto is installed in; written by :func:`record_python`.

    Beside the worker's folder rather than in it: machines that share a home share an environment as well.
    """
    return Path(worker_folder(environ={**os.environ, FOLDER_VARIABLE: ""})).parent / "environment.json"


def record_python(python: str) -> None:
    """Remember which Python runs the worker: set-up calls this. Raises WorkerError or OSError."""
    target = environment_file()
    make_private(str(target.parent))
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"python": python}), encoding="utf-8")
    replace(temporary, target)


def recorded_python() -> str:
    """The Python that set-up recorded, which may be gone since; empty for none. Raises WorkerError."""
    path = environment_file()
    try:
        python = json.loads(path.read_text(encoding="utf-8"))["python"]
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkerError(f"The record of the set-up is unreadable: {path}", _AGAIN) from error
    return str(python)


def worker_command() -> list[str]:
    """The command that runs the worker: $SA2VA_PYTHON, else what set-up recorded. Raises WorkerError."""
    python = os.environ.get(PYTHON_VARIABLE, "") or recorded_python()
    if not python:
        raise WorkerError(
            "Sa2VA Roto is not set up on this machine.",
            f"Run `python3 -m installer install` in its folder, or set {PYTHON_VARIABLE} to the Python that has it.",
        )
    if not Path(python).is_file():
        raise WorkerError(f"The worker's Python is gone: {python}", _AGAIN)
    return [python, "-I", "-m", "sa2va_core.worker"]


def clean_environment(
    environ: Mapping[str, str] = os.environ, platform: str = sys.platform, host_folder: str = ""
) -> dict[str, str]:
    """The environment without what a host put there for its own Python, Qt and libraries.

    On Windows, libraries are found by PATH, so entries inside the host's own folder go as well.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith(_STRIPPED_PREFIXES) and name.upper() not in _STRIPPED
    }
    if platform == "win32":
        host = (host_folder or str(Path(sys.executable).parent)).rstrip("\\/").lower()
        for name in kept:
            if name.upper() == "PATH" and host:
                entries = kept[name].split(";")
                kept[name] = ";".join(
                    e for e in entries if not (e.lower().rstrip("\\/") + "\\").startswith(host + "\\")
                )
    return kept


def creation_flags(platform: str = sys.platform) -> int:
    """For Popen, beside start_new_session: outlive the host, catch none of its signals, show no window, give way."""
    # DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP | BELOW_NORMAL_PRIORITY_CLASS, by value: other systems lack the names.
    return 0x00000008 | 0x00000200 | 0x00004000 if platform == "win32" else 0


def give_way(pid: int) -> None:
    """Let a process that was just started have the processor only where the host leaves it, so that its window stays
    quick. On Windows :func:`creation_flags` says so."""
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):  # it has ended, or may not
            os.setpriority(os.PRIO_PROCESS, pid, max(_NICE, os.getpriority(os.PRIO_PROCESS, pid)))


def startup_log(folder: str) -> Path:
    """What a worker printed before its own log was open."""
    return Path(folder) / "startup.log"


def start(folder: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a worker and return at once. Raises WorkerError."""
    make_private(folder)
    path = startup_log(folder)
    try:
        with contextlib.suppress(FileNotFoundError):  # another host may be removing it at the same time
            if path.stat().st_size > _MAX_STARTUP_LOG:
                path.unlink()
        with open(path, "ab") as log:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**clean_environment(), FOLDER_VARIABLE: folder},
                close_fds=True,
                start_new_session=True,
                creationflags=creation_flags(),
            )
    except OSError as error:
        raise WorkerError(f"The worker cannot be started ({error.strerror}): {command[0]}", _AGAIN) from error
    give_way(process.pid)
    _started[:] = [process, *(p for p in _started if p.poll() is None)]
    return process


def is_running(pid: int) -> bool:
    """Whether there is such a process: a worker that was killed leaves its connection file behind."""
    _started[:] = [process for process in _started if process.poll() is None]
    if os.name != "posix":
        return True  # nothing is asked there: os.kill would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log, for showing; empty when there is none."""
    try:
        with open(path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 512 * lines))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
