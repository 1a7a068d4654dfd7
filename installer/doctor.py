"""``doctor``: what is here, what is missing, and the next step."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from pathlib import Path

from . import checks, install, place
from .environment import Environment, require_venv
from .problems import Problem
from .progress import clean_environment

MARKS = {True: "ok", False: "--"}


def run(folder: Path) -> int:
    """Print one line a thing. Returns 1 when something keeps the other commands from working."""
    blocker = None
    _line(True, "Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    try:
        require_venv()
        _line(True, "environments", "this Python can make them")
        place.prepare(folder)
        _line(True, "folder", f"{place.size_text(shutil.disk_usage(str(folder)).free)} free: {folder}")
    except Problem as problem:
        blocker = problem
        _line(False, "problem", problem.message)
    env = install.environment(folder)
    ready = env.ready()
    _line(ready, "program", _state(env))
    _line(*_hosts(env))
    tests = checks.environment(folder)
    _line(tests.ready(), "tests", _state(tests))
    here, models = _models(env) if ready else (False, "known once the program is here")
    _line(here, "models", models)
    if blocker is not None:
        print(f"\nNext: {blocker.hint}")
        return 1
    print(f"\nNext: {_next(ready and here, env)}")
    return 0


def _line(good: bool, name: str, text: str) -> None:
    print(f"{MARKS[good]:3} {name:13} {text}")


def _state(env: Environment) -> str:
    if env.ready():
        return f"whole: {env.folder}"
    if not env.folder.exists():
        return "not made yet"
    if env.stamp() is None:
        return f"cut short, will be made again: {env.folder}"
    return f"out of date, will be made again: {env.folder}"


def _hosts(env: Environment) -> tuple[bool, str, str]:
    found = install.hosts(env)
    if found is None or not found.python:
        return False, "hosts", "do not know of a worker: `python3 -m installer install` tells them"
    if not Path(found.python).is_file():
        return False, "hosts", f"are told of a worker that is gone: {found.python}"
    return True, "hosts", f"start the worker with {found.python}"


def _models(env: Environment) -> tuple[bool, str]:
    command = [str(env.python), "-m", "sa2va_core.cli", "models", "list", "--json"]
    answer = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    if answer.returncode:
        return False, (answer.stderr.strip() or "cannot be asked").splitlines()[0]
    wrong = [f"{row['name']} is {row['state']}" for row in json.loads(answer.stdout) if row["state"] in _WRONG]
    return not wrong, "; ".join(wrong) or "all here, hashes checked"


_WRONG = ("missing", "altered")


def _next(demo_done: bool, env: Environment) -> str:
    if not demo_done:
        return "python3 -m installer demo"
    return f'{env.scripts / "sa2va"} matte SHOT "the man on the left" -o DIR'
