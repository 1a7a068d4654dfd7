"""The adapter passes what every host adapter must, in the stand-in Nuke."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sa2va_plugin import launcher
from sa2va_plugin.conformance import AdapterConformance, HostUnderTest

from tests.worker.bench import TOY_WORKER

from .nuke_under_test import NukeUnderTest


class TestNukeAdapter(AdapterConformance):
    __test__ = True
    command = TOY_WORKER
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

    def open_host(self, folder: str, command: Sequence[str], document: Any = None) -> HostUnderTest:
        return NukeUnderTest(folder, command, document)

    def make_jobs_slow(self, slow: bool) -> None:
        (self.control / "delay").write_text("0.05" if slow else "0")
