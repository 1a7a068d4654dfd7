"""InternVL2.5 and InternVL3 (Chen et al. 2024, arXiv 2412.05271): InternViT with Qwen2 or InternLM2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from sa2va_plugin.errors import ModelError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    DynamicCache,
    InternVLVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.models.internvl.modeling_internvl import InternVLVisionModel

from ..checkpoint import Checkpoint
from .base import IMAGE, LanguageModel, Scene
from .pictures import RGB, squashed, tiles
from .tokenizer import end_token, token_id

_CONTEXT = "<IMG_CONTEXT>"
#: Tokens of one tile, and the side of their grid.
_TILE_TOKENS, _SIDE = 256, 16
_CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
#: A turn of each template, with the words that end an answer. No family sends a system turn.
TEMPLATES = {
    "qwen_chat": (_CHATML, ("<|im_end|>", "<|endoftext|>")),
    "internlm2_chat": (_CHATML, ("<|im_end|>",)),
    "phi3_chat": ("<|user|>\n{}<|end|>\n<|assistant|>\n", ("<|end|>",)),
}
_VISION_NAMES = {
    "vision_model.encoder.layers.": "vision_model.encoder.layer.",
    ".class_embedding": ".cls_token",
    ".position_embedding": ".position_embeddings",
    ".patch_embedding.": ".patch_embeddings.projection.",
    ".ls1": ".lambda_1",
    ".ls2": ".lambda_2",
    ".norm1.": ".layernorm_before.",
    ".norm2.": ".layernorm_after.",
    ".attn.proj.": ".attention.projection_layer.",
    ".attn.q_norm.": ".attention.q_norm.",
    ".attn.k_norm.": ".attention.k_norm.",
}
_INTERNLM2_NAMES = {
    "model.tok_embeddings": "model.embed_tokens",
    "language_model.output": "language_model.lm_head",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w3": "mlp.up_proj",
    "feed_forward.w2": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


class InternVL(LanguageModel):
    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer) -> None:
        config = checkpoint.config
        llm, vision = config["llm_config"], config["vision_config"]
        template = str(config.get("template", "")).replace("-", "_")
        if template not in TEMPLATES:
            raise ModelError(
                f"The model speaks by the template {template!r}, which is not known here. Folder: {checkpoint.folder}",
                "Known: " + ", ".join(TEMPLATES) + ".",
            )
        self_turn, stop_words = TEMPLATES[template]
        end = end_token(checkpoint.folder)
        ends = {token_id(tokenizer, end)} if end else set[int]()
        super().__init__(tokenizer, llm["max_position_embeddings"], ends, stop_words)
        self.turn = self_turn
        self.vision_model = InternVLVisionModel(_vision_config(vision))
        width, out = 4 * vision["hidden_size"], llm["hidden_size"]
        self.mlp1 = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))
        self.image_token = token_id(tokenizer, _CONTEXT)
        self.language_model = _language_model(llm, checkpoint)

    def rename(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        if name.startswith("vision_model."):
            name = _replace(name, _VISION_NAMES)
            if ".attn.qkv." in name:
                for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                    yield name.replace(".attn.qkv.", f".attention.{letter}_proj."), part
                return
        elif name.endswith(".attention.wqkv.weight"):
            config = self.language_model.config
            parts = split_wqkv(tensor, config.num_attention_heads, config.num_key_value_heads or 1)
            for letter, part in zip("qkv", parts, strict=True):
                yield name.replace(".attention.wqkv.", f".self_attn.{letter}_proj."), part
            return
        elif isinstance(self.language_model, LlamaForCausalLM):
            name = _replace(name, _INTERNLM2_NAMES)
        yield name, tensor

    def see(self, pictures: Sequence[RGB], still: bool, regions: Tensor | None = None) -> Scene:
        """``regions``: bool (n, 16, 16), places in the still that the prompt can call region1, region2 ..."""
        if still:
            pixels = tiles(pictures[0])
            counts = [len(pixels) * _TILE_TOKENS]
        else:
            pixels = torch.stack([squashed(p) for p in pictures])
            counts = [_TILE_TOKENS] * len(pictures)
        with torch.inference_mode():
            tokens = self._vision(pixels)
        scene = Scene(tokens.flatten(0, 1), counts)
        if regions is not None:
            # The last tile is the whole picture.
            marked = [tokens[-1][mask.flatten().to(tokens.device)] for mask in regions]
            scene.tokens = torch.cat([scene.tokens, *marked])
            named = [f"region{i + 1}<vp>{_CONTEXT * len(m)}</vp>" for i, m in enumerate(marked)]
            scene.prompt = f"\nThere are {len(named)} part regions in the picture: {', '.join(named)}.\n"
        return scene

    def _vision(self, pixels: Tensor) -> Tensor:
        """float32 (n, 3, 448, 448) -> (n, 256, width)."""
        weight = next(self.mlp1.parameters())
        x = self.vision_model(pixels.to(weight.device, weight.dtype)).last_hidden_state[:, 1:]
        # Four neighbours become one token: rows are halved first, then columns.
        x = x.unflatten(1, (2 * _SIDE, 2 * _SIDE)).unflatten(2, (_SIDE, 2)).flatten(3)
        x = x.unflatten(1, (_SIDE, 2)).permute(0, 1, 3, 2, 4).flatten(3)
        return self.mlp1(x.flatten(1, 2))

    def prompt(self, scene: Scene | None, text: str) -> str:
        if scene is None:
            return self.turn.format(text.replace(IMAGE, ""))
        images = "\n".join(f"<img>{_CONTEXT * count}</img>" for count in scene.counts)
        text = text if IMAGE in text else f"{IMAGE}\n{text}"
        return self.turn.format(text.replace(IMAGE, images + scene.prompt))

    def embed(self, ids: list[int]) -> Tensor:
        table = self.language_model.model.embed_tokens.weight
        return F.embedding(torch.tensor(ids, dtype=torch.long, device=table.device), table)

    def feed(
        self, embeds: Tensor, positions: Tensor, cache: DynamicCache, scene: Scene | None
    ) -> tuple[Tensor, Tensor]:
        out = self.language_model.model(
            inputs_embeds=embeds[None],
            position_ids=positions.to(embeds.device)[None],
            past_key_values=cache,
            use_cache=True,
        )
        return out.last_hidden_state[0], out.last_hidden_state[0]

    def head(self, states: Tensor) -> Tensor:
        return self.language_model.lm_head(states)


def _vision_config(vision: dict[str, Any]) -> InternVLVisionConfig:
    return InternVLVisionConfig(
        hidden_size=vision["hidden_size"],
        num_hidden_layers=vision["num_hidden_layers"],
        num_attention_heads=vision["num_attention_heads"],
        intermediate_size=vision["intermediate_size"],
        attention_bias=vision.get("qkv_bias", True),
        use_qk_norm=vision.get("qk_normalization", False),
        norm_type=vision.get("norm_type", "layer_norm"),
        hidden_act=vision.get("hidden_act", "gelu"),
        layer_norm_eps=vision.get("layer_norm_eps", 1e-6),
        image_size=vision.get("image_size", 448),
        patch_size=vision.get("patch_size", 14),
    )


def _language_model(llm: dict[str, Any], checkpoint: Checkpoint) -> Qwen2ForCausalLM | LlamaForCausalLM:
    rope = llm.get("rope_parameters") or {}
    shared: dict[str, Any] = {
        key: llm[key]
        for key in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "max_position_embeddings",
            "rms_norm_eps",
            "hidden_act",
        )
        if key in llm
    }
    shared |= {"rope_theta": llm.get("rope_theta", rope.get("rope_theta", 10000.0)), "tie_word_embeddings": False}
    shared |= {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    # InternLM2 is Llama under other names, with queries, keys and values in one matrix.
    if _architecture(llm) == "InternLM2ForCausalLM":
        # Its rotary scaling ("dynamic") does nothing within the context that the model states.
        return LlamaForCausalLM(LlamaConfig(**shared, attention_bias=llm.get("bias", False)))
    if _architecture(llm) == "Qwen2ForCausalLM":
        return Qwen2ForCausalLM(Qwen2Config(**shared))
    raise ModelError(
        f"The model's language part is a {_architecture(llm)}, which is not known here. Folder: {checkpoint.folder}",
        "Sa2VA's published models use Qwen2 and InternLM2.",
    )


def _architecture(llm: dict[str, Any]) -> str:
    return (llm.get("architectures") or ["nameless one"])[0]


def _replace(name: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        name = name.replace(old, new)
    return name


def split_wqkv(tensor: Tensor, heads: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """InternLM2's fused projection: for each key-value group its queries, then its key, then its value."""
    x = tensor.unflatten(0, (groups, heads // groups + 2, -1))
    q, k, v = x[:, :-2], x[:, -2], x[:, -1]
    return q.flatten(0, 2), k.flatten(0, 1), v.flatten(0, 1)
