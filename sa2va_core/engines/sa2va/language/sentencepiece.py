"""The vocabulary of a SentencePiece model file, read from its protocol buffer (sentencepiece_model.proto).

InternLM2 folders hold nothing else. Only three fields matter: the pieces with their scores, and whether a blank is put
before the text.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

Field = tuple[int, int | bytes]


def read_bpe(path: Path) -> tuple[dict[str, int], list[tuple[str, str]], bool]:
    """Pieces to ids, merges in order of preference, and whether texts get a leading blank.

    Raises ValueError for a file that is no SentencePiece model.
    """
    pieces: list[tuple[str, float]] = []
    dummy_prefix = True
    for number, value in _fields(path.read_bytes()):
        if number == 1 and isinstance(value, bytes):
            fields = dict(_fields(value))
            piece, score = fields[1], fields.get(2, b"\0\0\0\0")
            if not isinstance(piece, bytes) or not isinstance(score, bytes):
                raise ValueError("a piece of another form than expected")
            pieces.append((piece.decode("utf-8"), struct.unpack("<f", score)[0]))
        elif number == 3 and isinstance(value, bytes):
            dummy_prefix = bool(dict(_fields(value)).get(3, 1))
    if not pieces:
        raise ValueError("no pieces in it")
    vocabulary = {piece: i for i, (piece, _) in enumerate(pieces)}
    return vocabulary, _merges(pieces, vocabulary), dummy_prefix


def _merges(pieces: list[tuple[str, float]], vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    """Every split of a piece into two others, best score first; splits of one piece by their parts' ids."""
    found: list[tuple[float, int, int, str, str]] = []
    for piece, score in pieces:
        for i in range(1, len(piece)):
            left, right = piece[:i], piece[i:]
            if left in vocabulary and right in vocabulary:
                found.append((-score, vocabulary[left], vocabulary[right], left, right))
    return [(left, right) for *_, left, right in sorted(found)]


def _fields(data: bytes) -> Iterator[Field]:
    """The fields of one protocol buffer message: numbers with varints, or with the bytes of longer values."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("not a protocol buffer")
        if at + length > len(data):
            raise ValueError("cut short")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("not a protocol buffer")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
