"""The Qwen families against transformers' own whole models, on random weights in the official layout.

An independent check of loader, positions, picture patches and of where picture tokens go: there the whole prompt runs
in one pass by the library's own code, here the pictures are read first and the phrase behind them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from benchmarks import random_sa2va
from sa2va_core.engines.sa2va.checkpoint import open_checkpoint
from sa2va_core.engines.sa2va.language import pictures
from sa2va_core.engines.sa2va.language.qwen import QwenVL
from sa2va_core.engines.sa2va.network import Network, load_network

SIZES = {"qwen2_5_vl": "tiny-qwen2.5-vl", "qwen3_vl": "tiny-qwen3-vl"}
REFERENCES = {
    "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration),
    "qwen3_vl": (Qwen3VLConfig, Qwen3VLForConditionalGeneration),
}


@pytest.fixture(scope="module", params=list(SIZES))
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Our network and the library's model, float64, from one checkpoint in which every layer does something."""
    folder = tmp_path_factory.mktemp("reference") / "model"
    size = random_sa2va.SIZES[SIZES[request.param]]
    random_sa2va.write(folder, size, dtype=torch.float32)
    generator = torch.Generator().manual_seed(3)
    weights: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        shard = load_file(path)
        for name, tensor in shard.items():
            if name.startswith("model.") and tensor.ndim > 1:
                fan = tensor[0].numel()
                shard[name] = torch.randn(tensor.shape, generator=generator) * fan**-0.5
            elif name.startswith("model."):
                shard[name] = tensor + 0.1 * torch.randn(tensor.shape, generator=generator)
        save_file(shard, path)
        weights |= shard
    network = load_network(open_checkpoint(folder), torch.device("cpu"), torch.float64)

    make_config, make_model = REFERENCES[request.param]
    stated = random_sa2va.config(size)
    ids = {key: value for key, value in stated.items() if key.endswith("_token_id")}
    config = make_config(
        text_config=stated["text_config"], vision_config=stated["vision_config"], tie_word_embeddings=False, **ids
    )
    reference = make_model(config).double().eval()
    # The research notes' mapping, and nothing else: one "model." goes.
    own = {name.removeprefix("model."): t.double() for name, t in weights.items() if name.startswith("model.")}
    reference.load_state_dict(own, strict=True)
    return network, reference


@pytest.fixture
def shown() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 255, (2, 12, 20, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(c).resize((320, 192))) for c in coarse]


def test_states_and_logits_of_a_whole_prompt(both: tuple[Network, torch.nn.Module], shown: list[np.ndarray]) -> None:
    network, reference = both
    language = network.language
    assert isinstance(language, QwenVL)
    scene = language.see(shown, False)
    ids = language.tokenizer.encode(language.prompt(scene, "<image>\nPlease segment the man on the left.")).ids
    step = language.patch * language.merge
    parts = [
        pictures.qwen_patches(pictures.qwen_pixels(p, step), language.patch, language.merge, *language.normal)
        for p in shown
    ]
    with torch.inference_mode():
        cache, position, rest = language._read_pictures(scene, ids)
        after = torch.arange(position, position + len(rest))
        states, _ = language.feed(language.embed(rest), after, cache, None)
        tokens = torch.tensor([ids])
        expected = reference(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            mm_token_type_ids=(tokens == language.image_token).int(),
            pixel_values=torch.cat([patches for patches, _ in parts]).double(),
            image_grid_thw=torch.stack([grid for _, grid in parts]),
        ).logits[0, -len(rest) :]
        found = language.head(states)
    assert expected.std() > 0.1
    # Rotary tables are float32 on both sides.
    assert float((found - expected).abs().max()) < 1e-5


def test_patches_are_those_of_the_library(both: tuple[Network, torch.nn.Module]) -> None:
    """Order, doubling in time and normalisation; pictures that need no resizing, which the library does by Pillow."""
    language = both[0].language
    assert isinstance(language, QwenVL)
    step = language.patch * language.merge
    picture = np.random.default_rng(2).integers(0, 255, (8 * step, 12 * step, 3), dtype=np.uint8)
    processor = Qwen2VLImageProcessorPil(
        patch_size=language.patch,
        merge_size=language.merge,
        image_mean=language.normal[0],
        image_std=language.normal[1],
    )
    expected = processor(Image.fromarray(picture), do_resize=False, return_tensors="pt")
    pixels = torch.tensor(picture).permute(2, 0, 1)
    patches, grid = pictures.qwen_patches(pixels, language.patch, language.merge, *language.normal)
    assert torch.equal(grid, expected["image_grid_thw"][0])
    assert float((patches - expected["pixel_values"]).abs().max()) < 1e-5
