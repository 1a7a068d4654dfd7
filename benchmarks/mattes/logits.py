"""Logits as a network would give them for a known alpha.

The truth is reduced by area to the network's own scale, bent by a smooth random displacement (0.35 of its pixels, no
finer than 24 cells across the picture), blurred by 0.8 of its pixels (mask decoders do not resolve their own pixel),
turned to logits that are no surer than +-8, and given smooth noise (standard deviation 0.6). Displacement and noise are
drawn anew on each frame with a memory of one half, which is the flicker that a network adds. What a truth smaller than
a network's pixel was is gone, as it is in life.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

_BEND, _BLUR, _NOISE, _SUREST, _MEMORY, _CELLS = 0.35, 0.8, 0.6, 8.0, 0.5, 24


def simulate(alphas: Iterable[NDArray[np.float32]], size: tuple[int, int], seed: int) -> Iterator[NDArray[np.float32]]:
    """``size``: (width, height) of the logits: (256, 256) as SAM 2 gives them, or (960, 540)."""
    random = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    fields = [_smooth(random, size) for _ in range(3)]
    for alpha in alphas:
        small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
        bent = cv2.remap(small, x + _BEND * fields[0], y + _BEND * fields[1], cv2.INTER_LINEAR)
        share = cv2.GaussianBlur(bent, (0, 0), _BLUR)
        least = 1.0 / (1.0 + np.exp(_SUREST))
        share = np.clip(share, least, 1.0 - least)
        yield np.asarray(np.log(share / (1.0 - share)) + _NOISE * fields[2], np.float32)
        fresh = (1 - _MEMORY**2) ** 0.5
        fields = [_MEMORY * field + fresh * _smooth(random, size) for field in fields]


def _smooth(random: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    cells = random.standard_normal((_CELLS, _CELLS), np.float32)
    field = cv2.resize(cells, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(field / field.std(), np.float32)
