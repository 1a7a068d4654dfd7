"""Scenes fitted once for all tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.splines import SplineObject

from sa2va_core.mattes.splines.outline import StoredOutlines, store
from sa2va_core.mattes.splines.shapes import object_splines

from .scenes import FRAMES, SCENES, SIZE, coverage

Alpha = NDArray[np.float32]
Fit = Callable[..., SplineObject]


@pytest.fixture
def fit(tmp_path: Path) -> Fit:
    """Splines of alphas, numbered from ``first``."""

    def run(alphas: Sequence[Alpha], tolerance: float = 1.0, first: int = 1) -> SplineObject:
        for i, alpha in enumerate(alphas):
            store(tmp_path / f"{first + i}.npz", alpha, tolerance)
        height, width = alphas[0].shape
        frames = range(first, first + len(alphas))
        return object_splines(
            "man", "the man", frames, lambda f: StoredOutlines(tmp_path / f"{f}.npz"), (width, height), tolerance
        )

    return run


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Alpha], SplineObject]]:
    """Every scene's alphas, and its splines at a tolerance of one pixel."""
    results = {}
    for name, scene in SCENES.items():
        folder = tmp_path_factory.mktemp("scene")
        alphas = [coverage(scene(frame), SIZE) for frame in range(FRAMES)]
        for frame, alpha in enumerate(alphas):
            store(folder / f"{frame}.npz", alpha, 1.0)
        item = object_splines(
            name, name, range(FRAMES), lambda f, at=folder: StoredOutlines(at / f"{f}.npz"), SIZE, 1.0
        )
        results[name] = alphas, item
    return results
