"""The toy host passes what every host must; and an adapter that does wrong does not."""

from __future__ import annotations

import time
import unittest
from collections.abc import Sequence
from typing import Any

import pytest
from sa2va_plugin.conformance import HostUnderTest
from sa2va_plugin.conformance.toy import ToyHost

from .bench import TOY_WORKER
from .toy_adapter import ToyWorkerConformance


class TestToyHost(ToyWorkerConformance):
    __test__ = True
    command = TOY_WORKER
    host_class: type[ToyHost] = ToyHost

    def open_host(self, folder: str, command: Sequence[str], document: Any = None) -> HostUnderTest:
        return self.host_class(folder, command, document)


class Blocking(ToyHost):
    """Waits for the worker inside its timer."""

    def tick(self) -> None:
        super().tick()
        time.sleep(0.3)


class Stalling(ToyHost):
    """Waits twice, in its first job alone."""

    ticks = 0

    def tick(self) -> None:
        super().tick()
        Stalling.ticks += 1
        if Stalling.ticks in (4, 9):
            time.sleep(0.3)


class Computing(ToyHost):
    """Now and then does too much at once."""

    ticks = 0

    def tick(self) -> None:
        super().tick()
        self.ticks += 1
        if self.ticks % 5 == 0:
            deadline = time.thread_time() + 0.3
            while time.thread_time() < deadline:
                pass


class Silent(ToyHost):
    """Says nothing when the worker is lost."""

    def lost(self, message: str, hint: str) -> None:
        pass


class Forgetful(ToyHost):
    """Keeps nothing in its document."""

    def remember(self, saved: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("host", "test"),
    [
        (Blocking, "test_the_window_never_waits"),
        (Stalling, "test_the_window_never_waits"),
        (Computing, "test_the_window_never_waits"),
        (Silent, "test_a_dead_worker_is_told_and_gone_on_from"),
        (Forgetful, "test_a_job_is_collected_by_the_document_that_was_closed"),
    ],
)
def test_an_adapter_that_does_wrong_fails(host: type[ToyHost], test: str) -> None:
    case = TestToyHost(test)
    case.host_class = host
    result = unittest.TestResult()
    case.run(result)
    assert len(result.failures) == 1, result
    assert not result.errors, result.errors
