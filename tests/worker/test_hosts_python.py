"""The plugin side in the Pythons that hosts bring, without one third-party package."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.pythons import real_python

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


@pytest.mark.parametrize("version", ["3.7", "3.9", "3.10", "3.13"])
def test_a_host_of_another_python_gets_its_mattes(bench: Bench, version: str) -> None:
    """Nuke 13 has 3.7, 14 3.9, 15 3.10, Blender 5.1 and later 3.13; Blender 4.2 to 5.0 and Nuke 16 share ours, 3.11."""
    host = subprocess.run(
        [real_python(version), "-S", "-c", PROGRAM, str(ROOT / "plugin"), bench.folder, *TOY_WORKER],
        input=bench.job().to_json(),
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": "/host/python", "LD_LIBRARY_PATH": "/host/lib"},
    )
    assert host.returncode == 0, host.stderr
    said, modules = host.stdout.splitlines()
    assert said.startswith(f"Done host {version}.")
    assert modules == "[]"
    assert "mattes/disc_mattes.1004.exr" in results(bench.out("out"))
