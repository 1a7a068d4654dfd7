"""Every Blender that we support, as a module: each version in a process of its own, on the built extension."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sa2va_plugin import connection

from . import environments

INSIDE = Path(__file__).parent / "inside"
REPOSITORY = INSIDE.parents[2]


def blender(version: str) -> Path:
    """The Python of a Blender; skips, or fails where every Blender must be here, without it."""
    python = environments.python(version)
    if python is None:
        missing = f"Blender {version} is not here: python tests/blender/environments.py {version}"
        if os.environ.get("SA2VA_BLENDERS_REQUIRED"):
            pytest.fail(missing)
        pytest.skip(missing)
    return python


def variables(stage: Path, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "BLENDER_USER_RESOURCES": str(folder / "user"),
        "SA2VA_STAGE": str(stage),
        "SA2VA_TEST_REPOSITORY": str(REPOSITORY),
        "SA2VA_WORKER_PYTHON": sys.executable,
        "PYTHONPATH": str(REPOSITORY / "plugin"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.mark.parametrize("version", environments.VERSIONS)
def test_in_blender(version: str, stage: Path, tmp_path: Path) -> None:
    """All of ``inside``; a crash of Blender would lose the closing line."""
    command = [str(blender(version)), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfE", "--rootdir", str(INSIDE)]
    command += ["-c", str(INSIDE / "pytest.ini"), str(INSIDE), "--basetemp", str(tmp_path / "temp")]
    done = subprocess.run(
        command, env=variables(stage, tmp_path), capture_output=True, text=True, timeout=900, check=False
    )
    output = done.stdout[-8000:] + done.stderr[-4000:]
    assert re.search(r"^\d+ passed[^\n]* in ", done.stdout, re.MULTILINE), output
    assert done.returncode == 0, output


@pytest.mark.parametrize("when", ["done", "busy"])
@pytest.mark.parametrize("version", environments.VERSIONS)
def test_leaving_blender(version: str, when: str, stage: Path, tmp_path: Path) -> None:
    """No crash and no hang at exit, after a job and in the middle of one; the worker outlives its host."""
    control, folder = tmp_path / "control", tmp_path / "worker"
    control.mkdir()
    if when == "busy":
        (control / "at-2").write_text("hold")  # for ever
    environment = {
        **variables(stage, tmp_path),
        "SA2VA_TEST_CONTROL": str(control),
        "SA2VA_TEST_FOLDER": str(folder),
    }
    command = [str(blender(version)), str(INSIDE / "leave.py"), when]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    found = connection.read_connection(str(folder))
    assert found is not None, done.stderr
    os.kill(found.pid, signal.SIGTERM)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["leaving"]), done.stdout + done.stderr
