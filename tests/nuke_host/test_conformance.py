"""The adapter passes what every host adapter must, in the stand-in Nuke, in the Python of each Nuke."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sa2va_plugin.conformance import AdapterConformance

from tests.pythons import real_python
from tests.worker.bench import TOY_WORKER

PROGRAM = Path(__file__).with_name("conform.py")
HOSTS = ("3.7", "3.9", "3.10", "3.11")
OWN = "{}.{}".format(*sys.version_info)
TESTS = [name for name in dir(AdapterConformance) if name.startswith("test_")]


@pytest.mark.parametrize("version", dict.fromkeys((*HOSTS, OWN)))
def test_in_the_python_of(version: str) -> None:
    """Nuke 13, 14, 15, and 16 and 17; with no package installed. Our own Python is there on any machine."""
    done = subprocess.run(
        [real_python(version), "-I", "-S", str(PROGRAM), *TOY_WORKER],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
    assert ran is not None
    assert int(ran[1]) == len(TESTS) + 1, done.stderr
