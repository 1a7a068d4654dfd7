"""Other Pythons, for tests of what hosts' Pythons must be able to read: ``python tests/pythons.py`` fetches them.

Those on PATH, of pyenv and of uv are used as they are. What is missing is fetched by uv, 30 MB each, into
``$SA2VA_PYTHONS``, else into the user's cache. The installer's ``test`` does so; without them their tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

#: Nuke 13 has 3.7, 14 has 3.9, 15 has 3.10, 16 and 17 have 3.11; Blender has 3.11 and 3.13. uv has none before 3.8.
FETCHED = ("3.9", "3.10", "3.11", "3.13")


def folder() -> Path:
    return Path(os.environ.get("SA2VA_PYTHONS") or Path.home() / ".cache" / "sa2va-test" / "pythons")


def find(version: str) -> str | None:
    """The path of a Python of exactly this version ("3.9") that runs."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    for found in _places(version):
        probe = subprocess.run([found, "-c", code], capture_output=True, text=True, check=False)
        if probe.returncode == 0 and probe.stdout.strip() == version:
            return found
    return None


def _places(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local" / "share" / "uv" / "python"))
    yield from map(str, pyenv.glob(f"{version}.*/bin/python"))
    for place in (folder(), uv):
        yield from map(str, sorted(place.glob(f"cpython-{version}.*/bin/python{version}")))


def real_python(version: str) -> str:
    """As :func:`find`; skips the test where there is none."""
    import pytest

    found = find(version)
    if found is None:
        pytest.skip(f"there is no Python {version} on this machine: python tests/pythons.py")
    return found


def fetch() -> str:
    """Fetch what is missing. Returns what happened, for people."""
    missing = [version for version in FETCHED if find(version) is None]
    if not missing:
        return "already there"
    command = [sys.executable, "-m", "uv", "python", "install", "--no-bin", "--install-dir", str(folder()), *missing]
    if subprocess.run(command, check=False).returncode:
        return f"left out: {', '.join(missing)} cannot be fetched here (see above)"
    return f"fetched {', '.join(missing)}"


if __name__ == "__main__":
    sys.stdout.write(f"Pythons of the hosts: {fetch()}\n")
