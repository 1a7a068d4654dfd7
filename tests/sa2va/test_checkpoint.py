"""The loader: every published layout, and every way in which a folder can be wrong."""

from __future__ import annotations

import json
import math
import shutil
import struct
from pathlib import Path

import pytest
import torch
from sa2va_plugin.errors import EngineError, ModelError
from sa2va_plugin.jobspec import EngineSpec
from safetensors.torch import load_file, save_file

from benchmarks import random_sa2va
from sa2va_core.engines.sa2va.checkpoint import SAM_PREFIX, Checkpoint, open_checkpoint
from sa2va_core.engines.sa2va.engine import choose_device, limit_memory
from sa2va_core.engines.sa2va.factory import FACTORY, find_model
from sa2va_core.engines.sa2va.language.internvl import split_wqkv
from sa2va_core.engines.sa2va.language.sentencepiece import read_bpe
from sa2va_core.engines.sa2va.language.tokenizer import load_tokenizer
from sa2va_core.engines.sa2va.network import Network, _targets, load_network

PUBLISHED = [name for name, size in random_sa2va.SIZES.items() if size.total]
TINY = [name for name, size in random_sa2va.SIZES.items() if not size.total]
CPU = torch.device("cpu")


def load(folder: Path) -> Network:
    return load_network(open_checkpoint(folder), CPU, torch.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random_sa2va.write(tmp_path / "model", random_sa2va.SIZES["tiny"], shard_bytes=100_000)
    return tmp_path / "model"


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_layouts_map(name, tmp_path):
    """Every tensor of every published model has its one place, and the totals are those that were published."""
    size = random_sa2va.SIZES[name]
    shapes = random_sa2va.shapes(size)
    count = sum(math.prod(shape) for shape in shapes.values())
    # The newer models report their size without the 256 numbers of one buffer.
    assert count - size.total in (0, 256)
    (tmp_path / "config.json").write_text(json.dumps(random_sa2va.config(size)))
    random_sa2va.tokenizer().save(str(tmp_path / "tokenizer.json"))
    checkpoint = Checkpoint(tmp_path, random_sa2va.config(size), size.family, (), shapes)
    with torch.device("meta"):
        network = Network(checkpoint)
        waiting = {key: tuple(t.shape) for key, t in network.state_dict().items()}
        for key, shape in shapes.items():
            for target, value in _targets(network, key, torch.empty(shape)):
                assert waiting.pop(target) == tuple(value.shape), key
    assert not waiting


@pytest.mark.parametrize("name", TINY)
def test_every_family_loads_and_answers(name, tmp_path):
    size = random_sa2va.SIZES[name]
    random_sa2va.write(tmp_path, size, shard_bytes=100_000)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    network = load(tmp_path)
    picture = torch.randint(0, 255, (40, 60, 3), dtype=torch.uint8).numpy()
    scene = network.language.see([picture, picture], still=False)
    answers = [network.language.answer(scene, "<image>\nPlease segment it.", official=o) for o in (True, False)]
    for answer in answers:
        assert answer.text == "[SEG]<|im_end|>"
        assert network.embed(answer.states).shape == (1, size.sam.width)
    assert torch.allclose(answers[0].states, answers[1].states, atol=1e-5)
    rows = "model.model.language_model.embed_tokens.weight"
    if size.family == "internvl":
        rows = f"language_model.model.{'tok_' if 'internlm2' in size.text.kind else 'embed_tok'}"
    stored = {k: v for path in tmp_path.glob("*.safetensors") for k, v in load_file(path).items()}
    table = next(v for k, v in stored.items() if k.startswith(rows))
    assert torch.equal(network.language.embed(list(range(5))), table[:5].float())


def test_official_names_of_sam2(goldens):
    """Names and shapes of the large SAM 2, as official checkpoints hold it, and its geometry without any file."""
    keys = json.loads((goldens / "keys/sam2_large_keys.json").read_text())
    ours = random_sa2va.shapes(random_sa2va.SIZES["4b"])
    ours = {k.removeprefix(SAM_PREFIX): list(v) for k, v in ours.items() if k.startswith(SAM_PREFIX)}
    assert ours == keys


def test_internlm2_groups():
    """Four queries, one key and one value a group, row by row."""
    rows = torch.arange(2 * 6 * 3)[:, None]
    q, k, v = split_wqkv(rows, heads=8, groups=2)
    assert k[:, 0].tolist() == [12, 13, 14, 30, 31, 32]
    assert v[:, 0].tolist() == [15, 16, 17, 33, 34, 35]
    assert q[:, 0].tolist() == [*range(12), *range(18, 30)]


def piece(text: str, score: float) -> bytes:
    raw = text.encode()
    body = b"\x0a" + bytes([len(raw)]) + raw + b"\x15" + struct.pack("<f", score)
    return b"\x0a" + bytes([len(body)]) + body


def test_sentencepiece_tokenizer(tmp_path):
    """InternLM2's tokenizer.model: merges follow the scores, texts open with <s>, added tokens keep their ids."""
    words = [("<unk>", 0), ("<s>", 0), ("</s>", 0), ("▁", -9), ("a", -1), ("b", -2), ("c", -3), ("ab", -4), ("bc", -5)]
    model = b"".join(piece(w, s) for w, s in words) + b"\x1a\x02\x18\x00"
    (tmp_path / "tokenizer.model").write_bytes(model)
    vocabulary, merges, dummy_prefix = read_bpe(tmp_path / "tokenizer.model")
    assert (vocabulary["ab"], merges, dummy_prefix) == (7, [("a", "b"), ("b", "c")], False)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[SEG]": 9}))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("abc[SEG]").ids == [1, 7, 6, 9]
    assert tokenizer.decode([7, 6, 9], skip_special_tokens=False) == "abc[SEG]"


def test_tokenizer_without_tokenizer_json(goldens, tmp_path):
    """vocab.json and merges.txt give the same ids as the finished file."""
    source = goldens / "internvl/model"
    made = json.loads((source / "tokenizer.json").read_text())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(made["vocab"]))
    pairs = (m if isinstance(m, str) else " ".join(m) for m in made["merges"])
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(pairs) + "\n")
    shutil.copyfile(source / "tokenizer_config.json", tmp_path / "tokenizer_config.json")
    text = "<|im_start|>user\n<img><IMG_CONTEXT></img>\nSegment Zoë's 2nd bag, it's  red; 第二个[SEG].<|im_end|>\n"
    assert load_tokenizer(tmp_path).encode(text).ids == load_tokenizer(source).encode(text).ids


