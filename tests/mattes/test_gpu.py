"""The matte stage in torch against the CPU's, on CPU torch: the same code that an engine's GPU runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from sa2va_plugin.jobspec import MatteSettings

from sa2va_core.engines.base import ObjectTrack
from sa2va_core.mattes.cpu import Cpu
from sa2va_core.mattes.stage import MatteStage, device
from sa2va_core.media.frames import Picture

from .test_alpha import (
    Scene,
    hairy,  # noqa: F401 - a fixture
    matte,
    picture_of,
    quarter,
)
from .test_steady import SIZE, Alpha, finished, flicker, looks, moving

torch = pytest.importorskip("torch", reason="mattes on a GPU need torch")

from sa2va_core.mattes import gpu  # noqa: E402
from sa2va_core.mattes.flow import flow  # noqa: E402

# Of the moving disc: what is worked out goes with the window.
RADIUS = 30.0
STEADY, ALONE = MatteSettings(), MatteSettings(steady=False)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Torch's threads get in each other's way where other tests run beside this one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stage_of(settings: MatteSettings, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> MatteStage:
    """A stage whose device is torch, as if an engine ran on a GPU."""
    monkeypatch.setattr("sa2va_core.mattes.stage.device", lambda name: gpu.TorchDevice("cpu"))
    return MatteStage(settings, size, "cuda:0 bfloat16")


def test_an_engine_names_its_device_and_number_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "TorchDevice", lambda name: name)
    assert device("cuda:0 bfloat16") == "cuda:0"
    assert isinstance(device("cpu float32"), Cpu)


@pytest.mark.parametrize("size", [(960, 540), (961, 541), (480, 540)])
def test_edges_are_those_of_the_cpu_within_a_level_of_8_bits(hairy: Scene, size: tuple[int, int]) -> None:  # noqa: F811
    _, picture, track = hairy
    ours, theirs = (matte(track, picture, size, STEADY, runs).whole(size) for runs in (Cpu(), gpu.TorchDevice("cpu")))
    assert np.abs(ours - theirs).max() < 1 / 255
    assert np.abs(ours - theirs).mean() < 1e-4


# A blur band leaves much in doubt, and there roundings of sums count for more.
@pytest.mark.parametrize(("blur_band", "apart"), [(0.0, 1 / 255), (24.0, 3 / 255)])
@pytest.mark.parametrize("size", [(960, 540), (961, 541), (480, 540)])
def test_details_and_a_blur_band_are_those_of_the_cpu(size: tuple[int, int], blur_band: float, apart: float) -> None:
    truth, _, track = quarter()
    settings = MatteSettings(blur_band=blur_band)
    ours, theirs = (
        matte(track, picture_of(truth), size, settings, runs).whole(size) for runs in (Cpu(), gpu.TorchDevice("cpu"))
    )
    assert ours.max() > 0.5
    assert np.abs(ours - theirs).max() < apart
    assert np.abs(ours - theirs).mean() < 1e-5


@pytest.mark.parametrize("step", [0.0, 3.0, 9.0])
def test_steadiness_is_as_good_as_the_cpus(step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    truths, pictures, tracks = moving(4, step, RADIUS)
    cpu, alone = MatteStage(STEADY, SIZE, "cpu"), MatteStage(ALONE, SIZE, "cpu")
    on_torch = stage_of(STEADY, SIZE, monkeypatch)
    given = looks(pictures, tracks, cpu)
    on_cpu, unsteady = finished(cpu, given), finished(alone, given)
    found = finished(on_torch, looks(pictures, tracks, on_torch))
    assert flicker(found, truths) < 1.03 * flicker(on_cpu, truths)
    assert flicker(found, truths) < 0.9 * flicker(unsteady, truths)
    assert np.mean([np.abs(a - b).mean() for a, b in zip(found, on_cpu, strict=True)]) < 1e-3


@pytest.mark.parametrize("motion", [(0.0, 0.0), (3.3, -2.1), (13.0, 6.5)])
@pytest.mark.parametrize("size", [(161, 120), (240, 200)])
def test_flow_finds_how_a_picture_was_moved(motion: tuple[float, float], size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (300, 300)).astype(np.float32)
    picture = 128 + 500 * cv2.GaussianBlur(noise, (0, 0), 6) + 100 * cv2.GaussianBlur(noise[::-1], (0, 0), 2)
    moved = cv2.warpAffine(picture, np.array([[1, 0, motion[0]], [0, 1, motion[1]]], np.float32), (300, 300))
    width, height = size
    crop = np.s_[30 : 30 + height, 30 : 30 + width]
    # The brightness of a shot may flicker too.
    found = flow(torch.from_numpy(picture[crop]), torch.from_numpy(np.stack([moved[crop] + 9, picture[crop]]))).numpy()
    assert found.shape == (2, 2, height, width)
    inside = np.s_[:, 20:-20, 20:-20]
    assert np.abs(found[0][inside] - np.array(motion)[:, None, None]).mean() < 0.12
    assert np.abs(found[1]).max() < 0.01


def test_flow_of_a_flat_or_a_tiny_picture_is_rest() -> None:
    for size in ((3, 2), (16, 16), (70, 50)):
        flat = torch.full(size, 90.0)
        assert not flow(flat, torch.stack([flat, flat + 3])).any()


def test_a_cut_mixes_nothing_and_pins_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pictures, tracks = moving(3, 0.0, RADIUS)
    pin = np.random.default_rng(0).random(SIZE[::-1], np.float32)
    stage = stage_of(STEADY, SIZE, monkeypatch)
    black = Picture(1, np.zeros_like(pictures[1].rgb))
    first, cut, pinned = looks(
        [pictures[0], black, pictures[2]], [tracks[0], ObjectTrack.absent(), replace(tracks[2], pin=pin)], stage
    )
    alone = stage.finish(first, [])["disc"]
    assert np.abs(stage.finish(first, [cut])["disc"] - alone).mean() < 1e-3
    np.testing.assert_array_equal(stage.finish(pinned, [first])["disc"], pin)
    assert (stage.finish(first, [pinned])["disc"] != alone).any()


@pytest.mark.parametrize("size", [(5, 3), (33, 17), (97, 61)])
def test_tiny_plates_go_through(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(STEADY, size, monkeypatch)
    logits = np.array([[-8, 8], [-8, 8]], np.float32)
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    for result in finished(stage, looks([Picture(i, rgb) for i in range(3)], [ObjectTrack(logits, 1.0)] * 3, stage)):
        assert result.shape == size[::-1]
        assert np.isfinite(result).all()


def test_the_same_every_time_from_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pictures, tracks = moving(4, 3.0, RADIUS)
    stage = stage_of(STEADY, SIZE, monkeypatch)
    expected = finished(stage, looks(pictures, tracks, stage))
    again = stage_of(STEADY, SIZE, monkeypatch)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: looks([pictures[i]], [tracks[i]], again)[0], range(4)))
        beside = [[found[j] for j in (i - 1, i + 1) if 0 <= j < 4] for i in range(4)]
        results = list(pool.map(lambda i: again.finish(found[i], beside[i])["disc"], range(4)))
    np.testing.assert_array_equal(np.stack(results), np.stack(expected))


@pytest.mark.parametrize("after", [0, 1, 6])
def test_what_memory_runs_out_for_goes_through_the_cpu(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory runs out at one step of three frames' mattes: nothing fails, and the result is as good."""
    _, pictures, tracks = moving(3, 3.0, RADIUS)
    cpu = MatteStage(STEADY, SIZE, "cpu")
    stage = stage_of(STEADY, SIZE, monkeypatch)
    expected: Alpha = finished(cpu, looks(pictures, tracks, cpu))[1]
    calls = iter(range(1000))
    turn = gpu.TorchDevice._turn

    def short_of_memory(self: gpu.TorchDevice):
        if next(calls) == after:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return turn(self)

    monkeypatch.setattr(gpu.TorchDevice, "_turn", short_of_memory)
    found = looks(pictures, tracks, stage)
    result = stage.finish(found[1], [found[0], found[2]])["disc"]
    assert next(calls) > 6
    assert np.abs(result - expected).mean() < 1e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need an NVIDIA GPU")
def test_recordings_that_come_and_go_are_the_work_itself() -> None:
    def work(tensors: Sequence[Any]) -> list[Any]:
        return [tensors[0] * 2 + torch.ones_like(tensors[0])]

    def checked(count: int) -> None:
        given = torch.rand(count, device="cuda")
        assert torch.equal(recordings(work, [given], "work"), given * 2 + 1)

    recordings = gpu._Recordings()
    with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()):
        for count in (1000, 1000, 1000, *range(1, gpu._KEPT + 2), 500, 500, 500):
            checked(count)
        recordings.clear()
        for count in (500, 500, 500):
            checked(count)
