"""What farm managers read jobs with, in an environment of its own: ``python -m tests.farm.managers``.

Their packages want other versions of things that the test environment has. Seconds to a minute, 120 MB; it lies in
``$SA2VA_MANAGERS``, else in the user's cache. The installer's ``test`` makes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("deadline==0.60.10", "opencue-pyoutline==1.37.0", "packaging>=24")
MISSING = "AWS Deadline Cloud's and OpenCue's packages are not here: python -m tests.farm.managers"
_STAMP = ".whole"


def folder() -> Path:
    return Path(os.environ.get("SA2VA_MANAGERS") or Path.home() / ".cache" / "sa2va-test" / "farm-managers")


def python() -> Path | None:
    """The environment's Python, or None."""
    return folder() / "bin" / "python" if (folder() / _STAMP).exists() else None


def make() -> str:
    """Make the environment unless it is there. Returns what happened, for people."""
    if python() is not None:
        return "already there"
    shutil.rmtree(folder(), ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder())], check=True)
    pip = [str(folder() / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if subprocess.run([*pip, *PACKAGES], check=False).returncode:
        return "left out: they cannot be installed here (see above)"
    (folder() / _STAMP).touch()
    return "made"


if __name__ == "__main__":
    sys.stdout.write(f"Farm managers' packages: {make()}\n")
