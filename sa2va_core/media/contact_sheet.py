"""One picture that says how a job went: frames spread over the shot, and a verdict for each object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import cv2
import numpy as np
from sa2va_plugin.jobspec import ObjectSpec

from . import draw
from .frames import PlateFacts

MOST_FRAMES = 12
_WIDTH, _MARGIN, _GAP = 1920, 48, 16
_PAPER: draw.Colour = (28, 28, 30)
_AMBER: draw.Colour = (255, 190, 60)
_CAPTION = 34
_ROW, _LINE = 40, 28
_STATE, _REASON = 820, 966  # left edges of the verdict's columns


class Judged(Protocol):
    """What the sheet says of an object: a verdict's state and its one-sentence reason."""

    @property
    def state(self) -> str: ...

    @property
    def reason(self) -> str: ...


def spread(frames: Sequence[int], most: int = MOST_FRAMES) -> list[int]:
    """At most ``most`` of ``frames``, evenly, with the first and the last."""
    if len(frames) <= most:
        return list(frames)
    return [frames[round(i * (len(frames) - 1) / (most - 1))] for i in range(most)]


def contact_sheet(
    facts: PlateFacts,
    objects: Sequence[ObjectSpec],
    verdicts: Mapping[str, Judged],
    frames: Sequence[int],
    read: Callable[[int], draw.Image],
) -> draw.Image:
    """uint8 RGB, 1920 wide. ``read`` gives the overlay of a result frame, uint8 RGB, all of one size."""
    chosen = spread(frames)
    first = read(chosen[0])
    height, width = first.shape[:2]
    columns = min(len(chosen), 4 if width >= height else 6)
    tile = min((_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) // columns, width)
    tile_height = round(tile * height / width)
    rows = -(-len(chosen) // columns)
    reasons = [draw.wrapped(_reason(verdicts, item), _WIDTH - _MARGIN - _REASON, 22) for item in objects]
    legend = 132
    tiles = legend + sum(_row(lines) for lines in reasons) + 24
    sheet = np.empty((tiles + rows * (tile_height + _CAPTION + _GAP) + _MARGIN - _GAP, _WIDTH, 3), np.uint8)
    sheet[:] = _PAPER
    _heading(sheet, facts, frames)
    for index, (item, lines) in enumerate(zip(objects, reasons, strict=True)):
        _legend(sheet, legend, index, item, verdicts.get(item.name), lines)
        legend += _row(lines)
    for number, frame in enumerate(chosen):
        row, column = divmod(number, columns)
        x, y = _MARGIN + column * (tile + _GAP), tiles + row * (tile_height + _CAPTION + _GAP)
        picture = first if number == 0 else read(frame)
        sheet[y : y + tile_height, x : x + tile] = cv2.resize(
            picture, (tile, tile_height), interpolation=cv2.INTER_AREA
        )
        draw.text(sheet, str(frame), (x, y + tile_height + 24), 20, draw.DIM)
    return sheet


def _heading(sheet: draw.Image, facts: PlateFacts, frames: Sequence[int]) -> None:
    draw.text(sheet, draw.fitted(facts.stem, _WIDTH - 2 * _MARGIN, 36, 600), (_MARGIN, 72), 36, draw.WHITE, 600)
    count = f"{len(frames)} frame{'s' if len(frames) != 1 else ''}"
    span = f"{frames[0]}-{frames[-1]}" if len(frames) > 1 else str(frames[0])
    facts_line = [span, count, f"{float(facts.fps):.6g} fps", f"{facts.size[0]} x {facts.size[1]}"]
    draw.text(sheet, "   ·   ".join(facts_line), (_MARGIN, 106), 21, draw.DIM)


def _reason(verdicts: Mapping[str, Judged], item: ObjectSpec) -> str:
    return verdicts[item.name].reason if item.name in verdicts else ""


def _row(reason: Sequence[str]) -> int:
    """Height of an object's row in the legend."""
    return _ROW + _LINE * max(0, len(reason) - 1)


def _legend(
    sheet: draw.Image, y: int, index: int, item: ObjectSpec, verdict: Judged | None, reason: Sequence[str]
) -> None:
    draw.rounded(sheet, (_MARGIN, y + 9, _MARGIN + 22, y + 31), 5, draw.object_colour(index))
    base = y + 28
    x = draw.text(sheet, draw.fitted(item.name, 420, 22, 600), (_MARGIN + 38, base), 22, draw.WHITE, 600)
    if item.phrase and item.phrase != item.name:
        draw.text(sheet, draw.fitted(f"“{item.phrase}”", _STATE - 34 - x, 22), (x + 14, base), 22, draw.DIM)
    if verdict is not None:
        colour = draw.WHITE if verdict.state == "found" else _AMBER
        draw.text(sheet, verdict.state, (_STATE, base), 22, colour, 600)
    for number, line in enumerate(reason):
        draw.text(sheet, line, (_REASON, base + _LINE * number), 22, draw.DIM)
