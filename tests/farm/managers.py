"""What farm managers read jobs with, in an environment of its own: ``python tests/farm/managers.py``.

Their packages want other versions of things that the test environment has. 5 seconds, 150 MB; it lies in
``$SA2VA_MANAGERS``, else in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("deadline==0.60.10", "opencue-pyoutline==1.37.0", "packaging>=24")
MISSING = "AWS Deadline Cloud's and OpenCue's packages are not here: python tests/farm/managers.py"
_STAMP = ".whole"


def folder() -> Path:
    return Path(os.environ.get("SA2VA_MANAGERS") or Path.home() / ".cache" / "sa2va-test" / "farm-managers")


def python() -> Path | None:
    """The environment's Python, or None."""
    return folder() / "bin" / "python" if (folder() / _STAMP).exists() else None


def make() -> None:
    if python() is None:
        shutil.rmtree(folder(), ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder())], check=True)
        pip = [str(folder() / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *PACKAGES], check=True)
        (folder() / _STAMP).touch()


if __name__ == "__main__":
    make()
    sys.stdout.write(f"{folder()}\n")
