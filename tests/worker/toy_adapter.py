"""What adapters under test have in common: jobs of the toy worker. Standard library only, for any host's Python."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from sa2va_plugin import launcher
from sa2va_plugin.conformance import AdapterConformance


class ToyWorkerConformance(AdapterConformance):
    engine, phrase, frames = "brightness", "the light", 20
    #: Seconds that a frame of a slow job takes.
    slow = "0.2"

    def setUp(self) -> None:
        self.control = Path(tempfile.mkdtemp())
        os.environ["SA2VA_TEST_CONTROL"] = str(self.control)
        self.addCleanup(os.environ.pop, "SA2VA_TEST_CONTROL")
        super().setUp()

    def tearDown(self) -> None:
        self._end_worker()
        for process in launcher._started:
            process.wait(60)
        launcher._started.clear()

    def make_jobs_slow(self, slow: bool) -> None:
        (self.control / "delay").write_text(self.slow if slow else "0")
