"""Shots from edits: OpenTimelineIO files and an EDL, with the plates that they name."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import opentimelineio as otio
import pytest

from sa2va_core.farm.entries import SheetError
from sa2va_core.farm.plan import ShotJob, plan

T = otio.opentime.RationalTime


def span(start: float, count: float, rate: float = 24) -> otio.opentime.TimeRange:
    return otio.opentime.TimeRange(T(start, rate), T(count, rate))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plates").mkdir()
    for frame in range(1001, 1101):
        cv2.imwrite(str(tmp_path / "plates" / f"a.{frame}.png"), np.zeros((4, 6, 3), np.uint8))
    with av.open(str(tmp_path / "plates" / "b.mov"), "w") as movie:
        stream = movie.add_stream("mjpeg", 24)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuvj420p"
        for _ in range(50):
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))))
        movie.mux(stream.encode())
    return tmp_path


def cut(folder: Path, *clips: otio.schema.Clip) -> None:
    timeline = otio.schema.Timeline("cut")
    timeline.tracks.append(otio.schema.Track("V1", children=list(clips)))
    otio.adapters.write_to_file(timeline, str(folder / "cut.otio"))


def planned(folder: Path, handles: int = 0, timeline: str = "cut.otio") -> dict[str, ShotJob]:
    sheet = folder / "sheet.yaml"
    sheet.write_text(f"timeline: {timeline}\nhandles: {handles}\nobjects:\n  - {{name: man, phrase: the man}}\n")
    return {job.shot: job for job in plan(sheet, folder / "out")}


def sequence(start: float, count: float) -> otio.schema.Clip:
    media = otio.schema.ImageSequenceReference(
        target_url_base="plates", name_prefix="a.", name_suffix=".png", start_frame=1001, frame_zero_padding=4, rate=24,
        available_range=span(86400, 100),
    )  # fmt: skip
    return otio.schema.Clip("sh010", media, span(start, count))


def movie(start: float, count: float) -> otio.schema.Clip:
    media = otio.schema.ExternalReference((Path("plates") / "b.mov").as_posix(), span(0, 50))
    return otio.schema.Clip("sh020", media, span(start, count))


def test_clips_become_shots_with_their_ranges(folder: Path) -> None:
    cut(folder, sequence(86410, 20), movie(10, 5))
    jobs = planned(folder)
    assert jobs["sh010"].spec.shot.range == (1011, 1030)
    assert Path(jobs["sh010"].spec.shot.path) == folder / "plates" / "a.####.png"
    assert jobs["sh020"].spec.shot.range == (11, 15)
    assert jobs["sh020"].spec.shot.fps == 24.0


def test_handles_reach_as_far_as_the_media(folder: Path) -> None:
    cut(folder, sequence(86404, 90), movie(2, 40))
    jobs = planned(folder, handles=8)
    assert jobs["sh010"].spec.shot.range == (1001, 1100)
    assert jobs["sh020"].spec.shot.range == (1, 50)


def test_file_urls(folder: Path) -> None:
    clip = movie(0, 5)
    clip.media_reference.target_url = (folder / "plates" / "b.mov").as_uri()
    cut(folder, clip)
    assert Path(planned(folder)["sh020"].spec.shot.path) == folder / "plates" / "b.mov"


def test_an_edl(folder: Path) -> None:
    (folder / "cut.edl").write_text(
        "TITLE: cut\n\n001  AX V C 00:00:00:04 00:00:00:09 01:00:00:00 01:00:00:05\n"
        "* FROM CLIP NAME: sh020\n* FROM FILE: plates/b.mov\n"
    )
    [job] = planned(folder, timeline="cut.edl").values()
    assert (job.shot, job.spec.shot.range) == ("sh020", (5, 9))


@pytest.mark.parametrize(
    ("clips", "wanted"),
    [
        ([otio.schema.Clip("sh1", None, span(0, 5))], "no media"),
        ([otio.schema.Clip("", otio.schema.ExternalReference("plates/b.mov"), span(0, 5))], "no name"),
        ([movie(0, 5), movie(9, 5)], "stands here a second time"),
        ([otio.schema.Clip("sh1", otio.schema.ExternalReference("gone.mov"), span(0, 5))], "Nothing matches"),
    ],
    ids=["no media", "no name", "one name twice", "media gone"],
)
def test_bad_cuts(folder: Path, clips: list[otio.schema.Clip], wanted: str) -> None:
    cut(folder, *clips)
    with pytest.raises(SheetError, match=wanted):
        planned(folder)


@pytest.mark.parametrize("name", ["cut.otio", "cut.edl", "cut.xml"])
def test_files_that_are_no_cuts(folder: Path, name: str) -> None:
    (folder / name).write_text("nonsense")
    with pytest.raises(SheetError, match=r"no timeline|cannot be read"):
        planned(folder, timeline=name)
