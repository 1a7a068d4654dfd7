"""``uninstall``: everything that was made, with its size, then gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from . import checks, demo, install, place
from .environment import Environment
from .problems import Problem
from .progress import clean_environment


def run(folder: Path, yes: bool, models: bool) -> int:
    """List, ask, remove. Only what the installer made; the repository and other results stay."""
    env = install.environment(folder)
    found = _made(folder) + _told_hosts(env) + (fetched_models(folder) if models else [])
    if not found:
        print("Nothing to remove.")
        return 0
    for path in found:
        print(f"{place.size_text(place.size_of(path)):>10}  {path}")
    if not yes and not _agreed():
        print("Nothing was removed.")
        return 1
    if folder in found:
        with place.alone(folder):
            pass  # nobody is at work in it
    install.stop_worker(env)
    for path in found:
        place.remove(path)
    print("Removed.")
    return 0


_ASK = """
from sa2va_core.models import catalogue, store
for weight in catalogue.CATALOGUE.values():
    if weight.package:
        print(store.path_of(weight.name))
"""


def fetched_models(folder: Path) -> list[Path]:
    """Weights that the program fetched; what else lies in the same folder is the user's own. Raises Problem."""
    for env in (install.environment(folder), checks.environment(folder)):
        command = [str(env.python), "-c", _ASK]
        try:
            answer = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return [weight for line in answer.stdout.splitlines() if (weight := Path(line)).exists()]
    raise Problem(
        "There is no whole environment here that knows where the models are.",
        "Leave --models out to remove the rest, or run `python3 -m installer install` first.",
    )


def _told_hosts(env: Environment) -> list[Path]:
    """The record that hosts go by, and the worker's list of jobs and logs, where they are this installation's."""
    known = install.hosts(env)
    if known is None or known.python != str(env.python):
        return []
    return [path for path in (known.record, known.worker_folder) if path.exists()]


def _made(folder: Path) -> list[Path]:
    known = ("env", "test-env", "demo", "logs")
    # Results are those of the demo that ran from this folder.
    results = [demo.RESULTS] if demo.clip(folder).parent.exists() else []
    made = [path for path in (folder, *results) if path.exists()]
    if folder in made:
        strange = [child.name for child in folder.iterdir() if child.name.partition(".")[0] not in (*known, "lock")]
        if strange:
            raise Problem(
                f"This folder holds things that the installer did not make ({', '.join(sorted(strange))}): {folder}",
                "Move them away, then run this again.",
            )
    return made


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise Problem("There is nobody to ask.", "Add --yes.")
    return input("Remove all this? [y/N] ").strip().lower() in ("y", "yes")
