"""Other Pythons on this machine, for tests of what they must be able to read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def real_python(version: str) -> str:
    """The path of a Python of exactly this version ("3.9"); skips the test where there is none."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in filter(None, [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python"))]):
        probe = subprocess.run([found, "-c", code], capture_output=True, text=True, check=False)
        if probe.returncode == 0 and probe.stdout.strip() == version:
            return found
    pytest.skip(f"there is no Python {version} on this machine")
