"""Every Blender that we support, as a module: each version in a process of its own, on the built extension."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import environments

INSIDE = Path(__file__).parent / "inside"
REPOSITORY = INSIDE.parents[2]


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_in_blender(version: str, stage: Path, tmp_path: Path) -> None:
    """All of ``inside``; a crash of Blender would lose the closing line."""
    python = environments.python(version)
    if python is None:
        missing = f"Blender {version} is not here: python tests/blender/environments.py {version}"
        if os.environ.get("SA2VA_BLENDERS_REQUIRED"):
            pytest.fail(missing)
        pytest.skip(missing)
    environment = {
        **os.environ,
        "BLENDER_USER_RESOURCES": str(tmp_path / "user"),
        "SA2VA_STAGE": str(stage),
        "SA2VA_TEST_REPOSITORY": str(REPOSITORY),
        "SA2VA_WORKER_PYTHON": sys.executable,
        "PYTHONPATH": str(REPOSITORY / "plugin"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE", "--rootdir", str(INSIDE), "-c"]
    command += [str(INSIDE / "pytest.ini"), str(INSIDE), "--basetemp", str(tmp_path / "temp")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    output = done.stdout[-8000:] + done.stderr[-4000:]
    assert re.search(r"^\d+ passed[^\n]* in ", done.stdout, re.MULTILINE), output
    assert done.returncode == 0, output
