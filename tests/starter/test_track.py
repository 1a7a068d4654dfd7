"""Which tracks contend for the pixels of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sa2va_core.engines.starter.networks import Detection
from sa2va_core.engines.starter.track import Track

BALL, PART, BESIDE = (np.array(box, float) for box in ((10, 10, 50, 50), (20, 20, 48, 48), (45, 10, 85, 50)))
_NOTHING = np.zeros((60, 100), np.float32)
_LOOKS = np.zeros(512, np.float32)
TRACK = Track(0, BALL, np.zeros(2), 0.6, np.zeros(0), _LOOKS, _LOOKS, _NOTHING, presence=0.9)


@pytest.mark.parametrize(
    ("box", "presence", "seen", "contends"),
    [
        (PART, 0.0, True, False),  # a second detection on the same ball
        (BESIDE, 0.0, False, False),  # once taken for a ball, not seen here
        (BESIDE, 0.0, True, True),
        (PART, 0.8, False, True),  # cut out before, behind it now
    ],
)
def test_a_second_box_on_one_thing_takes_none_of_its_pixels(
    box: np.ndarray, presence: float, seen: bool, contends: bool
) -> None:
    other = replace(TRACK, box=box, presence=presence, detection=Detection(37, 0.6, box) if seen else None)
    assert other.contends(TRACK) is contends
