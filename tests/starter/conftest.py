from __future__ import annotations

import pytest

from sa2va_core.engines.base import Engine


@pytest.fixture(scope="session")
def engine(starter_engine: Engine) -> Engine:
    return starter_engine
