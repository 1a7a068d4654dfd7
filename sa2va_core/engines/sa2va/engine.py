"""The Sa2VA engine: loaded weights that serve many shots."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from sa2va_plugin import __version__
from sa2va_plugin.errors import EngineError, PhraseError
from sa2va_plugin.jobspec import EngineSpec, ObjectSpec

from sa2va_core.engines.base import Engine, EngineInfo
from sa2va_core.media.frames import FrameSource

from . import keyframes
from .checkpoint import Checkpoint, open_checkpoint
from .language.base import IMAGE
from .language.tokenizer import SEG
from .network import load_network
from .prompts import request
from .session import Sa2vaSession
from .streams import Encoder


class Sa2vaEngine(Engine):
    """``folder`` holds a checkpoint. Raises ModelError for its faults, EngineError for a device that is not there."""

    def __init__(self, folder: Path, spec: EngineSpec) -> None:
        self._spec = spec
        self._device = device = choose_device(spec.device)
        limit_memory(device, spec.vram_gib)
        checkpoint = open_checkpoint(folder)
        self._dtype = dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        try:
            self.network = load_network(checkpoint, device, dtype)
        except torch.OutOfMemoryError:
            raise EngineError(
                f"The model needs more memory than the device {device} has free.",
                "Choose a smaller model, close other programs, or run with the device cpu.",
            ) from None
        self.encoder = Encoder(self.network)
        self._digests = _Digests(checkpoint)

    @property
    def info(self) -> EngineInfo:
        precision = str(self._dtype).removeprefix("torch.")
        versions = f"{precision}, torch {torch.__version__}, transformers {transformers.__version__}"
        return EngineInfo(
            name="sa2va",
            label=f"Sa2VA ({self._spec.mode})" if self._spec.mode != "default" else "Sa2VA",
            version=f"{__version__} ({versions})",
            model=self._digests.folder.name,
            device=str(self._device),
            weights=self._digests.all(),
        )

    def check(self, objects: Sequence[ObjectSpec], second_look: bool = False) -> None:
        if second_look and self._spec.mode == "compat":
            raise EngineError("The official Sa2VA looks once, so the mode compat does.", "Use the mode default.")
        for item in objects:
            if self._spec.mode == "compat" and (item.points or item.boxes or item.masks or not item.phrase.strip()):
                raise PhraseError(
                    f"{item.name!r} has points, boxes or masks, which the official Sa2VA does not take.",
                    "Use the mode default.",
                )
            for phrase in (item.phrase, *item.negative_phrases):
                self._check_words(phrase, request(phrase))

    def open_shot(
        self,
        source: FrameSource,
        objects: Sequence[ObjectSpec],
        state: Mapping[str, NDArray[np.generic]] | None = None,
        second_look: bool = False,
    ) -> Sa2vaSession:
        compat = self._spec.mode == "compat"
        return Sa2vaSession(self.network, self.encoder, source, objects, compat, state, second_look)

    def ask(self, source: FrameSource, question: str) -> str:
        self._check_words(question, question)
        pictures = keyframes.choose(source)
        scene = self.network.language.see([p.rgb for p in pictures.values()], still=len(pictures) == 1)
        said = self.network.language.answer(scene, f"{IMAGE}\n{question}").text
        return re.sub(r"<\|(?:im_end|end|endoftext)\|>$|</s>$", "", said).strip()

    def _check_words(self, typed: str, prompt: str) -> None:
        """Raise PhraseError for words that the model cannot be given."""
        if IMAGE in typed or SEG in typed:
            raise PhraseError(
                f"The phrase {typed!r} holds a sign that the model keeps for itself.", f"Leave {IMAGE} and {SEG} out."
            )
        self.network.language.check_length(prompt)

    def compile(self) -> None:
        """Let torch compile the parts that run on every frame. The first frames then take minutes; results differ in
        the last bits. Never done unasked."""
        self.network.sam2.image_encoder.compile()
        self.network.sam2.memory_attention.compile()
        self.network.sam2.memory_encoder.compile()

    def close(self) -> None:
        self.network.to("meta")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def choose_device(wanted: str) -> torch.device:
    """The device for a job's ``device``. Raises EngineError where it is not there."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise EngineError(f"There is no device called {wanted!r}.", "Use auto, cpu, cuda, cuda:N or mps.") from None
    there = {
        "cpu": device.index is None,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise EngineError(
            f"The device {wanted!r} is not on this machine, or this PyTorch cannot use it.",
            "Use auto or cpu, or install a PyTorch built for the device: see `sa2va doctor`.",
        )
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def limit_memory(device: torch.device, gib: float | None) -> None:
    """Keep below ``gib`` of GPU memory. What does not fit then shrinks as if the card were that small."""
    if gib is not None and device.type == "cuda":
        whole = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, gib * 2**30 / whole), device)


class _Digests:
    """SHA-256 of the weight files, reckoned in the background: gigabytes take a while."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.folder = checkpoint.folder
        self._files = checkpoint.files
        self._found: dict[str, str] = {}
        self._thread = threading.Thread(target=self._work, name="digests", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        for path in self._files:
            with open(path, "rb") as file:
                self._found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()

    def all(self) -> dict[str, str]:
        self._thread.join()
        return dict(self._found)