# What can be wrong


def fails(folder: Path, *words: str) -> None:
    with pytest.raises(ModelError) as caught:
        load(folder)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.hint


def edit(path: Path, change) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_no_checkpoint(tmp_path):
    fails(tmp_path, "no folder of a Sa2VA model", "config.json")


def test_damaged_config(folder):
    (folder / "config.json").write_text('{"model_type":')
    fails(folder, "not valid JSON")
    (folder / "config.json").write_text("[]")
    fails(folder, "not a JSON object")


def test_config_that_asks_for_code(folder):
    edit(folder / "config.json", lambda c: (c.pop("llm_config"), c.update(model_type="other")))
    fails(folder, "never run here", "'other'")


def test_code_in_the_folder_is_not_run(folder):
    (folder / "modeling_sa2va_chat.py").write_text("raise SystemExit('ran')")
    load(folder)


def test_unknown_language_model_and_template(folder):
    edit(folder / "config.json", lambda c: c["llm_config"].update(architectures=["Phi3ForCausalLM"]))
    fails(folder, "Phi3ForCausalLM")
    edit(folder / "config.json", lambda c: c.update(template="vicuna"))
    fails(folder, "'vicuna'")


def test_missing_shard(folder):
    (folder / "model-00002.safetensors").unlink()
    fails(folder, "missing: model-00002.safetensors")


def test_truncated_shard(folder):
    path = folder / "model-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    fails(folder, "cut short")
    path.write_bytes(b"\xff\xff")
    fails(folder, "damaged")


def test_shard_without_a_promised_tensor(folder):
    path = folder / "model-00001.safetensors"
    weights = load_file(path)
    weights.pop(sorted(weights)[0])
    save_file(weights, path)
    fails(folder, "lack 1 tensors")


