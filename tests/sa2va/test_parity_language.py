"""Prompts, preprocessing, answers and [SEG] embeddings against the official code's recordings."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from sa2va_core.engines.sa2va.language import pictures
from sa2va_core.engines.sa2va.language.internvl import InternVL
from sa2va_core.engines.sa2va.language.qwen import QwenVL

FAMILIES = ["internvl", "qwen3vl", "qwen2_5vl"]
CASES = ["image_one_seg", "video_one_seg", "video_two_seg", "video_three_frames", "image_no_seg", "text_only"]


def scene_of(network, case, name, still, clip):
    if name == "text_only":
        return None
    regions = torch.tensor(case["mask_prompts_16x16"]) > 0 if "mask_prompts_16x16" in case else None
    if name.startswith("image"):
        return network.language.see([still], True, regions)
    return network.language.see(clip[: 3 if "three" in name else 5], False)


@pytest.mark.parametrize("name", [*CASES, "image_visual_prompt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_answers_and_embeddings(family, name, network, case, still, clip):
    net, golden = network(family), case(family, name)
    scene = scene_of(net, golden, name, still, clip)
    prompt = golden.notes["prompt"]
    assert net.language.tokenizer.encode(net.language.prompt(scene, prompt)).ids == golden["input_ids"][0].tolist()
    if scene is not None:
        recorded = golden["vision_tokens"].reshape(-1, scene.tokens.shape[1])
        assert np.abs(scene.tokens[: len(recorded)].numpy() - recorded).max() < 1e-4
    if "deepstack_tokens" in golden:
        assert scene is not None
        assert np.abs(torch.stack(scene.deep).numpy() - golden["deepstack_tokens"]).max() < 1e-4
    for official in (True, False):
        answer = net.language.answer(scene, prompt, official=official)
        assert answer.ids == golden["generated_ids"][0].tolist()
        assert answer.text == golden.notes["prediction"]
        assert len(answer.states) == golden.notes["n_seg"]
        if "seg_embed" in golden:
            assert np.abs(answer.states.numpy() - golden["seg_hidden"]).max() < 1e-4
            assert np.abs(net.embed(answer.states).numpy() - golden["seg_embed"]).max() < 1e-4


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_qwen_positions(family, network, case, clip, still):
    for name in ("image_one_seg", "video_one_seg"):
        net, golden = network(family), case(family, name)
        scene = scene_of(net, golden, name, still, clip)
        assert scene is not None
        net.language.answer(scene, golden.notes["prompt"])
        visual = golden["position_ids"][:, : len(scene.prefix)]
        assert (net.language.positions(scene, scene.prefix).numpy() == visual).all()
        assert scene.position == golden["position_ids"][0, len(scene.prefix)]


def test_internvl_pixels(case, clip, still, goldens):
    assert (pictures.tiles(still).numpy() == case("internvl", "image_one_seg")["pixel_values"]).all()
    frames = torch.stack([pictures.squashed(p) for p in clip[:5]]).numpy()
    assert (frames == case("internvl", "video_one_seg")["pixel_values"]).all()
    for row in json.loads((goldens / "internvl/tiling.json").read_text()):
        assert list(pictures.tile_grid(*row["size_wh"])) == row["grid_cols_rows"], row


@pytest.mark.parametrize("family", FAMILIES[1:])
def test_qwen_pixels(family, network, case, clip, still, goldens):
    language = network(family).language
    assert isinstance(language, QwenVL)
    step = language.patch * language.merge
    for name, shown in (("image_one_seg", [still]), ("video_one_seg", clip[:5])):
        parts = [
            pictures.qwen_patches(pictures.qwen_pixels(p, step), language.patch, language.merge, *language.normal)
            for p in shown
        ]
        golden = case(family, name)
        assert (torch.stack([grid for _, grid in parts]).numpy() == golden["image_grid_thw"]).all()
        pixels = torch.cat([patches for patches, _ in parts]).numpy()
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == golden.notes["pixel_values_sha256_f32"]
    for row in json.loads((goldens / family / "resize.json").read_text())["table"]:
        w, h = pictures.fit(*row["size_wh"], factor=28, least=4 * 28 * 28, most=16384 * 28 * 28)
        assert [w, h] == row["after_qwen_vl_utils_wh"]
        w, h = pictures.fit(w, h, factor=step, least=pictures.MIN_PIXELS, most=pictures.MAX_PIXELS)
        assert [1, h // language.patch, w // language.patch] == row["grid_thw"]


def test_second_phrase_starts_behind_the_pictures(network, case, clip):
    """The cache of the visual part is read again, not made again, and gives the very same answers."""
    net = network("internvl")
    scene = net.language.see(clip[:5], False)
    one, two = (case("internvl", name).notes["prompt"] for name in ("video_one_seg", "video_two_seg"))
    first = net.language.answer(scene, one)
    cache = scene.cache
    net.language.answer(scene, two)
    again = net.language.answer(scene, one)
    assert scene.cache is cache
    assert again.ids == first.ids
    assert torch.equal(again.states, first.states)


def test_drafts_save_steps(network, case, clip, monkeypatch):
    """An answer in a trained form costs two passes, not one a token."""
    net = network("internvl")
    assert isinstance(net.language, InternVL)
    scene = net.language.see(clip[:5], False)
    passes = []
    feed = InternVL.feed
    monkeypatch.setattr(
        InternVL, "feed", lambda self, embeds, *rest: passes.append(len(embeds)) or feed(self, embeds, *rest)
    )
    prompt = case("internvl", "video_one_seg").notes["prompt"]
    drafted = net.language.answer(scene, prompt)
    count = len(passes)
    plain = net.language.answer(scene, prompt, forms=())
    assert drafted.ids == plain.ids
    assert count < len(passes) - count
