"""Nuke cannot be installed by a test: what runs here is the strict stand-in of fake/nuke."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FAKE = Path(__file__).with_name("fake")
HOST = Path(__file__).resolve().parents[2] / "hosts" / "nuke"
sys.path[:0] = [str(FAKE), str(HOST)]

import nuke  # noqa: E402
from sa2va_plugin import connection  # noqa: E402


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty script in a new Nuke with a window."""
    from sa2va_nuke import actions

    monkeypatch.delenv("OCIO", raising=False)
    nuke._reset()  # type: ignore[attr-defined]
    actions.running.clear()
    actions._owners.clear()
    yield nuke
    for job in list(actions.running.values()):
        job.leave()
    assert "OCIO" not in os.environ


@pytest.fixture
def host(fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A saved script: a Read of four frames, and a Sa2VA node on it."""
    from sa2va_nuke import jobs

    from tests.worker.bench import TOY_WORKER, Bench

    from .nuke_under_test import NukeUnderTest

    bench = Bench(tmp_path)
    monkeypatch.setenv("SA2VA_TEST_CONTROL", str(bench.control))
    monkeypatch.setenv(connection.FOLDER_VARIABLE, bench.folder)
    monkeypatch.setattr(jobs, "new_client", jobs.new_client)  # put back afterwards
    made = NukeUnderTest(bench.folder, TOY_WORKER)
    made.fill_in(bench.plate(4), "light", "the light", (tmp_path / "mattes").as_posix(), "brightness")
    yield made
    made.close()
    bench.close()
