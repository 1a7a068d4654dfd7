"""Reading ahead: in order, bounded, and gone when nobody wants it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from sa2va_plugin.errors import MediaError
from sa2va_plugin.jobspec import Shot

from sa2va_core.media.clip import open_clip
from sa2va_core.media.readahead import read_ahead

from .plates import burn, burnt, movie, sequence, write


def plate_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("plate-")]


def test_order_is_kept_however_long_each_takes() -> None:
    delays = np.random.default_rng(1).uniform(0, 0.004, 60)

    def finish(index: int) -> int:
        time.sleep(delays[index])
        return index

    assert list(read_ahead(range(60), lambda i: i, finish, threads=4)) == list(range(60))
    assert not plate_threads()


def test_a_bounded_number_is_under_way() -> None:
    decoded: list[int] = []
    results = read_ahead(range(100), lambda i: decoded.append(i) or i, lambda i: i, threads=2, depth=3)
    for expected in range(5):
        assert next(results) == expected
        time.sleep(0.02)
        assert len(decoded) <= expected + 3
    results.close()
    assert not plate_threads()


def test_decoding_goes_on_while_the_caller_computes() -> None:
    done = threading.Event()
    results = read_ahead(range(3), lambda i: i, lambda i: done.set() if i == 1 else None, threads=1, depth=3)
    next(results)
    assert done.wait(60)
    results.close()


def test_two_decodes_never_overlap() -> None:
    busy = threading.Lock()

    def decode(index: int) -> int:
        assert busy.acquire(blocking=False)
        time.sleep(0.001)
        busy.release()
        return index

    assert list(read_ahead(range(40), decode, lambda i: i, threads=4, depth=8)) == list(range(40))


@pytest.mark.parametrize("stage", ["decode", "finish"])
def test_an_error_surfaces_at_its_own_place_and_stops_the_threads(stage: str) -> None:
    def fail_at_5(index: int) -> int:
        if index == 5:
            raise MediaError("bad frame")
        return index

    def keep(index: int) -> int:
        return index

    stages = (fail_at_5, keep) if stage == "decode" else (keep, fail_at_5)
    seen: list[int] = []
    with pytest.raises(MediaError):
        seen.extend(read_ahead(range(50), *stages, threads=3))
    assert seen == [0, 1, 2, 3, 4]
    assert not plate_threads()


@pytest.mark.parametrize("kind", ["movie", "sequence"])
def test_closing_the_iterator_stops_promptly(tmp_path: Path, kind: str) -> None:
    if kind == "movie":
        path = movie(tmp_path / "a.mp4", [burn(n) for n in range(100)])
    else:
        path = sequence(tmp_path / "seq", range(1, 101))
    with open_clip(Shot(str(path), colour_space="Raw")) as clip:
        stream = clip.stream(clip.frames)
        next(stream)
        assert plate_threads()
        start = time.perf_counter()
        stream.close()
        assert time.perf_counter() - start < 1
        assert not plate_threads()

        # Dropped without close(), as a caller that fails leaves it.
        def careless() -> None:
            for _ in clip.stream(clip.frames):
                raise ValueError

        with pytest.raises(ValueError):  # noqa: PT011
            careless()
        assert not plate_threads()


def test_a_stream_and_random_access_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = movie(tmp_path / "a.mp4", [burn(n) for n in range(60)], options={"g": "250", "bf": "3"})
    with open_clip(Shot(str(path), movie_first=0)) as clip:
        for picture in clip.stream(clip.frames):
            assert burnt(picture.rgb) == picture.frame
            if picture.frame % 9 == 0:
                assert burnt(clip.read(59 - picture.frame).rgb) == 59 - picture.frame


def test_random_access_keeps_a_few_pictures(tmp_path: Path) -> None:
    sequence(tmp_path, range(1, 21))
    with open_clip(Shot(str(tmp_path), colour_space="Raw")) as clip:
        first = clip.read(1).rgb
        assert clip.read(1).rgb is first
        for frame in clip.frames:
            clip.read(frame)
        assert len(clip._cache) == 4


def test_unknown_frames_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    sequence(tmp_path, range(1, 4))
    with open_clip(Shot(str(tmp_path))) as clip, pytest.raises(MediaError, match="no frame 9"):
        clip.stream([1, 9])


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    frame = write(tmp_path / "plate.0001.exr", np.random.default_rng(2).random((270, 480, 3), dtype=np.float32))
    for number in range(2, 401):
        (tmp_path / f"plate.{number:04d}.exr").hardlink_to(frame)
    process = psutil.Process()
    with open_clip(Shot(str(tmp_path), colour_space="ACEScg")) as clip:
        peaks = []
        for count in (40, 400):
            peak = 0
            for picture in clip.stream(clip.frames[:count]):
                if picture.frame % 10 == 0:
                    peak = max(peak, process.memory_info().rss)
            peaks.append(peak)
    # 400 pictures would be 156 MB.
    assert peaks[1] - peaks[0] < 20e6
