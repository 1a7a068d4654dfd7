"""What the user types, and the files it stands for."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sa2va_plugin.errors import MediaError
from sa2va_plugin.jobspec import Shot

from sa2va_core.media.clip import open_clip
from sa2va_core.media.sequence import describe, locate

from .plates import number_in, pictures, sequence, write

DATA: dict[str, Any] = {"colour_space": "Raw"}
FRAMES = range(1001, 1005)


@pytest.mark.parametrize("form", ["plate.####.exr", "plate.%04d.exr", "plate.<f>.exr", "plate.#.exr", "plate.%d.exr"])
def test_patterns_find_the_sequence(tmp_path: Path, form: str) -> None:
    sequence(tmp_path, FRAMES)
    assert list(pictures(tmp_path / form, **DATA)) == list(FRAMES)


def test_a_folder_or_one_file_stands_for_the_sequence(tmp_path: Path) -> None:
    sequence(tmp_path, FRAMES)
    (tmp_path / "notes.txt").write_text("not a plate")
    (tmp_path / "._plate.1001.exr").write_bytes(b"what macOS leaves behind")
    for path in (tmp_path, tmp_path / "plate.1003.exr"):
        with open_clip(Shot(str(path), **DATA)) as clip:
            assert list(clip.frames) == list(FRAMES)
            assert clip.facts.stem == "plate"
            assert [number_in(clip.read_plate(frame)) for frame in clip.frames] == list(FRAMES)


def test_a_folder_of_several_plates_is_refused_with_their_names(tmp_path: Path) -> None:
    sequence(tmp_path, FRAMES)
    sequence(tmp_path, range(1, 4), "clean.{:04d}.exr")
    with pytest.raises(MediaError, match=r"2 plates: .*clean\.####\.exr \(1-3\).*plate\.####\.exr \(1001-1004\)"):
        locate(str(tmp_path))


def test_a_link_to_nowhere_is_a_frame_that_cannot_be_read(tmp_path: Path) -> None:
    sequence(tmp_path, FRAMES)
    (tmp_path / "plate.1005.exr").symlink_to(tmp_path / "gone.exr")
    with open_clip(Shot(str(tmp_path), **DATA)) as clip:
        assert list(clip.frames) == [*FRAMES, 1005]
        with pytest.raises(MediaError, match=r"plate\.1005\.exr"):
            clip.read(1005)


@pytest.mark.parametrize(
    ("name", "pattern", "numbers"),
    [
        ("plate.{:05d}.exr", "plate.####.exr", []),
        ("plate.{:04d}.exr", "plate.####.exr", [-2, -1, 0, 1]),
        ("plate-{:04d}.exr", "plate-####.exr", [1, 2]),
        ("{:04d}.exr", "####.exr", [7, 8]),
        ("plate.{:04d}.exr", "plate.####.exr", [9998, 9999, 10000]),
    ],
)
def test_numbers(tmp_path: Path, name: str, pattern: str, numbers: list[int]) -> None:
    sequence(tmp_path, numbers or [1], name)
    if not numbers:
        with pytest.raises(MediaError, match="Nothing matches"):
            locate(str(tmp_path / pattern))
        return
    assert list(locate(str(tmp_path / pattern)).files) == numbers
    assert list(locate(str(tmp_path / name.format(numbers[0]))).files) == numbers


def test_numbers_without_a_name_take_the_folders(tmp_path: Path) -> None:
    sequence(tmp_path / "sh010_bg", FRAMES, "{:04d}.exr")
    assert locate(str(tmp_path / "sh010_bg")).stem == "sh010_bg"


def test_a_lone_still_is_a_one_frame_shot_and_versions_are_no_frames(tmp_path: Path) -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    for name in ("still_v01.png", "still_v02.png", "poster.png"):
        write(tmp_path / name, grey, "uint8")
    for name in ("still_v02.png", "poster.png"):
        with open_clip(Shot(str(tmp_path / name))) as clip:
            assert list(clip.frames) == [1]
            assert clip.source_of(1).path.name == name
            assert clip.facts.stem == name.removesuffix(".png")


def test_stereo_views_by_long_and_short_names(tmp_path: Path) -> None:
    sequence(tmp_path / "left", [1, 2], "shot.left.{:04d}.exr")
    sequence(tmp_path / "r", [5, 6], "shot.r.{:04d}.exr")
    assert list(pictures(tmp_path / "%V" / "shot.%V.####.exr", view="left", **DATA)) == [1, 2]
    assert list(pictures(tmp_path / "%V" / "shot.%V.####.exr", view="right", **DATA)) == [5, 6]
    assert list(pictures(tmp_path / "%v" / "shot.%v.####.exr", view="r", **DATA)) == [5, 6]
    with pytest.raises(MediaError, match="names no view"):
        open_clip(Shot(str(tmp_path / "%V" / "shot.%V.####.exr")))


def test_a_pattern_that_matches_nothing_says_what_is_near(tmp_path: Path) -> None:
    sequence(tmp_path, FRAMES)
    with pytest.raises(MediaError, match="Nothing matches") as caught:
        locate(str(tmp_path / "plait.####.exr"))
    assert "plate.####.exr (1001-1004)" in caught.value.hint
    with pytest.raises(MediaError, match="folder does not exist") as caught:
        locate(str(tmp_path / "gone" / "further" / "plate.####.exr"))
    assert str(tmp_path) in caught.value.hint
    with pytest.raises(MediaError, match="Nothing matches"):
        locate(str(tmp_path / "gone.mov"))


def test_what_is_no_plate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a plate")
    with pytest.raises(MediaError, match="not a plate"):
        locate(str(tmp_path / "notes.txt"))
    with pytest.raises(MediaError, match="no images"):
        locate(str(tmp_path))


def test_result_numbers_and_chosen_frames(tmp_path: Path) -> None:
    sequence(tmp_path, FRAMES)
    path = str(tmp_path / "plate.####.exr")

    def mapped(**shot: Any) -> dict[int, int]:
        with open_clip(Shot(path, colour_space="Raw", **shot)) as clip:
            sources = {frame: clip.source_of(frame).plate_frame for frame in clip.frames}
            for picture in clip.stream(clip.frames):
                assert round(picture.rgb[0, 0, 0] / 255 * 2000) == pytest.approx(sources[picture.frame], abs=4)
                assert number_in(clip.read_plate(picture.frame)) == sources[picture.frame]
            return sources

    assert mapped(range=(1002, 1003)) == {1002: 1002, 1003: 1003}
    assert mapped(range=(1002, 1003), output_first=1) == {1: 1002, 2: 1003}
    assert mapped(frames=(1001, 1004)) == {1001: 1001, 1004: 1004}
    retimed = (1004, 1004, 1001, 1002)
    assert mapped(frames=retimed, output_first=10) == dict(zip(range(10, 14), retimed, strict=True))


def test_a_range_outside_the_plate_says_what_there_is(tmp_path: Path) -> None:
    sequence(tmp_path, FRAMES)
    path = str(tmp_path / "plate.####.exr")
    wrong: list[dict[str, Any]] = [{"range": (990, 1002)}, {"range": (1003, 1005)}, {"frames": (1001, 2000)}]
    for chosen in wrong:
        with pytest.raises(MediaError, match=r"the plate has 1001-1004"):
            open_clip(Shot(path, **chosen))
    with open_clip(Shot(path)) as clip, pytest.raises(MediaError, match="no frame 1"):
        clip.read(1)


def test_gaps_are_an_error_held_or_skipped(tmp_path: Path) -> None:
    sequence(tmp_path, [1001, 1002, 1005])
    path = str(tmp_path / "plate.####.exr")
    with pytest.raises(MediaError, match=r"lacks 2 of its frames \(1003-1004\)"):
        open_clip(Shot(path, **DATA))
    with open_clip(Shot(path, missing="hold", **DATA)) as clip:
        sources = [clip.source_of(frame).plate_frame for frame in clip.frames]
        assert list(clip.frames) == [1001, 1002, 1003, 1004, 1005]
        assert sources == [1001, 1002, 1002, 1002, 1005]
        assert any("1003-1004; they are held" in warning for warning in clip.warnings)
    with open_clip(Shot(path, missing="skip", output_first=1, **DATA)) as clip:
        # Results keep their place in time.
        assert list(clip.frames) == [1, 2, 5]
        assert any("skipped" in warning for warning in clip.warnings)
    with pytest.raises(MediaError, match="No frame of the range exists"):
        open_clip(Shot(path, missing="skip", range=(1003, 1004), **DATA))


def test_a_held_frame_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sa2va_core.media import image

    sequence(tmp_path, [1, 4])
    read, calls = image.read_pixels, []
    monkeypatch.setattr(image, "read_pixels", lambda path, *rest: (calls.append(path.name), read(path, *rest))[1])
    assert len(pictures(tmp_path / "plate.####.exr", missing="hold", **DATA)) == 4
    assert sorted(calls) == ["plate.0001.exr", "plate.0004.exr"]


def test_fingerprints_change_with_the_file(tmp_path: Path) -> None:
    sequence(tmp_path, [1, 2])
    with open_clip(Shot(str(tmp_path / "plate.####.exr"))) as clip:
        before = [clip.fingerprint(frame) for frame in clip.frames]
        assert len(set(before)) == 2
        file = tmp_path / "plate.0002.exr"
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000))
        assert clip.fingerprint(1) == before[0]
        assert clip.fingerprint(2) != before[1]
        file.unlink()
        with pytest.raises(MediaError, match="missing"):
            clip.fingerprint(2)


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything, so it steps down; anyone else is fit for the test as they are."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no such permissions")
def test_without_permission() -> None:
    # Not tmp_path: its parents are closed to others.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        sequence(folder / "open", [1])
        sequence(folder / "shut", [1])
        (folder / "open" / "plate.0001.exr").chmod(0)
        (folder / "shut").chmod(0)
        with nobody():
            with pytest.raises(MediaError, match="may not be read"):
                open_clip(Shot(str(folder / "open" / "plate.####.exr")))
            for path in (folder / "shut", folder / "shut" / "plate.####.exr"):
                with pytest.raises(MediaError, match="cannot be listed"):
                    open_clip(Shot(str(path)))
        (folder / "shut").chmod(0o755)


def test_a_number_that_is_there_twice_makes_two_plates(tmp_path: Path) -> None:
    """A render in one padding, left beside one in another, must not be mixed with it."""
    sequence(tmp_path, [1, 2], "a.{}.exr")
    sequence(tmp_path, [2, 3], "a.{:04d}.exr")
    for path, frames in (("a.2.exr", [1, 2]), ("a.0002.exr", [2, 3]), ("a.####.exr", [2, 3])):
        with open_clip(Shot(str(tmp_path / path), **DATA)) as clip:
            assert list(clip.frames) == frames
    with pytest.raises(MediaError, match=r"The folder holds 2 plates: a\.####\.exr \(2-3\), a\.#\.exr \(1-2\)"):
        open_clip(Shot(str(tmp_path)))
    with pytest.raises(MediaError, match=r"Two files are the same frame: a\.0002\.exr, a\.2\.exr") as caught:
        open_clip(Shot(str(tmp_path / "a.#.exr")))
    assert "as many #" in caught.value.hint


def test_a_hidden_file_may_be_named(tmp_path: Path) -> None:
    sequence(tmp_path, [7], ".plate.{:04d}.exr")
    with open_clip(Shot(str(tmp_path / ".plate.0007.exr"), **DATA)) as clip:
        assert list(clip.frames) == [1]


def test_digits_too_many_for_a_frame_number_are_part_of_the_name(tmp_path: Path) -> None:
    """A date and time, say."""
    sequence(tmp_path, [20240315123456, 20240315123457], "shot_{}.exr")
    with open_clip(Shot(str(tmp_path / "shot_20240315123456.exr"), **DATA)) as clip:
        assert list(clip.frames) == [1]
        assert clip.facts.stem == "shot_20240315123456"
    with pytest.raises(MediaError, match="The folder holds 2 plates"):
        open_clip(Shot(str(tmp_path)))
    with pytest.raises(MediaError, match="Nothing matches the plate's name"):
        open_clip(Shot(str(tmp_path / "shot_#.exr")))


def test_a_vast_range_is_refused_at_once(tmp_path: Path) -> None:
    sequence(tmp_path, FRAMES)
    with pytest.raises(MediaError, match="asks for 1001-999999999, but the plate has 1001-1004"):
        open_clip(Shot(str(tmp_path), range=(1001, 999_999_999)))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are Unicode")
def test_a_name_in_another_encoding_is_told(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "plate")
    os.mkdir(folder)  # noqa: PTH102
    sequence(tmp_path, [1])
    os.rename(tmp_path / "plate.0001.exr", folder + b"/caf\xe9.0001.exr")  # noqa: PTH104
    with pytest.raises(MediaError, match="not UTF-8 text") as caught:
        open_clip(Shot(str(tmp_path / "plate")))
    caught.value.message.encode()
    assert "Rename it" in caught.value.hint


def test_describe() -> None:
    assert describe([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert describe(range(0, 40, 2)) == "0, 2, 4, 6, 8, 10 and 14 more ranges"
