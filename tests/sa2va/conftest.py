"""Golden data, read once: tiny checkpoints, frames, and what the official code made of them."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from sa2va_core.engines.sa2va.network import Network

# The engine's libraries are optional; without them there is nothing to collect here.
_HERE = all(importlib.util.find_spec(name) for name in ("torch", "transformers", "PIL"))
collect_ignore_glob = [] if _HERE else ["test_*.py"]

# The recordings were made with AVX2 kernels; where the processor has them, the same ones run here and give the same
# bits. Libraries choose theirs when they are loaded. Elsewhere the tests allow for rounding noise, which they measure.
_CPU = Path("/proc/cpuinfo")
if "torch" not in sys.modules and _CPU.is_file() and " avx2 " in _CPU.read_text():
    os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")
    os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX2")

if _HERE:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def goldens(shared_dir: Path) -> Path:
    folder = shared_dir / "goldens"
    if not folder.is_dir():
        pytest.skip("the golden data of Sa2VA are not here")
    return folder


@pytest.fixture(scope="session")
def clip(goldens: Path) -> list[np.ndarray]:
    """The golden clip, uint8 (96, 160, 3) each."""
    from PIL import Image

    paths = sorted((goldens / "internvl/frames").glob("video_*.png"))
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


@pytest.fixture(scope="session")
def still(goldens: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(goldens / "internvl/frames/image.png").convert("RGB"))


@pytest.fixture(scope="session")
def sa2va_i_folder(goldens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with two mask decoders, put together as the golden data's notes say."""
    from safetensors.torch import load_file, save_file

    folder, source = tmp_path_factory.mktemp("sa2va_i"), goldens / "internvl/model"
    for path in source.iterdir():
        if path.suffix != ".safetensors":
            shutil.copyfile(path, folder / path.name)
    weights = load_file(source / "model.safetensors")
    weights = {k.replace(".sam_mask_decoder.", ".sam_mask_decoder_modified."): v for k, v in weights.items()}
    weights |= load_file(goldens / "internvl_sa2va_i/stock_decoder.safetensors")
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def network(goldens: Path, request: pytest.FixtureRequest) -> Callable[..., Network]:
    """The golden network of a family on the CPU, float32 as it was recorded or float64."""
    import torch

    from sa2va_core.engines.sa2va.checkpoint import open_checkpoint
    from sa2va_core.engines.sa2va.network import load_network

    @cache
    def load(family: str, dtype: torch.dtype = torch.float32) -> Network:
        folder = goldens / family / "model"
        if family == "internvl_sa2va_i":
            folder = request.getfixturevalue("sa2va_i_folder")
        if not folder.is_dir():
            pytest.skip(f"there is no golden checkpoint {family}")
        return load_network(open_checkpoint(folder), torch.device("cpu"), dtype)

    return load


class Case:
    """One recorded run: its notes and its arrays."""

    def __init__(self, goldens: Path, family: str, name: str) -> None:
        notes, arrays = goldens / family / "cases.json", goldens / family / f"{name}.npz"
        if not arrays.is_file():
            pytest.skip(f"the golden case {family}/{name} is not here")
        self.notes: dict[str, Any] = json.loads(notes.read_text())[name]
        self.arrays = np.load(arrays)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def masks(self, name: str = "masks_packed", shape: str = "mask_shape") -> np.ndarray:
        """bool (objects, frames, height, width)."""
        sizes = self.notes[shape]
        sizes = sizes if len(sizes) == 4 else [len(self["seg_embed"]), *sizes]
        return np.unpackbits(self[name])[: np.prod(sizes)].reshape(sizes).astype(bool)


@pytest.fixture(scope="session")
def case(goldens: Path) -> Callable[[str, str], Case]:
    return lambda family, name: Case(goldens, family, name)
