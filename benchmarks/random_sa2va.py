"""Sa2VA checkpoints of any published size with random weights, in the official layout.

For measuring speed and memory, and for tests of the loader: names and shapes are written down here from the published
layouts, not taken from the engine (SAM 2's names, which the engine keeps, aside).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from sa2va_core.engines.sa2va.checkpoint import Family
from sa2va_core.engines.sa2va.sam2.geometry import HIERA, Geometry, HieraLayout
from sa2va_core.engines.sa2va.sam2.model import Sam2

SAM_PREFIX = "grounding_encoder.sam2_model."
Shapes = dict[str, tuple[int, ...]]

SAM_LARGE = Geometry(
    image=1024,
    embed=144,
    stages=(2, 6, 36, 4),
    layout=HIERA[144, 48],
    position_grid=7,
    width=256,
    memory_width=64,
    memory_maps=7,
    memory_layers=4,
    memory_feedforward=2048,
    fuser_layers=2,
    decoder_layers=2,
    decoder_feedforward=2048,
    iou_hidden=256,
    mask_channels=16,
)
SAM_TINY = Geometry(
    image=128,
    embed=16,
    stages=(1, 2, 3, 1),
    layout=HieraLayout(1, (5,), (8, 4, 8, 4)),
    position_grid=7,
    width=64,
    memory_width=16,
    memory_maps=7,
    memory_layers=2,
    memory_feedforward=128,
    fuser_layers=2,
    decoder_layers=2,
    decoder_feedforward=128,
    iou_hidden=64,
    mask_channels=16,
)


@dataclass(frozen=True)
class Text:
    """A language model. ``head_dim`` 0: width over heads. ``kind``: qwen2, internlm2, qwen2_5_vl or qwen3_vl."""

    kind: str
    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    head_dim: int = 0

    @property
    def head(self) -> int:
        return self.head_dim or self.width // self.heads


@dataclass(frozen=True)
class Vision:
    width: int
    inner: int
    layers: int
    heads: int
    big: bool = False


@dataclass(frozen=True)
class Size:
    """``total``: parameters of the published model as its index counts them."""

    family: Family
    text: Text
    vision: Vision
    template: str = "qwen_chat"
    sam: Geometry = SAM_LARGE
    total: int = 0


_VIT_300M = Vision(1024, 4096, 24, 16)
_VIT_6B = Vision(3200, 12800, 45, 25, big=True)
_VIT_QWEN25 = Vision(1280, 3420, 32, 16)
_VIT_QWEN3 = Vision(1024, 4096, 24, 16)
_QWEN, _INTERNLM, _QWEN25, _QWEN3 = 151679, 92558, 151670, 151674

SIZES = {
    "1b": Size("internvl", Text("qwen2", 896, 4864, 24, 14, 2, _QWEN), _VIT_300M, total=1_163_665_714),
    "4b": Size("internvl", Text("qwen2", 2048, 11008, 36, 16, 2, _QWEN), _VIT_300M, "phi3_chat", total=3_941_809_714),
    "8b": Size(
        "internvl",
        Text("internlm2", 4096, 14336, 32, 32, 8, _INTERNLM),
        _VIT_300M,
        "internlm2_chat",
        total=8_317_666_866,
    ),
    "26b": Size(
        "internvl",
        Text("internlm2", 6144, 16384, 48, 48, 8, _INTERNLM),
        _VIT_6B,
        "internlm2_chat",
        total=25_778_005_938,
    ),
    "internvl3-2b": Size("internvl", Text("qwen2", 1536, 8960, 28, 12, 2, _QWEN), _VIT_300M, total=2_316_157_234),
    "internvl3-8b": Size("internvl", Text("qwen2", 3584, 18944, 28, 28, 4, _QWEN), _VIT_300M, total=8_182_606_130),
    "internvl3-14b": Size("internvl", Text("qwen2", 5120, 13824, 48, 40, 8, _QWEN), _VIT_300M, total=15_369_268_530),
    "qwen2.5-vl-3b": Size(
        "qwen2_5_vl", Text("qwen2_5_vl", 2048, 11008, 36, 16, 2, _QWEN25), _VIT_QWEN25, total=4_293_849_394
    ),
    "qwen2.5-vl-7b": Size(
        "qwen2_5_vl", Text("qwen2_5_vl", 3584, 18944, 28, 28, 4, _QWEN25), _VIT_QWEN25, total=8_527_538_994
    ),
    "qwen3-vl-2b": Size(
        "qwen3_vl", Text("qwen3_vl", 2048, 6144, 28, 16, 8, _QWEN3, 128), _VIT_QWEN3, total=2_666_774_834
    ),
    "qwen3-vl-4b": Size(
        "qwen3_vl", Text("qwen3_vl", 2560, 9728, 36, 32, 8, _QWEN3, 128), _VIT_QWEN3, total=5_057_072_434
    ),
    "tiny": Size("internvl", Text("qwen2", 32, 48, 2, 4, 2, 300), Vision(32, 48, 2, 4), sam=SAM_TINY),
    "tiny-internlm2": Size(
        "internvl", Text("internlm2", 32, 48, 2, 4, 2, 300), Vision(32, 48, 2, 4), "internlm2_chat", SAM_TINY
    ),
    "tiny-6b": Size(
        "internvl", Text("internlm2", 32, 48, 2, 4, 2, 300), Vision(32, 48, 2, 4, True), "internlm2_chat", SAM_TINY
    ),
    "tiny-phi3": Size("internvl", Text("qwen2", 32, 48, 2, 4, 2, 300), Vision(32, 48, 2, 4), "phi3_chat", SAM_TINY),
    "tiny-qwen2.5-vl": Size("qwen2_5_vl", Text("qwen2_5_vl", 32, 48, 2, 2, 1, 300), Vision(32, 48, 3, 2), sam=SAM_TINY),
    "tiny-qwen3-vl": Size("qwen3_vl", Text("qwen3_vl", 32, 48, 3, 2, 1, 300, 16), Vision(32, 48, 3, 2), sam=SAM_TINY),
}


def shapes(size: Size) -> Shapes:
    """Names and shapes of a checkpoint, as the official code saves it."""
    text, g = size.text, size.sam
    found = dict(_internvl(size) if size.family == "internvl" else _qwen(size))
    w = text.width
    found |= {"text_hidden_fcs.0.weight": (w, w), "text_hidden_fcs.0.bias": (w,)}
    found |= {"text_hidden_fcs.2.weight": (g.width, w), "text_hidden_fcs.2.bias": (g.width,)}
    with torch.device("meta"):
        sam = Sam2(g, stock=False).state_dict()
    return found | {SAM_PREFIX + name: tuple(t.shape) for name, t in sam.items()}


def _linear(name: str, out: int, inner: int, bias: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, inner)
    if bias:
        yield f"{name}.bias", (out,)


def _norm(name: str, width: int, bias: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    if bias:
        yield f"{name}.bias", (width,)


def _internvl(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    v, text = size.vision, size.text
    w = v.width
    yield "vision_model.embeddings.class_embedding", (1, 1, w)
    yield "vision_model.embeddings.position_embedding", (1, 1025, w)
    yield "vision_model.embeddings.patch_embedding.weight", (w, 3, 14, 14)
    yield "vision_model.embeddings.patch_embedding.bias", (w,)
    for i in range(v.layers):
        at = f"vision_model.encoder.layers.{i}"
        yield f"{at}.ls1", (w,)
        yield f"{at}.ls2", (w,)
        for norm in ("norm1", "norm2"):
            yield from _norm(f"{at}.{norm}", w, bias=not v.big)
        yield from _linear(f"{at}.attn.qkv", 3 * w, w, bias=not v.big)
        yield from _linear(f"{at}.attn.proj", w, w, bias=True)
        if v.big:
            yield f"{at}.attn.q_norm.weight", (w,)
            yield f"{at}.attn.k_norm.weight", (w,)
        yield from _linear(f"{at}.mlp.fc1", v.inner, w, bias=True)
        yield from _linear(f"{at}.mlp.fc2", w, v.inner, bias=True)
    yield from _norm("mlp1.0", 4 * w, bias=True)
    yield from _linear("mlp1.1", text.width, 4 * w, bias=True)
    yield from _linear("mlp1.3", text.width, text.width, bias=True)
    if text.kind == "internlm2":
        yield from _internlm2(text)
    else:
        yield from _decoder("language_model.model", text, qkv_bias=True, head_norms=False)
        yield "language_model.lm_head.weight", (text.vocabulary, text.width)


def _internlm2(text: Text) -> Iterator[tuple[str, tuple[int, ...]]]:
    w, groups = text.width, text.heads + 2 * text.kv_heads
    yield "language_model.model.tok_embeddings.weight", (text.vocabulary, w)
    for i in range(text.layers):
        at = f"language_model.model.layers.{i}"
        yield f"{at}.attention.wqkv.weight", (groups * text.head, w)
        yield f"{at}.attention.wo.weight", (w, text.heads * text.head)
        yield f"{at}.feed_forward.w1.weight", (text.inner, w)
        yield f"{at}.feed_forward.w3.weight", (text.inner, w)
        yield f"{at}.feed_forward.w2.weight", (w, text.inner)
        yield f"{at}.attention_norm.weight", (w,)
        yield f"{at}.ffn_norm.weight", (w,)
    yield "language_model.model.norm.weight", (w,)
    yield "language_model.output.weight", (text.vocabulary, w)


def _decoder(prefix: str, text: Text, qkv_bias: bool, head_norms: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    w = text.width
    yield f"{prefix}.embed_tokens.weight", (text.vocabulary, w)
    for i in range(text.layers):
        at = f"{prefix}.layers.{i}"
        for name, heads in (("q", text.heads), ("k", text.kv_heads), ("v", text.kv_heads)):
            yield from _linear(f"{at}.self_attn.{name}_proj", heads * text.head, w, bias=qkv_bias)
        yield f"{at}.self_attn.o_proj.weight", (w, text.heads * text.head)
        if head_norms:
            yield f"{at}.self_attn.q_norm.weight", (text.head,)
            yield f"{at}.self_attn.k_norm.weight", (text.head,)
        yield f"{at}.mlp.gate_proj.weight", (text.inner, w)
        yield f"{at}.mlp.up_proj.weight", (text.inner, w)
        yield f"{at}.mlp.down_proj.weight", (w, text.inner)
        yield f"{at}.input_layernorm.weight", (w,)
        yield f"{at}.post_attention_layernorm.weight", (w,)
    yield f"{prefix}.norm.weight", (w,)


def _qwen(size: Size) -> Iterator[tuple[str, tuple[int, ...]]]:
    v, text, new = size.vision, size.text, size.family == "qwen3_vl"
    w, patch, at = v.width, 16 if new else 14, "model.model.visual"
    yield f"{at}.patch_embed.proj.weight", (w, 3, 2, patch, patch)
    if new:
        yield f"{at}.patch_embed.proj.bias", (w,)
        yield f"{at}.pos_embed.weight", (2304, w)
    for i in range(v.layers):
        block = f"{at}.blocks.{i}"
        for norm in ("norm1", "norm2"):
            yield from _norm(f"{block}.{norm}", w, bias=new)
        yield from _linear(f"{block}.attn.qkv", 3 * w, w, bias=True)
        yield from _linear(f"{block}.attn.proj", w, w, bias=True)
        if new:
            yield from _linear(f"{block}.mlp.linear_fc1", v.inner, w, bias=True)
            yield from _linear(f"{block}.mlp.linear_fc2", w, v.inner, bias=True)
        else:
            yield from _linear(f"{block}.mlp.gate_proj", v.inner, w, bias=True)
            yield from _linear(f"{block}.mlp.up_proj", v.inner, w, bias=True)
            yield from _linear(f"{block}.mlp.down_proj", w, v.inner, bias=True)
    if new:
        mergers = [("merger", w), *((f"deepstack_merger_list.{i}", 4 * w) for i in range(len(_deep(v))))]
        for name, normed in mergers:
            yield from _norm(f"{at}.{name}.norm", normed, bias=True)
            yield from _linear(f"{at}.{name}.linear_fc1", 4 * w, 4 * w, bias=True)
            yield from _linear(f"{at}.{name}.linear_fc2", text.width, 4 * w, bias=True)
    else:
        yield f"{at}.merger.ln_q.weight", (w,)
        yield from _linear(f"{at}.merger.mlp.0", 4 * w, 4 * w, bias=True)
        yield from _linear(f"{at}.merger.mlp.2", text.width, 4 * w, bias=True)
    yield from _decoder("model.model.language_model", text, qkv_bias=not new, head_norms=new)
    yield "model.lm_head.weight", (text.vocabulary, text.width)


def _deep(v: Vision) -> list[int]:
    return [5, 11, 17] if v.layers > 17 else [0, 1]


def config(size: Size) -> dict[str, Any]:
    """config.json, as far as any reader needs it."""
    text, v = size.text, size.vision
    shared = {
        "hidden_size": text.width,
        "intermediate_size": text.inner,
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "num_key_value_heads": text.kv_heads,
        "vocab_size": text.vocabulary,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "rope_theta": 1000000.0,
    }
    made: dict[str, Any] = {
        "model_type": "sa2va_chat",
        "template": size.template,
        "tie_word_embeddings": False,
        "auto_map": {"AutoModel": "modeling_sa2va_chat.Sa2VAChatModel"},
    }
    if size.family == "internvl":
        architecture = "InternLM2ForCausalLM" if text.kind == "internlm2" else "Qwen2ForCausalLM"
        vision = {
            "hidden_size": v.width,
            "intermediate_size": v.inner,
            "num_hidden_layers": v.layers,
            "num_attention_heads": v.heads,
            "norm_type": "rms_norm" if v.big else "layer_norm",
            "qk_normalization": v.big,
            "qkv_bias": not v.big,
            "hidden_act": "gelu",
            "image_size": 448,
            "patch_size": 14,
            "layer_norm_eps": 1e-6,
        }
        return made | {"llm_config": shared | {"architectures": [architecture]}, "vision_config": vision}
    new = size.family == "qwen3_vl"
    third = text.head // 8
    sections = [text.head // 2 - 2 * third, third, third]
    rope: dict[str, Any] = {"rope_type": "default", "mrope_section": sections}
    if new:
        rope["mrope_interleaved"] = True
        shared["head_dim"] = text.head
    shared |= {"rope_scaling": rope, "eos_token_id": _TOKEN_IDS["<|im_end|>"]}
    shared["model_type"] = "qwen3_vl_text" if new else "qwen2_5_vl_text"
    vision = {
        "depth": v.layers,
        "hidden_size": v.width,
        "intermediate_size": v.inner,
        "num_heads": v.heads,
        "patch_size": 16 if new else 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": text.width,
        "hidden_act": "gelu_pytorch_tanh" if new else "silu",
        "model_type": "qwen3_vl" if new else "qwen2_5_vl",
    }
    vision |= (
        {"deepstack_visual_indexes": _deep(v), "num_position_embeddings": 2304}
        if new
        else {"window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31] if v.layers > 31 else [v.layers - 1]}
    )
    ids = _TOKEN_IDS
    named = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    named |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return made | {"text_config": shared, "vision_config": vision} | {key: ids[t] for key, t in named.items()}


_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"),
    *("<|video_pad|>", "<img>", "</img>", "<IMG_CONTEXT>", "[SEG]", "<p>", "</p>", "<vp>", "</vp>"),
)


#: Special tokens stand behind the 256 bytes: the tokenizer is a stand-in, not the published one.
_TOKEN_IDS = {token: 256 + i for i, token in enumerate(_SPECIAL)}


def tokenizer() -> Tokenizer:
    """A tokenizer of single bytes and the special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in _SPECIAL])
    return made


