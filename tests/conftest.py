"""Fixtures that every part shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real footage and golden data that are not part of the repository."""
    root = Path(os.environ.get("SA2VA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not root.is_dir():
        pytest.skip("real footage and golden data are not here (set SA2VA_SHARED to their folder)")
    return root
