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
