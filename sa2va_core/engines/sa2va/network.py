"""The whole network, and how a checkpoint's tensors find their places in it."""

from __future__ import annotations

import torch
from sa2va_plugin.errors import ModelError
from torch import Tensor, nn

from .checkpoint import SAM_PREFIX, Checkpoint, finite
from .language.base import LanguageModel
from .language.internvl import InternVL
from .language.qwen import Qwen3VL, Qwen25VL
from .language.tokenizer import load_tokenizer
from .sam2.geometry import read_geometry
from .sam2.model import Sam2

_FAMILIES: dict[str, type[InternVL] | type[Qwen25VL] | type[Qwen3VL]] = {
    "internvl": InternVL,
    "qwen2_5_vl": Qwen25VL,
    "qwen3_vl": Qwen3VL,
}
_SHOWN = 8


class Network(nn.Module):
    """``language`` answers, ``text_hidden_fcs`` turns [SEG] states into prompts, ``sam2`` draws and tracks."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        shapes = checkpoint.sam_shapes()
        geometry = read_geometry(shapes, checkpoint.folder)
        states = checkpoint.shapes.get("text_hidden_fcs.0.weight", (0, 0))[1]
        self.language: LanguageModel = _FAMILIES[checkpoint.family](checkpoint, load_tokenizer(checkpoint.folder))
        self.text_hidden_fcs = nn.Sequential(nn.Linear(states, states), nn.ReLU(), nn.Linear(states, geometry.width))
        self.sam2 = Sam2(geometry, stock=any(n.startswith("sam_mask_decoder_modified.") for n in shapes))

    @property
    def device(self) -> torch.device:
        return self.sam2.no_obj_ptr.device

    @property
    def dtype(self) -> torch.dtype:
        return self.sam2.no_obj_ptr.dtype

    @torch.inference_mode()
    def embed(self, states: Tensor) -> Tensor:
        """[SEG] states (n, width of the language model) -> prompt embeddings (n, width of SAM 2)."""
        return self.text_hidden_fcs(states)


def load_network(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> Network:
    """Build the network and fill it, tensor by tensor. Raises ModelError with what is missing or left over."""
    # Nothing is allocated before its values come: on the "meta" device parameters are shapes alone.
    with torch.device("meta"):
        network = Network(checkpoint)
    waiting = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    extra, misfits = [], []
    for name, tensor in checkpoint.tensors():
        tensor = finite(name, tensor.to(device).to(dtype), checkpoint.folder)
        for target, value in _targets(network, name, tensor):
            expected = waiting.pop(target, None)
            if expected is None:
                extra.append(name)
            elif expected != tuple(value.shape):
                misfits.append(f"{name} is {_size(value.shape)}, not {_size(expected)}")
            else:
                _put(network, target, value)
    _report(checkpoint, sorted(waiting), extra, misfits)
    _make_tables(network, device)
    network.eval().requires_grad_(False)
    network.sam2.finish()
    return network


def _targets(network: Network, name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    if name.startswith(SAM_PREFIX):
        return [("sam2." + name.removeprefix(SAM_PREFIX), tensor)]
    if name.startswith("text_hidden_fcs."):
        return [(name, tensor)]
    if name.endswith("rotary_emb.inv_freq"):
        return []  # Older exports write this table, which follows from the config.
    return [(f"language.{target}", value) for target, value in network.language.rename(name, tensor)]


def _put(network: Network, target: str, value: Tensor) -> None:
    path, _, name = target.rpartition(".")
    module = network.get_submodule(path)
    if name in module._parameters:
        module._parameters[name] = nn.Parameter(value.contiguous(), requires_grad=False)
    else:
        module._buffers[name] = value.contiguous()


def _make_tables(network: Network, device: torch.device) -> None:
    """Compute what is no weight: rotary tables, which the meta device left empty."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            table = child._buffers.get("inv_freq")
            if table is not None and table.is_meta:
                config = getattr(child, "config", None)
                made = type(child)(config) if config is not None else type(child)(2 * len(table))
                setattr(parent, name, made.to(device))
    empty = [name for name, tensor in network.named_buffers() if tensor.is_meta]
    if empty:
        raise ModelError(f"This version of transformers has tables that are not known here: {', '.join(empty)}.", "")


def _report(checkpoint: Checkpoint, missing: list[str], extra: list[str], misfits: list[str]) -> None:
    if not (missing or extra or misfits):
        return
    lines = [
        f"{len(names)} tensors {what}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for what, names in (("are missing", missing), ("are not known", extra), ("have another size", misfits))
        if names
    ]
    raise ModelError(
        f"The weights do not fit the model that config.json describes; {'; '.join(lines)}. Folder: {checkpoint.folder}",
        "Take weights and config from the same published model, unchanged.",
    )


def _size(shape: tuple[int, ...] | torch.Size) -> str:
    return " x ".join(map(str, shape)) or "a single number"
