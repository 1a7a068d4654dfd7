"""SMPTE time code: the packed form of EXR and DPX headers, and counting on from a movie's first frame."""

from __future__ import annotations

import re
from fractions import Fraction

_TEXT = re.compile(r"^(\d\d):(\d\d):(\d\d)([:;.])(\d\d)$")


def from_packed(word: int) -> str:
    """The text of a packed binary-coded time code (SMPTE ST 12-1, as EXR's ``timeCode`` and DPX hold it).

    ``HH:MM:SS:FF``, with ``;`` before FF when the drop-frame bit is set.
    """

    def digits(shift: int, tens_mask: int) -> int:
        return (word >> shift & 0xF) + 10 * (word >> (shift + 4) & tens_mask)

    mark = ";" if word & 0x40 else ":"
    return f"{digits(24, 3):02d}:{digits(16, 7):02d}:{digits(8, 7):02d}{mark}{digits(0, 3):02d}"


def advance(timecode: str, frames: int, fps: Fraction) -> str | None:
    """The time code ``frames`` later, or None when the text is not a time code.

    Drop frame counts skip the first 2 numbers (4 at 60) of every minute but each tenth (SMPTE ST 12-1). Wraps at 24 h.
    """
    match = _TEXT.match(timecode.strip())
    if not match:
        return None
    hours, minutes, seconds, count = (int(match[i]) for i in (1, 2, 3, 5))
    drops = match[4] != ":"
    base = max(1, round(fps))
    dropped = round(base / 15) if drops else 0
    total_minutes = 60 * hours + minutes
    index = (60 * total_minutes + seconds) * base + count - dropped * (total_minutes - total_minutes // 10)
    per_ten = 600 * base - 9 * dropped
    index = (index + frames) % (144 * per_ten)
    tens, rest = divmod(index, per_ten)
    per_minute = 60 * base - dropped
    # The first minute of each ten is a full one.
    skipped = 0 if rest < 60 * base else (rest - 60 * base) // per_minute + 1
    number = index + dropped * (9 * tens + skipped)
    seconds, count = divmod(number, base)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02d}:{minutes:02d}:{seconds:02d}{';' if drops else ':'}{count:02d}"
