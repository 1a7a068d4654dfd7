from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from sa2va_core.engines.sa2va.keyframes import choose, pick, thumbnail
from sa2va_core.engines.sa2va.pixels import Pixels, bicubic_matrix
from sa2va_core.media.frames import Picture


def looks(*levels: float) -> np.ndarray:
    return np.stack([np.full((16, 16, 3), level, np.float32) for level in levels])


def test_one_scene_is_sampled_evenly_with_both_ends():
    probes = list(range(0, 310, 10))
    assert pick(probes, looks(*np.linspace(0.4, 0.6, 31)), 5) == [0, 80, 150, 220, 300]


def test_every_scene_gets_a_key_frame():
    """A short scene after a cut is seen, and long scenes share the rest."""
    probes = list(range(20))
    chosen = pick(probes, looks(*[0.1] * 12, *[0.9] * 2, *[0.3] * 6), 5)
    assert len(chosen) == 5
    assert [sum(a <= c < b for c in chosen) for a, b in ((0, 12), (12, 14), (14, 20))] == [3, 1, 1]


def test_more_scenes_than_key_frames():
    assert len(pick(list(range(8)), looks(0, 1, 0, 1, 0, 1, 0, 1), 5)) == 5


class Clip:
    def __init__(self, count: int) -> None:
        self.frames, self.size, self.reads = range(100, 100 + count), (8, 8), 0

    def read(self, frame: int) -> Picture:
        self.reads += 1
        return Picture(frame, np.full((8, 8, 3), frame % 256, np.uint8))

    def stream(self, frames):
        return map(self.read, frames)


def test_reading_is_bounded():
    clip = Clip(5000)
    chosen = choose(clip)
    assert [p.frame for p in chosen.values()] == [clip.frames[i] for i in chosen]
    assert len(chosen) == 5
    assert clip.reads <= 32 + 5
    assert list(choose(Clip(3))) == [0, 1, 2]


def test_thumbnail_of_tiny_pictures():
    assert thumbnail(Picture(0, np.zeros((1, 3, 3), np.uint8))).shape == (16, 16, 3)


def test_resizing_by_matrices_is_pillows_within_one_level():
    """What runs on GPUs, run here in float32."""
    rng = np.random.default_rng(0)
    for height, width in ((1080, 1920), (96, 160), (20, 20), (2160, 1000)):
        picture = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        want = np.asarray(Image.fromarray(picture).resize((256, 256))).astype(int)
        pixels = Pixels(torch.device("cpu"), torch.float32, 256)
        found = pixels._resize(torch.from_numpy(picture)[None])[0].permute(1, 2, 0).numpy()
        assert np.abs(found - want).max() <= 1
        # Pillow takes the rows of a tall picture first, which moves more of them by that one level.
        assert (found == want).mean() > (0.99 if height < 2 * width else 0.85)


def test_filter_rows_sum_to_one():
    assert torch.allclose(bicubic_matrix(33, 16).sum(dim=1), torch.ones(16))
