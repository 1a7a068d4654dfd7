"""Colours and lettering of the pictures that people look at. Images are uint8 RGB (H, W, 3), changed in place."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

WHITE: Colour = (242, 242, 240)
DIM: Colour = (160, 160, 158)
INK: Colour = (22, 22, 24)

# Okabe and Ito, "Color Universal Design" (2008): told apart with every common kind of colour blindness. Black is left
# out, and the order puts the two that stand out best from skin, foliage and sky first.
_PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (204, 121, 167),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)


def object_colour(index: int) -> Colour:
    """The colour of the ``index``-th object of a job: seven hues, then lighter and darker ones of the same."""
    red, green, blue = _PALETTE[index % len(_PALETTE)]
    tint = (0.0, 0.5, -0.4)[index // len(_PALETTE) % 3]
    target = 255 if tint > 0 else 0

    def mixed(value: int) -> int:
        return round(value + (target - value) * abs(tint))

    return mixed(red), mixed(green), mixed(blue)


def text(image: Image, words: str, at: tuple[int, int], size: int, colour: Colour, weight: int = 400) -> int:
    """Write ``words`` with the left end of the base line at ``at`` (x, y); returns the x after the last letter.

    ``size``: pixels; ``weight``: 400 regular, 600 semibold. The font (Rubik, OFL, with a fallback for Chinese,
    Japanese and Korean) is part of OpenCV 5.
    """
    end, _ = cv2.putText(image, words, at, colour, cv2.FontFace("sans"), size, weight)
    return int(end[0])


def text_width(words: str, size: int, weight: int = 400) -> int:
    """Pixels from the left end to the x that :func:`text` returns."""
    end, _ = cv2.putText(np.zeros((1, 1, 3), np.uint8), words, (0, 0), WHITE, cv2.FontFace("sans"), size, weight)
    return int(end[0])


def fitted(words: str, width: int, size: int, weight: int = 400) -> str:
    """``words``, cut with an ellipsis to at most ``width`` pixels."""
    if text_width(words, size, weight) <= width:
        return words
    while words and text_width(words + "…", size, weight) > width:
        words = words[:-1]
    return words.rstrip() + "…"


def wrapped(words: str, width: int, size: int) -> list[str]:
    """``words`` in lines of at most ``width`` pixels, broken at spaces where there are any."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(fitted(word, width, size))
    return [line for line in lines if line]


def label(image: Image, words: str, at: tuple[int, int], size: int, fill: Colour) -> None:
    """A filled tag with ``words``, its top left corner at ``at`` (x, y)."""
    width, height = label_size(words, size)
    x, y = at
    bright = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 110
    rounded(image, (x, y, x + width, y + height), max(2, size // 4), fill)
    text(image, words, (x + size // 2, y + round(size * 1.12)), size, INK if bright else WHITE, 600)


def label_size(words: str, size: int) -> tuple[int, int]:
    """(width, height) of :func:`label`."""
    return text_width(words, size, 600) + size // 2 * 2, round(size * 1.5)


def rounded(image: Image, box: tuple[int, int, int, int], radius: int, fill: Colour) -> None:
    """A filled rectangle (x0, y0, x1, y1), end-exclusive, with round corners."""
    x0, y0, x1, y1 = box[0], box[1], box[2] - 1, box[3] - 1
    cv2.rectangle(image, (x0 + radius, y0), (x1 - radius, y1), fill, -1)
    cv2.rectangle(image, (x0, y0 + radius), (x1, y1 - radius), fill, -1)
    for x in (x0 + radius, x1 - radius):
        for y in (y0 + radius, y1 - radius):
            cv2.circle(image, (x, y), radius, fill, -1, cv2.LINE_AA)
