"""Tokenizers of checkpoint folders, in every form in which published folders hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import ModelError
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from .sentencepiece import read_bpe

SEG = "[SEG]"
#: Words, numbers, signs and blanks of Qwen's vocabulary.
_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The folder's tokenizer, with the tokens that Sa2VA adds. Raises ModelError."""
    try:
        tokenizer = _load(folder)
        _add_tokens(tokenizer, folder)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"The model's tokenizer cannot be read: {error}. Folder: {folder}", "Download the model again, whole."
        ) from error
    if tokenizer.token_to_id(SEG) is None:
        raise ModelError(
            f"The tokenizer has no {SEG} token, so this is a language model without Sa2VA's training. Folder: {folder}",
            "Take a Sa2VA model, not the model that it was made from.",
        )
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that the model cannot do without. Raises ModelError."""
    number = tokenizer.token_to_id(token)
    if number is None:
        raise ModelError(f"The tokenizer has no {token} token.", "Take tokenizer and weights from the same model.")
    return number


def end_token(folder: Path) -> str | None:
    """The token that ends an answer by the folder's own tokenizer settings."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token = _read(folder / name).get("eos_token")
        if token:
            return token["content"] if isinstance(token, dict) else token
    return None


def _load(folder: Path) -> Tokenizer:
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return _qwen(folder)
    if (folder / "tokenizer.model").is_file():
        return _internlm2(folder)
    raise ModelError(
        f"The folder has no tokenizer (tokenizer.json, vocab.json with merges.txt, or tokenizer.model). {folder}",
        "Download the model again, whole.",
    )


def _qwen(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _internlm2(folder: Path) -> Tokenizer:
    vocabulary, merges, dummy_prefix = read_bpe(folder / "tokenizer.model")
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps: list[normalizers.Normalizer] = [normalizers.Prepend("▁")] if dummy_prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", left=1)]
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])]
    )
    return tokenizer


def _add_tokens(tokenizer: Tokenizer, folder: Path) -> None:
    """Add what the settings name and the vocabulary lacks, under the very ids that the weights were trained with."""
    wanted = {
        entry["content"]: (int(number), entry)
        for number, entry in _read(folder / "tokenizer_config.json").get("added_tokens_decoder", {}).items()
    }
    for content, number in _read(folder / "added_tokens.json").items():
        wanted.setdefault(content, (number, {"special": True}))
    for content, (number, entry) in sorted(wanted.items(), key=lambda item: item[1][0]):
        token = AddedToken(
            content,
            lstrip=entry.get("lstrip", False),
            rstrip=entry.get("rstrip", False),
            normalized=entry.get("normalized", False),
            single_word=entry.get("single_word", False),
            special=entry.get("special", False),
        )
        if tokenizer.token_to_id(content) is None:
            tokenizer.add_tokens([token])
        if tokenizer.token_to_id(content) != number:
            raise ModelError(
                f"The tokenizer's files disagree: {content!r} should be token {number}. Folder: {folder}",
                "Download the model again, whole.",
            )


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
