"""What the registry knows of the Sa2VA engine before its weights are loaded."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from sa2va_plugin.errors import ModelError
from sa2va_plugin.jobspec import EngineSpec

from sa2va_core.engines.base import Engine, EngineFactory, Needs

#: What a shot takes beside the weights: 1.7 and 2.6 GiB at the peaks of docs/sa2va.md, and some to spare.
WORKING_MIB = 4096
_UNKNOWN_MIB = 16384
_NEEDED = ("torch", "transformers", "safetensors", "tokenizers", "PIL")


class Sa2vaFactory(EngineFactory):
    name = "sa2va"
    label = "Sa2VA"
    answers = True
    looks_twice = True

    def unavailable(self) -> str | None:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            remedy = "Run `python3 -m installer install --sa2va`, or pip install 'sa2va-roto[sa2va]'"
            return f"Not installed: {', '.join(missing)}. {remedy}"
        return None

    def missing(self) -> str | None:
        root, known = _stored()
        if known:
            return None
        return f"Models are missing: put a folder with config.json and *.safetensors into {root}, or name one as model"

    def needs(self, spec: EngineSpec) -> Needs:
        weights = _weights_mib(spec.model)
        if spec.device == "cpu":
            return Needs(2 * weights + WORKING_MIB)  # float32 there
        gpu = weights + WORKING_MIB
        return Needs(weights + WORKING_MIB, gpu if spec.vram_gib is None else min(gpu, round(spec.vram_gib * 1024)))

    def create(self, spec: EngineSpec) -> Engine:
        folder = find_model(spec.model)
        from .engine import Sa2vaEngine

        return Sa2vaEngine(folder, spec)


def _weights_mib(model: str) -> int:
    """Size of the weights in bfloat16: of the files if they are here, else by the "4B" in the model's name."""
    try:
        files = list(find_model(model).glob("*.safetensors"))
    except ModelError:
        billions = re.search(r"(\d+(?:\.\d+)?)B\b", model)
        return round(float(billions[1]) * 2e9 / 2**20) if billions else _UNKNOWN_MIB
    return -(-sum(file.stat().st_size for file in files) // 2**20)


def find_model(model: str) -> Path:
    """The folder that a job's ``model`` means: a path, or the name of a folder in the store of models.

    Empty means the only Sa2VA folder in the store. Raises ModelError.
    """
    if model and Path(model).expanduser().is_dir():
        return Path(model).expanduser()
    root, known = _stored()
    if model in known:
        return root / model
    if not model and len(known) == 1:
        return root / known[0]
    raise ModelError(
        f"There is no Sa2VA model {model!r} here." if model else "The job names no Sa2VA model.",
        (f"Known: {', '.join(known)}. " if known else "")
        + f"Name a folder with config.json and *.safetensors, or put one into the store. Store: {root}",
    )


def _stored() -> tuple[Path, list[str]]:
    """The store of models, and the names of the Sa2VA folders in it."""
    from sa2va_core.models import store

    root = store.folder()
    return root, sorted(path.parent.name for path in root.glob("*/config.json"))


FACTORY = Sa2vaFactory()
