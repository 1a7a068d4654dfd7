"""The plugin side in the Pythons that hosts bring, without one third-party package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .bench import TOY_WORKER, Bench, results

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
sys.path[:0] = [sys.argv[1]]
from sa2va_plugin.client import Client
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.messages import Done, Failed
client = Client("host " + sys.version.split()[0], sys.argv[2], sys.argv[3:])
job = client.call(client.submit(JobSpec.from_json(sys.stdin.read()))).job
last = None
while not isinstance(last, (Done, Failed)):
    for last in client.wait(10):
        pass
print(type(last).__name__, client.call(client.status(job)).client)
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("numpy", "torch", "cv2", "sa2va_core")))
client.call(client.shut_down_worker())
"""


def pythons() -> list[str]:
    """Hosts' Pythons: Nuke 13-14 (3.9 and before), Blender 4.2-5.x (3.11, 3.13); as found here."""
    found = []
    for version in ("3.9", "3.10", "3.13"):
        home = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
        path = str(home[-1]) if home else shutil.which(f"python{version}")
        if path:
            found.append(path)
    return found


@pytest.mark.parametrize("python", pythons() or [None])
def test_a_host_of_another_python_gets_its_mattes(bench: Bench, python: str | None) -> None:
    if python is None:
        pytest.skip("no other Python is here")
    host = subprocess.run(
        [python, "-S", "-c", PROGRAM, str(ROOT / "plugin"), bench.folder, *TOY_WORKER],
        input=bench.job().to_json(),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": "/host/python", "LD_LIBRARY_PATH": "/host/lib"},
    )
    assert host.returncode == 0, host.stderr
    said, modules = host.stdout.splitlines()
    assert said.startswith("Done host 3.")
    assert modules == "[]"
    assert "mattes/disc_mattes.1004.exr" in results(bench.out("out"))
