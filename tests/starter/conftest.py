"""The real networks, fetched once through the store."""

from __future__ import annotations

import pytest

from sa2va_core.engines.starter.engine import StarterEngine
from sa2va_core.models import catalogue, store
from sa2va_core.models.download import IndexUnreachable


@pytest.fixture(scope="session")
def engine() -> StarterEngine:
    try:
        for name in catalogue.NEEDED_BY["starter"]:
            store.ensure(name)
    except IndexUnreachable as error:
        pytest.skip(f"the starter models are not here and cannot be fetched: {error.message}")
    return StarterEngine()
