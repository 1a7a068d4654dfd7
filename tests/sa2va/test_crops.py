"""Where the second look goes, and how the first look and clicks are seen from there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from sa2va_plugin.jobspec import Box, ObjectSpec, Point

from sa2va_core.engines.base import Detail
from sa2va_core.engines.sa2va.crops import FILLS, MARGIN, Crop, crop_of, sampled
from sa2va_core.engines.sa2va.prompts import clicks_of
from sa2va_core.engines.sa2va.second_look import seen_in
from tests.sa2va.test_second_look import disc


def pixels_of(crop: Crop | None) -> tuple[int, int, int, int] | None:
    return None if crop is None else (crop.x0, crop.y0, crop.x1, crop.y1)


def test_small_objects_have_a_crop_and_large_ones_do_not() -> None:
    """Of 1920 x 1080 and 256 logits each way: a half, a quarter, and no less than a pixel for each logit."""
    found = {r: crop_of(disc(960, 540, r, (1920, 1080), 256), (1920, 1080)) for r in (400, 200, 160, 80, 20)}
    assert found[400] is None
    assert found[200] is None
    shapes = {r: crop.shape for r, crop in found.items() if crop is not None}
    assert shapes == {160: (960, 540), 80: (480, 270), 20: (480, 270)}
    assert crop_of(np.full((256, 256), -9, np.float32), (1920, 1080)) is None
    assert crop_of(disc(200, 100, 9, (400, 300), 256), (400, 300)) is None


@pytest.mark.parametrize("size", [(1920, 1080), (4096, 2160), (1998, 1080), (1080, 1920), (3001, 2003)])
def test_the_object_lies_well_inside_its_crop_wherever_it_is(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    seen = 0
    for _ in range(300):
        logits = np.full((256, 256), -9.0, np.float32)
        x, y = random.integers(0, 250, 2)
        wide, high = random.integers(1, 90, 2)
        logits[y : y + high, x : x + wide] = 3.0
        crop = crop_of(logits, size)
        box = [x * size[0] / 256, y * size[1] / 256, min(256, x + wide) * size[0] / 256]
        box.append(min(256, y + high) * size[1] / 256)
        if crop is None:
            half = [FILLS * -(-side // 2) for side in size]
            assert box[2] - box[0] > half[0] or box[3] - box[1] > half[1]
            continue
        seen += 1
        assert crop.x0 >= 0
        assert crop.y0 >= 0
        assert crop.x1 <= size[0]
        assert crop.y1 <= size[1]
        assert crop.shape in [tuple(-(-side // 2**level) for side in size) for level in (1, 2, 3)]
        for axis, (low, high_) in enumerate(((crop.x0, crop.x1), (crop.y0, crop.y1))):
            free = MARGIN * (high_ - low) - 1  # whole pixels
            assert low == 0 or box[axis] - low >= free
            assert high_ == size[axis] or high_ - box[axis + 2] >= free
            step = int((high_ - low) / 8)
            assert low % step == 0 or high_ == size[axis]
    assert seen > 100


def test_the_crop_stays_where_it_is_until_the_object_has_moved_by_a_step() -> None:
    places = {x: pixels_of(crop_of(disc(x, 540, 60, (1920, 1080), 256), (1920, 1080))) for x in range(900, 1200)}
    lefts = [box[0] for box in places.values() if box is not None]
    assert len(lefts) == 300
    assert {b - a for a, b in pairwise(lefts)} == {0, 60}
    assert 4 <= len(set(lefts)) <= 6


def test_the_first_look_as_the_crop_sees_it() -> None:
    """Bilinear, in place: a plane stays the same plane."""
    down, across = np.mgrid[:32, :32] + 0.5
    plane = torch.from_numpy((across * 2 - down).astype(np.float32))[None]
    box = torch.tensor([[0.25, 0.5, 0.75, 0.875]])
    at = (np.arange(32) + 0.5) / 32
    expected = (8 + 16 * at)[None] * 2 - (16 + 12 * at)[:, None]
    assert np.allclose(seen_in(plane, box)[0], expected, atol=1e-4)
    own = Detail(np.zeros((4, 4), np.float32), (0, 0, 0.1, 0.1))
    there = Detail(np.zeros((32, 32), np.float32), (0.25, 0.5, 0.75, 0.875))
    assert np.allclose(sampled(plane[0].numpy(), own, there), expected, atol=1e-4)


def test_points_and_boxes_as_the_crop_sees_them() -> None:
    item = ObjectSpec(
        "it",
        "",
        points=(Point(1, 100, 50), Point(1, 10, 10, positive=False), Point(2, 10, 10)),
        boxes=(Box(1, 60, 40, 300, 80), Box(1, 0, 0, 20, 20)),
    )
    clicks = clicks_of(item, (400, 200))
    found = clicks[1].within((0.125, 0.125, 0.625, 0.625))  # 50 to 250, 25 to 125
    assert found is not None
    assert found.labels.tolist() == [[2, 3, 1]]
    assert torch.allclose(found.xy, torch.tensor([[[0.05, 0.15], [1.0, 0.55], [0.25, 0.25]]]), atol=1e-6)
    assert clicks[2].within((0.5, 0.5, 1, 1)) is None
