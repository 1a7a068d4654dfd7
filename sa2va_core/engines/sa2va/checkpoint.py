"""A checkpoint folder: its config and what its weight files hold, read without running anything it brings.

Only JSON and safetensors are opened. ``auto_map`` and the Python files that official folders carry are ignored, and
pickled weights are refused.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from sa2va_plugin.errors import ModelError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .sam2.geometry import Shape

Family = Literal["internvl", "qwen2_5_vl", "qwen3_vl"]

SAM_PREFIX = "grounding_encoder.sam2_model."
_READABLE = ("F32", "F16", "BF16")
_AGAIN = "Download the model again, whole."


@dataclass(frozen=True)
class Checkpoint:
    """``shapes``: every tensor's name and shape; ``files``: weight files in reading order."""

    folder: Path
    config: dict[str, Any]
    family: Family
    files: tuple[Path, ...]
    shapes: dict[str, Shape]

    def sam_shapes(self) -> dict[str, Shape]:
        return {n.removeprefix(SAM_PREFIX): s for n, s in self.shapes.items() if n.startswith(SAM_PREFIX)}

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor once, on the CPU, mapped from disk."""
        for path in self.files:
            try:
                with safe_open(path, framework="pt", device="cpu") as file:
                    for name in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
                        yield name, file.get_tensor(name)
            except (SafetensorError, OSError) as error:
                raise ModelError(f"A weight file cannot be read: {error}. File: {path}", _AGAIN) from error


def open_checkpoint(folder: Path) -> Checkpoint:
    """Look a folder over. Cheap: of the weights only the headers are read. Raises ModelError."""
    config = _read_config(folder)
    family = _family(config, folder)
    files, promised = _weight_files(folder)
    shapes: dict[str, Shape] = {}
    for path in files:
        shapes.update(_read_header(path))
    lost = sorted(promised - shapes.keys())
    if lost:
        raise ModelError(f"The weight files lack {len(lost)} tensors of the index, {lost[0]!r} first. {folder}", _AGAIN)
    return Checkpoint(folder, config, family, files, shapes)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(
            f"This is no folder of a Sa2VA model: it has no config.json. Folder: {folder}",
            "Name a folder that holds config.json and *.safetensors, or a model of `sa2va models`.",
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"The model's config is not valid JSON: {error}. File: {path}", _AGAIN) from error
    if not isinstance(config, dict):
        raise ModelError(f"The model's config is not a JSON object. File: {path}", _AGAIN)
    return config


def _family(config: dict[str, Any], folder: Path) -> Family:
    vision = config.get("vision_config")
    if isinstance(vision, dict) and isinstance(config.get("llm_config"), dict):
        return "internvl"
    if isinstance(vision, dict) and isinstance(config.get("text_config"), dict):
        if "deepstack_visual_indexes" in vision:
            return "qwen3_vl"
        if "fullatt_block_indexes" in vision:
            return "qwen2_5_vl"
    kind = config.get("model_type", "unnamed")
    code = " and asks for Python code of its own, which is never run here" if "auto_map" in config else ""
    raise ModelError(
        f"The model is of the kind {kind!r}, no Sa2VA layout that is known here{code}. Folder: {folder}",
        "Sa2VA on InternVL2.5, InternVL3, Qwen2.5-VL and Qwen3-VL can be read: see docs/sa2va.md.",
    )


def _weight_files(folder: Path) -> tuple[tuple[Path, ...], set[str]]:
    """Weight files, and the tensor names that an index promises."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            places: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            names = sorted({str(Path(name).name) for name in places.values()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"The index of the weights is damaged: {error!r}. File: {index}", _AGAIN) from error
        absent = [name for name in names if not (folder / name).is_file()]
        if absent:
            raise ModelError(
                f"{len(absent)} of {len(names)} weight files are missing: {', '.join(absent)}. Folder: {folder}", _AGAIN
            )
        return tuple(folder / name for name in names), set(places)
    files = tuple(sorted(folder.glob("*.safetensors")))
    if not files:
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
        raise ModelError(
            "The folder holds no safetensors weights"
            + (", only pickled ones, which are not read because they can run code" if pickled else "")
            + f". Folder: {folder}",
            "Download the safetensors files of the model.",
        )
    return files, set()


def _read_header(path: Path) -> dict[str, Shape]:
    """Names and shapes in one file, after a look at dtypes and at the file's length."""
    try:
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            size = path.stat().st_size
            if length > size:
                raise ValueError("its header is longer than the file")
            header: dict[str, Any] = json.loads(file.read(length))
        header.pop("__metadata__", None)
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
        kinds = {entry["dtype"]: name for name, entry in header.items()}
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ModelError(f"A weight file is damaged: {error}. File: {path}", _AGAIN) from error
    if end != size:
        raise ModelError(f"A weight file is cut short: it has {size} bytes of {end}. File: {path}", _AGAIN)
    for kind, name in kinds.items():
        if kind not in _READABLE:
            raise ModelError(
                f"The weights are stored as {kind} (for example {name!r}), which Sa2VA does not use. File: {path}",
                "Take the original weights (float32, float16 or bfloat16), not a quantised copy.",
            )
    return shapes


def finite(name: str, tensor: Tensor, folder: Path) -> Tensor:
    """``tensor`` itself, or ModelError where it holds a value that is not a number."""
    if not bool(torch.isfinite(tensor).all()):
        raise ModelError(f"The weights hold values that are not numbers, in {name!r}. Folder: {folder}", _AGAIN)
    return tensor