def write(
    folder: Path,
    size: Size,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: str = "cpu",
    shard_bytes: int = 4 << 30,
    seed: int = 0,
) -> None:
    """Write a checkpoint folder: config, tokenizer and shards with their index.

    Weights are drawn from one seeded generator. Every object is called visible by the presence head, so that tracking
    always runs, and answers are "[SEG]" and the end of the turn: the layers pass their input on unchanged, and the head
    knows one token to follow each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config(size), indent=1))
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
    if size.sam is not SAM_LARGE:
        layout = size.sam.layout
        hiera = {"num_heads": layout.heads, "global_att_blocks": layout.global_blocks, "window_spec": layout.windows}
        (folder / "sam2.json").write_text(json.dumps({"image_size": size.sam.image, "hiera": hiera}))
    generator = torch.Generator(device).manual_seed(seed)
    shard: dict[str, torch.Tensor] = {}
    places: dict[str, str] = {}
    held = number = 0
    wanted = shapes(size)
    for i, (name, shape) in enumerate(wanted.items()):
        shard[name] = _values(name, shape, size, generator, device).to(dtype).cpu()
        held += shard[name].nbytes
        if held >= shard_bytes or i == len(wanted) - 1:
            number += 1
            file = f"model-{number:05d}.safetensors"
            save_file(shard, folder / file, metadata={"format": "pt"})
            places |= dict.fromkeys(shard, file)
            shard, held = {}, 0
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def _values(name: str, shape: tuple[int, ...], size: Size, generator: torch.Generator, device: str) -> torch.Tensor:
    if name.endswith("pred_obj_score_head.layers.2.bias"):
        return torch.full(shape, 10.0, device=device)
    stem = name.rpartition(".")[0]
    is_norm = "norm" in stem.rpartition(".")[2] or stem.endswith((".ln_q", "mlp1.0"))
    if (is_norm and name.endswith(".weight")) or name.rpartition(".")[2] in ("ls1", "ls2"):
        return torch.ones(shape, device=device)
    values = torch.randn(shape, generator=generator, device=device, dtype=torch.float32)
    if name.endswith(("o_proj.weight", "down_proj.weight", "attention.wo.weight", "feed_forward.w2.weight")) and (
        "visual" not in name
    ):
        return values * 0.0
    if name.endswith(("lm_head.weight", "language_model.output.weight")):
        return _follow(values, size)
    if name.endswith(("embed_tokens.weight", "tok_embeddings.weight")):
        return _mark(values, size)
    fan = 1
    for side in shape[1:]:
        fan *= side
    return values * (fan**-0.5 if len(shape) > 1 else 0.02)


def _mark(values: torch.Tensor, size: Size) -> torch.Tensor:
    """Embeddings in which the tokens of the answer stand out in a direction each."""
    values = values * 0.02
    for direction, token in enumerate(_chain(size)):
        values[token] = 0.0
        values[token, direction] = 1.0
    return values


def _follow(values: torch.Tensor, size: Size) -> torch.Tensor:
    """A head that names the next token of the chain."""
    values = values * 1e-3
    chain = _chain(size)
    for direction, follower in enumerate(chain[1:]):
        values[follower] = 0.0
        values[follower, direction] = 10.0
    return values


def _chain(size: Size) -> list[int]:
    """The last token of the prompt, then the answer."""
    ids = _TOKEN_IDS
    newline = tokenizer().encode("\n").ids[0]
    return [newline, ids["[SEG]"], ids["<|im_end|>"]]
