"""Blender as a Python module, a version an environment: ``python tests/blender/environments.py [VERSION ...]``.

Each takes about 1 GB and a minute. They lie in ``$SA2VA_BLENDERS``, else in the user's cache, and are kept; those of
the cache are used wherever they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: Blender's releases and the one Python that each is built for.
VERSIONS = {"4.2.23": "3.11", "4.5.15": "3.11", "5.0.1": "3.11", "5.1.2": "3.13", "5.2.3": "3.13"}
_PYTEST = "pytest>=8,<10"
_STAMP = ".whole"


def folders(version: str) -> list[Path]:
    """Where an environment may lie; the first is where a new one is made."""
    named = os.environ.get("SA2VA_BLENDERS")
    places = [Path(named)] if named else []
    return [place / f"bpy-{version}" for place in [*places, Path.home() / ".cache" / "sa2va-test"]]


def python(version: str) -> Path | None:
    """The Python of a whole environment, or None."""
    found = next((folder for folder in folders(version) if (folder / _STAMP).exists()), None)
    return found / "bin" / "python" if found else None


def find_python(version: str) -> str | None:
    """A Python of exactly this version on this machine."""
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]
    for place in filter(None, places):
        probe = subprocess.run([place, "-c", code], capture_output=True, text=True, check=False)
        if probe.returncode == 0 and probe.stdout.strip() == version:
            return place
    return None


def make(version: str) -> str:
    """Make an environment unless it is there. Returns what happened, for people."""
    if python(version):
        return "already there"
    maker = find_python(VERSIONS[version])
    if maker is None:
        return f"left out: there is no Python {VERSIONS[version]}"
    target = folders(version)[0]
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run([maker, "-m", "venv", str(target)], check=True)
    pip = [str(target / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run([*pip, f"bpy=={version}", _PYTEST], check=False)
    if done.returncode:
        return "left out: it cannot be installed here (see above)"
    (target / _STAMP).touch()
    return "made"


if __name__ == "__main__":
    for wanted in sys.argv[1:] or VERSIONS:
        sys.stdout.write(f"Blender {wanted}: {make(wanted)}\n")
        sys.stdout.flush()
