"""Skin by its colour: solid inside, nothing beside it."""

from __future__ import annotations

import cv2
import numpy as np

from sa2va_core.engines.starter.sheet import Sheet
from sa2va_core.engines.starter.skin import learn


def test_a_hand_is_solid_inside_and_nothing_beside_it() -> None:
    """Lit from one side, with grain; a compositor sees a core of 0.98 as background through the hand."""
    random = np.random.default_rng(1)
    inside = np.zeros((270, 480), np.uint8)
    cv2.circle(inside, (240, 135), 90, (1,), -1)
    light = np.linspace(0.7, 1.1, 480)[None, :, None]
    picture = np.where(inside[..., None] > 0, np.array([215, 165, 140]) * light, np.array([40, 60, 70]))
    sheet = Sheet(np.clip(picture + random.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
    skin = learn([sheet])
    assert skin is not None
    found = skin.probability(sheet)
    core = cv2.erode(inside, np.ones((9, 9), np.uint8)) > 0
    assert np.median(found[core]) > 0.999
    assert np.quantile(found[core], 0.05) > 0.99
    assert found[cv2.dilate(inside, np.ones((9, 9), np.uint8)) == 0].max() < 0.01
