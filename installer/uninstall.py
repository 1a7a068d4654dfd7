"""``uninstall``: everything that was made, with its size, then gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from . import demo, place
from .problems import Problem
from .progress import clean_environment


def run(folder: Path, yes: bool, models: bool) -> int:
    """List, ask, remove. Only what the installer made; the repository and other results stay."""
    found = _made(folder)
    if models:
        store = models_folder()
        found += [store] if store is not None and store.exists() else []
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
    for path in found:
        place.remove(path)
    print("Removed.")
    return 0


def models_folder() -> Path | None:
    """Where the program keeps its models; that part of it needs nothing but a Python."""
    path = os.pathsep.join(str(place.REPOSITORY / part) for part in ("", "plugin"))
    command = [sys.executable, "-c", "from sa2va_core.models import store; print(store.folder())"]
    answer = subprocess.run(
        command, env=clean_environment(PYTHONPATH=path), capture_output=True, text=True, check=False
    )
    return Path(answer.stdout.strip()) if answer.returncode == 0 else None


def _made(folder: Path) -> list[Path]:
    known = ("demo-env", "test-env", "demo", "logs")
    made = [path for path in (folder, demo.RESULTS) if path.exists()]
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
