"""A small plate, two objects with soft mattes, and a disk that is nearly full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec, Outputs

from sa2va_core.media.frames import PlateFacts, SourceFrame
from sa2va_core.media.write import MatteWriter

WIDTH, HEIGHT = 97, 61  # odd on purpose
OBJECTS = (ObjectSpec("man", "the man"), ObjectSpec("Zoë's ball", "the ball, 犬"))
PROVENANCE = {"engine": "starter 1", "model": "test", "weights": "a.onnx " + "0" * 64, "job": "f" * 64}


def disc(x: float, y: float, radius: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> NDArray[np.float32]:
    """A disc with an edge two pixels soft."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    return np.clip((radius - np.hypot(columns - x, rows - y)) / 2 + 0.5, 0, 1).astype(np.float32)


@pytest.fixture
def alphas() -> dict[str, NDArray[np.float32]]:
    return {"man": disc(30, 30, 12), "Zoë's ball": disc(60, 25, 8)}


@pytest.fixture
def facts() -> PlateFacts:
    return PlateFacts("shot_010", (WIDTH, HEIGHT), 2.0, Fraction(24000, 1001), "ACEScg", "job")


@pytest.fixture
def source(tmp_path: Path) -> SourceFrame:
    return SourceFrame(1001, 86, tmp_path / "secret_client" / "shot_010.0086.exr", "01:02:03:04")


@pytest.fixture
def make_writer(tmp_path: Path, facts: PlateFacts) -> Callable[..., MatteWriter]:
    def make(folder: Path | None = None, objects: Any = OBJECTS, **outputs: Any) -> MatteWriter:
        return MatteWriter(Outputs(str(folder or tmp_path / "out"), **outputs), facts, objects, PROVENANCE)

    return make


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk takes the right to mount a tmpfs (run as root on Linux)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def fill(disk: Path, leave: int) -> None:
    """Leave so many bytes free, in whole blocks."""
    facts = os.statvfs(disk)
    (disk / "fill").write_bytes(bytes(max(0, facts.f_bavail * facts.f_frsize - leave)))
