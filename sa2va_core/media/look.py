"""The picture the model sees beside the plate as it is stored, in one PNG for the user's eyes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import UnwritableError
from sa2va_plugin.jobspec import Shot

from sa2va_core.media.atomic import write_bytes
from sa2va_core.media.clip import Clip, open_clip
from sa2va_core.media.colour import to_codes

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (230, 230, 230)


def look(shot: Shot, frame: int | None, path: Path) -> list[str]:
    """Write ``path`` (PNG): left the stored code values cut to 0..1, right the model's picture, below what was chosen.

    Its folder is made. ``frame`` is a result frame; None means the first. Returns the captions. Raises MediaError,
    ColourError or OutputError.
    """
    with open_clip(shot) as clip:
        frame = clip.frames[0] if frame is None else frame
        if path.exists() and path.samefile(clip.source_of(frame).path):
            raise UnwritableError(f"The picture would take the place of the plate: {path}", "Choose another -o.")
        stored = to_codes(np.nan_to_num(clip.read_stored(frame)))
        seen = clip.read(frame).rgb
        captions = _captions(clip, frame)
    titled = [
        np.vstack([_text_bar([title], rgb.shape[1]), rgb])
        for rgb, title in ((stored, "plate, as stored"), (seen, "what the model sees"))
    ]
    # Narrow pictures have smaller titles; an anamorphic plate and its picture differ in size.
    tallest = max(side.shape[0] for side in titled)
    sides = [np.pad(side, ((0, tallest - side.shape[0]), (0, 0), (0, 0))) for side in titled]
    gutter = np.zeros((sides[0].shape[0], 8, 3), np.uint8)
    sheet = np.hstack([sides[0], gutter, sides[1]])
    sheet = np.vstack([sheet, _text_bar(captions, sheet.shape[1])])
    done, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not done:
        raise UnwritableError(f"The picture is too large for a PNG: {path}", "Look at a smaller plate.")
    write_bytes(path, data.data)
    return captions


def _captions(clip: Clip, frame: int) -> list[str]:
    facts, transform, source = clip.facts, clip.transform, clip.source_of(frame)
    shown = f"{transform.display} / {transform.view}" if transform.display else "shown as it is"
    width, height = facts.size
    return [
        f"{source.path.name}  frame {source.plate_frame}" + (f"  {source.timecode}" if source.timecode else ""),
        f"{facts.colour_space} (named by {facts.colour_source})  ->  {shown}",
        f"{width} x {height}, pixel aspect {facts.pixel_aspect:g}, {float(facts.fps):.6g} frames/s",
    ]


def _text_bar(lines: list[str], width: int) -> NDArray[np.uint8]:
    """Lines of text on black, as large as ``width`` allows, between small and readable."""
    longest = max(cv2.getTextSize(line, _FONT, 1, 1)[0][0] for line in lines)
    scale = min(0.8, max(0.3, 0.96 * width / longest))
    step = round(34 * scale) + 4
    bar = np.zeros((step * len(lines) + 8, width, 3), np.uint8)
    for index, line in enumerate(lines):
        origin = (8, step * (index + 1) - round(8 * scale))
        cv2.putText(bar, line, origin, _FONT, scale, _INK, 1, cv2.LINE_AA)
    return bar
