from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .bench import Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    monkeypatch.setenv("SA2VA_TEST_CONTROL", str(made.control))
    monkeypatch.delenv("OCIO", raising=False)
    yield made
    made.close()
