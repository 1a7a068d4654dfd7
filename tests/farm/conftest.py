"""A worker and a toy engine for batches, as the worker's own tests have them."""

from __future__ import annotations

import pytest

from sa2va_core.engines import registry
from tests.worker import toy_child
from tests.worker.bench import Bench
from tests.worker.conftest import bench

__all__ = ["bench", "sheet_bench"]


@pytest.fixture
def sheet_bench(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """``bench`` with its engine known in this process too, where sheets are checked."""
    monkeypatch.setitem(registry._FACTORIES, "brightness", toy_child.module.__name__)
    return bench
