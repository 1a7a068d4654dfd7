"""Results keep apart from the plate: they never become plates of a later run, nor take the place of one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from sa2va_plugin.errors import JobSpecError
from sa2va_plugin.jobspec import JobSpec, MaskPin, ObjectSpec, Outputs, Shot

from sa2va_core.jobs.runner import run_job
from sa2va_core.media.encode import h264
from sa2va_core.media.sequence import locate

from .brightness import Brightness


def stills(folder: Path, name: str = "disc") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for frame in (1, 2):
        cv2.imwrite(str(folder / f"{name}.{frame:04d}.png"), np.full((90, 160, 3), 200, np.uint8))
    return folder / f"{name}.####.png"


def movie(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    h264(path, [np.full((90, 160, 3), 200, np.uint8)] * 2, Fraction(24))
    return path


def run(plate: Path, out: Path) -> Path:
    objects = (ObjectSpec("light", "the light"),)
    return run_job(JobSpec(Shot(str(plate), fps=24), objects, Outputs(str(out), format="png")), engine=Brightness())


@pytest.mark.parametrize("where", [".", "mattes", "mattes/man", "cryptomatte"])
@pytest.mark.parametrize("named", ["pattern", "folder"])
def test_results_among_the_frames_of_a_plate_are_refused(where: str, named: str, tmp_path: Path) -> None:
    pattern = stills(tmp_path / "shot" / where)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(JobSpecError, match="in the plate's own folder") as caught:
        run(pattern if named == "pattern" else pattern.parent, tmp_path / "shot")
    assert "disc_mattes" in caught.value.hint
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_by_another_name_it_is_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stills(tmp_path / "plate")
    (tmp_path / "link").symlink_to(tmp_path / "plate")
    monkeypatch.chdir(tmp_path / "plate")
    for plate, out in ((".", "."), (tmp_path / "plate", tmp_path / "link"), ("../link", ".")):
        with pytest.raises(JobSpecError, match="in the plate's own folder"):
            run(Path(plate), Path(out))
    assert sorted(path.name for path in (tmp_path / "plate").iterdir()) == ["disc.0001.png", "disc.0002.png"]


def test_a_movie_beside_its_results_is_refused_and_not_replaced(tmp_path: Path) -> None:
    path = movie(tmp_path / "overlay.mp4")
    before = path.read_bytes()
    for plate in (path, tmp_path):
        with pytest.raises(JobSpecError, match="in the plate's own folder"):
            run(plate, tmp_path)
    assert path.read_bytes() == before


def test_a_pinned_result_is_not_lost_to_the_job_that_pins_it(tmp_path: Path) -> None:
    plate, out = stills(tmp_path / "plate"), tmp_path / "out"
    run(plate, out)
    (pin,) = out.rglob("disc_light.0001.png")
    before = pin.read_bytes()
    pinned = ObjectSpec("light", "the light", masks=(MaskPin(1, str(pin)),))
    spec = JobSpec(Shot(str(plate), fps=24), (pinned,), Outputs(str(out), format="png"))
    with pytest.raises(JobSpecError, match="A pinned matte lies among the results") as caught:
        run_job(spec, engine=Brightness(), overwrite=True)
    assert "Copy it" in caught.value.hint
    assert pin.read_bytes() == before
    elsewhere = replace(spec, outputs=replace(spec.outputs, folder=str(tmp_path / "second")))
    assert run_job(elsewhere, engine=Brightness()).exists()


def test_beside_and_inside_the_plates_folder_it_stays_one_plate(tmp_path: Path) -> None:
    plate = stills(tmp_path / "shot" / "plate").parent
    for out in (tmp_path / "shot", plate / "disc_mattes", plate / "mattes"):
        run(plate, out)
        assert [path.name for path in locate(str(plate)).files.values()] == ["disc.0001.png", "disc.0002.png"]
        run(plate, out)