def test_quantised_weights(folder):
    path = folder / "model-00001.safetensors"
    save_file({k: v.to(torch.int8) for k, v in load_file(path).items()}, path)
    fails(folder, "stored as I8")


def test_not_a_number(folder):
    path = folder / "model-00003.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] = float("nan")
    save_file(weights, path)
    fails(folder, "not numbers")


def test_missing_and_left_over_tensors(folder):
    (folder / "model.safetensors.index.json").unlink()
    path = folder / "model-00001.safetensors"
    weights = load_file(path)
    weights["surprise"] = weights.pop("vision_model.embeddings.patch_embedding.weight")
    short = "vision_model.embeddings.position_embedding"
    weights[short] = weights[short][:, 1:].clone()
    save_file(weights, path)
    fails(folder, "1 tensors are missing", "1 tensors are not known: surprise", "1 tensors have another size", short)


def test_no_sam2(folder):
    (folder / "model.safetensors.index.json").unlink()
    for path in folder.glob("*.safetensors"):
        save_file({k: v for k, v in load_file(path).items() if SAM_PREFIX not in k} or {"x": torch.zeros(1)}, path)
    fails(folder, "no whole SAM 2")


def test_unknown_sam2_size(folder):
    (folder / "sam2.json").unlink()
    fails(folder, "16 wide, 7 blocks")


def test_pickled_weights(folder):
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    fails(folder, "no safetensors weights")
    (folder / "pytorch_model.bin").write_bytes(b"x")
    fails(folder, "can run code")


def test_tokenizer_without_seg(folder):
    edit(folder / "tokenizer.json", lambda t: t["added_tokens"].__delitem__(10))
    fails(folder, "no [SEG] token")
    (folder / "tokenizer.json").write_text("{}")
    fails(folder, "tokenizer cannot be read")
    (folder / "tokenizer.json").unlink()
    fails(folder, "has no tokenizer")


def test_tokenizer_files_that_disagree(folder):
    (folder / "added_tokens.json").write_text(json.dumps({"[SEG]": 7}))
    fails(folder, "disagree")


def test_devices():
    assert choose_device("cpu").type == "cpu"
    for name in ("cuda:99", "abacus", "cpu:1"):
        with pytest.raises(EngineError):
            choose_device(name)
    if not torch.cuda.is_available():
        with pytest.raises(EngineError, match="not on this machine"):
            choose_device("cuda")


def test_factory(folder, monkeypatch):
    assert FACTORY.unavailable() is None
    engine = FACTORY.create(EngineSpec("sa2va", str(folder), "cpu"))
    assert engine.info.model == "model"
    assert set(engine.info.weights) == {p.name for p in folder.glob("*.safetensors")}
    engine.close()
    engine.close()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "transformers" else object())
    assert "transformers" in (FACTORY.unavailable() or "")


def test_ready_only_with_weights(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path / "home"))
    store = tmp_path / "home/models"
    said = FACTORY.missing() or ""
    assert said.startswith("Models are missing: put a folder")
    assert str(store) in said
    shutil.copytree(folder, store / "mine")
    assert FACTORY.missing() is None


def test_model_names(folder, tmp_path, monkeypatch):
    pytest.importorskip("sa2va_core.models.store")
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path / "home"))
    with pytest.raises(ModelError, match="names no Sa2VA model"):
        find_model("")
    shutil.copytree(folder, tmp_path / "home/models/mine")
    assert find_model("").name == find_model("mine").name == "mine"
    with pytest.raises(ModelError, match="Known: mine"):
        find_model("yours")


# Devices


def test_auto_takes_the_best_device_there_is(monkeypatch):
    for cuda, mps, best in ((True, True, "cuda:0"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert str(choose_device("auto")) == best


def test_a_memory_budget_bounds_the_process(monkeypatch):
    """No GPU here: what the allocator is told is looked at, on a card of 24 GiB."""
    told = []
    card = type("Card", (), {"total_memory": 24 * 2**30})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: told.append(share))
    for gib in (6.0, 48.0, None):
        limit_memory(torch.device("cuda", 0), gib)
    limit_memory(torch.device("cpu"), 6.0)
    assert told == [0.25, 1.0]
