"""Qwen2.5-VL (Bai et al. 2025, arXiv 2502.13923) and Qwen3-VL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    DynamicCache,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from ..checkpoint import Checkpoint
from .base import IMAGE, LanguageModel, Scene
from .pictures import RGB, qwen_patches, qwen_pixels
from .tokenizer import end_token, token_id

_IMAGE_PAD = "<|image_pad|>"
_CONFIG_KEYS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


class QwenVL(LanguageModel):
    """What both generations share. Positions are rotary in time, rows and columns (M-RoPE)."""

    reads_prompt_segs = True
    #: What precedes the user's turn.
    system = ""
    #: Normalisation of pictures where the folder does not state it.
    mean: tuple[float, ...]
    std: tuple[float, ...]

    model: Any

    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
        text = checkpoint.config["text_config"]
        end = text.get("eos_token_id")
        ends: set[int] = {end} if isinstance(end, int) else set(end or ())
        if not ends:
            word = end_token(checkpoint.folder)
            ends = {token_id(tokenizer, word)} if word else ends
        super().__init__(tokenizer, text["max_position_embeddings"], ends, ())
        self.image_token = token_id(tokenizer, _IMAGE_PAD)
        vision = checkpoint.config["vision_config"]
        self.patch, self.merge = vision["patch_size"], vision["spatial_merge_size"]
        path = checkpoint.folder / "preprocessor_config.json"
        stated = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.normal = [
            list(stated.get(key) or own) for key, own in (("image_mean", self.mean), ("image_std", self.std))
        ]

    def rename(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        yield name, tensor

    def see(self, pictures: Sequence[RGB], still: bool, regions: Tensor | None = None) -> Scene:
        del still, regions  # A frame and a still are the same to this family, and it knows no visual prompts.
        parts = [
            qwen_patches(qwen_pixels(p, self.patch * self.merge), self.patch, self.merge, *self.normal)
            for p in pictures
        ]
        tower = self.model.model.visual
        weight = next(tower.parameters())
        with torch.inference_mode():
            out = tower(
                torch.cat([patches for patches, _ in parts]).to(weight.device, weight.dtype),
                grid_thw=torch.stack([grid for _, grid in parts]).to(weight.device),
            )
        tokens, deep = _visual_output(out)
        grids = [(int(rows) // self.merge, int(columns) // self.merge) for _, (_, rows, columns) in parts]
        return Scene(tokens, [rows * columns for rows, columns in grids], grids, deep)

    def prompt(self, scene: Scene | None, text: str) -> str:
        counts = scene.counts if scene else []
        images = "".join(f"<|vision_start|>{_IMAGE_PAD * count}<|vision_end|>" for count in counts)
        said = text.replace(IMAGE, "")
        return f"{self.system}<|im_start|>user\n{images}{said}<|im_end|>\n<|im_start|>assistant\n"

    def positions(self, scene: Scene, ids: list[int]) -> Tensor:
        """Time, row and column of each token, (3, n): a picture's tokens spread over the plane from where it starts."""
        parts: list[Tensor] = []
        at, grids, i = 0, iter(scene.grids), 0
        while i < len(ids):
            if ids[i] != self.image_token:
                parts.append(torch.full((3, 1), at))
                at, i = at + 1, i + 1
                continue
            rows, columns = next(grids)
            plane = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).flatten(1)
            parts.append(torch.cat([torch.zeros(1, rows * columns, dtype=torch.long), plane]) + at)
            at, i = at + max(rows, columns), i + rows * columns
        return torch.cat(parts, dim=1)

    def embed(self, ids: list[int]) -> Tensor:
        table = self.model.model.language_model.embed_tokens.weight
        return F.embedding(torch.tensor(ids, dtype=torch.long, device=table.device), table)

    def feed(
        self, embeds: Tensor, positions: Tensor, cache: DynamicCache, scene: Scene | None
    ) -> tuple[Tensor, Tensor]:
        if positions.ndim == 1:
            positions = positions.expand(3, -1)
        out = self.model.model.language_model(
            inputs_embeds=embeds[None],
            position_ids=positions.to(embeds.device)[:, None],
            past_key_values=cache,
            use_cache=True,
            **self.deep_inputs(scene, embeds),
        )
        return out.last_hidden_state[0], self.seg_states(out.last_hidden_state[0])

    def deep_inputs(self, scene: Scene | None, embeds: Tensor) -> dict[str, Any]:
        return {}

    def seg_states(self, normed: Tensor) -> Tensor:
        return normed

    def head(self, states: Tensor) -> Tensor:
        return self.model.lm_head(states)


class Qwen25VL(QwenVL):
    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    mean = (0.48145466, 0.4578275, 0.40821073)
    std = (0.26862954, 0.26130258, 0.27577711)

    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
        super().__init__(checkpoint, tokenizer)
        self.model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**_config(checkpoint)))


class Qwen3VL(QwenVL):
    """Its [SEG] states are taken before the final norm: so the weights were trained."""

    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
        super().__init__(checkpoint, tokenizer)
        self.model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**_config(checkpoint)))
        self._raw = torch.empty(0)
        self.model.model.language_model.norm.register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._raw = inputs[0][0]

    def seg_states(self, normed: Tensor) -> Tensor:
        return self._raw

    def deep_inputs(self, scene: Scene | None, embeds: Tensor) -> dict[str, Any]:
        if scene is None:
            return {}
        ids = torch.tensor(scene.prefix, device=embeds.device)
        return {"visual_pos_masks": (ids == self.image_token)[None], "deepstack_visual_embeds": scene.deep}


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    config = checkpoint.config
    stated = {key: config[key] for key in _CONFIG_KEYS if key in config}
    return {"text_config": config["text_config"], "vision_config": config["vision_config"], **stated} | {
        "tie_word_embeddings": False
    }


def _visual_output(out: Any) -> tuple[Tensor, list[Tensor]]:
    """Merged tokens and deep features, from what the tower gives in transformers 5, or gave in 4."""
    if isinstance(out, Tensor):
        return out, []
    if isinstance(out, tuple):
        return out[0], list(out[1])
    return out.pooler_output, list(getattr(out, "deepstack_features", None) or [])
