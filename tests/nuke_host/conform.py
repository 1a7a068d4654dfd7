"""The suite that every adapter must pass, on ours in the stand-in Nuke: a program for the bare Python of any Nuke.

``python -I -S conform.py WORKER-COMMAND...``; the worker has a Python of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(place) for place in (HERE, HERE / "fake", ROOT / "hosts" / "nuke", ROOT / "plugin")]

from nuke_under_test import NukeUnderTest  # noqa: E402
from sa2va_plugin import conformance, launcher  # noqa: E402


class NukeAdapter(conformance.AdapterConformance):
    engine, phrase, frames = "brightness", "the light", 20

    def setUp(self) -> None:
        self.control = Path(tempfile.mkdtemp())
        os.environ["SA2VA_TEST_CONTROL"] = str(self.control)
        self.addCleanup(os.environ.pop, "SA2VA_TEST_CONTROL")
        super().setUp()

    def tearDown(self) -> None:
        self._end_worker()
        for process in launcher._started:
            process.wait(10)
        launcher._started.clear()

    def open_host(self, folder: str, command: Sequence[str], document: Any = None) -> conformance.HostUnderTest:
        return NukeUnderTest(folder, command, document)

    def make_jobs_slow(self, slow: bool) -> None:
        (self.control / "delay").write_text("0.05" if slow else "0")

    def test_no_package_came_along(self) -> None:
        foreign = [m.__file__ for m in sys.modules.values() if "site-packages" in (getattr(m, "__file__", "") or "")]
        assert foreign == []


if __name__ == "__main__":
    NukeAdapter.command = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
