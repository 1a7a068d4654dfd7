"""``sa2va qc`` and ``--fail-under``, on a real job whose engine loses the object for one frame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.cli import main
from sa2va_core.engines import registry
from sa2va_core.engines.base import FrameResult, ObjectTrack, ShotSession, Verdict
from sa2va_core.jobs import manifest
from sa2va_core.media.frames import FrameSource
from tests.jobs.brightness import Brightness

LOST = 1006


class Forgetful(Brightness):
    """Sees what is bright, but for one frame."""

    def open_shot(
        self,
        source: FrameSource,
        objects: Sequence[ObjectSpec],
        state: Mapping[str, NDArray[np.generic]] | None = None,
        second_look: bool = False,
    ) -> ShotSession:
        return _Session(super().open_shot(source, objects, state, second_look))


class _Session(ShotSession):
    def __init__(self, whole: ShotSession) -> None:
        self._whole = whole

    def run(self) -> Iterator[FrameResult]:
        for result in self._whole.run():
            lost = {name: ObjectTrack.absent() for name in result.objects}
            yield FrameResult(result.picture, lost) if result.picture.frame == LOST else result

    def verdicts(self) -> Mapping[str, Verdict]:
        return self._whole.verdicts()


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a job of 12 frames."""
    (tmp_path / "plate").mkdir()
    ground = np.random.default_rng(1).integers(10, 60, (90, 160, 3)).astype(np.uint8)
    for i in range(12):
        picture = cv2.GaussianBlur(ground, (0, 0), 2)
        cv2.circle(picture, (40 + i, 45), 18, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.imwrite(str(tmp_path / "plate" / f"disc.{1001 + i}.png"), picture)
    monkeypatch.setattr(registry, "create", lambda spec: Forgetful())
    return ["matte", str(tmp_path / "plate" / "disc.####.png"), "light=the light", "-o", str(tmp_path / "out")]


def test_a_job_below_the_bar_fails_by_name_and_frame_and_keeps_its_results(
    job: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*job, "--fail-under", "0.6"]) == 3
    output = capsys.readouterr()
    assert f"error: Below 0.6: 'light' scores 0.12, worst on frame {LOST} (missing for 1 frame" in output.err
    assert "The results are kept." in output.err
    assert "report.html" in output.out
    data = manifest.read(tmp_path / "out")
    assert data is not None
    assert (data["objects"][0]["score"], data["objects"][0]["worst_frame"]) == (0.125, LOST)
    assert {"qc.json", "report.html"} <= set(data["files"])
    # The same command finds the job finished, and says the same.
    assert main([*job, "--fail-under", "0.6"]) == 3


def test_a_job_above_the_bar_passes(job: list[str]) -> None:
    assert main([*job, "--fail-under", "0.1"]) == 0
    assert main(job) == 0


def test_the_failure_is_an_event_for_machines(job: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*job, "--fail-under", "0.6", "--json"]) == 3
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["error"]) == ("failed", "QualityError")


def test_qc_prints_a_table_and_where_the_report_is(
    job: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(job)
    capsys.readouterr()
    assert main(["qc", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "disc  1001-1012  12 frames"
    assert lines[3].split()[:4] == ["light", "found", "0.12", str(LOST)]
    assert lines[-1] == f"Report: {tmp_path / 'out' / 'report.html'}"
    assert main(["qc", str(tmp_path / "out"), "--fail-under", "0.6"]) == 3
    capsys.readouterr()
    assert main(["qc", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"][0]["name"] == "light"


def test_qc_of_a_folder_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "qc.json").write_text("{}")
    for folder, words in (
        (tmp_path, "This file is damaged, or none of Sa2VA Roto's"),
        (tmp_path / "nowhere", "There is no QC in this folder"),
    ):
        assert main(["qc", str(folder)]) == 1
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("bar", ["1.5", "-0.1", "high", "nan"])
def test_a_bar_that_is_none(bar: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["qc", "out", f"--fail-under={bar}"])
    assert caught.value.code == 2
    assert "--fail-under" in capsys.readouterr().err
