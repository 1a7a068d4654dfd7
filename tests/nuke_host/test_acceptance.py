"""The parts of hosts/nuke/acceptance.py that need no Nuke. The script itself has NOT been run in a Nuke by us."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from sa2va_nuke import mattes
from sa2va_plugin import nuke_roto
from sa2va_plugin.splines import SplineSet

from .conftest import FAKE, HOST
from .drawing import Drawing
from .roto_text import draw


@pytest.fixture(scope="module")
def acceptance() -> Any:
    sys.path.insert(0, str(HOST))
    import acceptance

    return acceptance


def test_its_files_are_read_by_others_as_meant(acceptance: Any, tmp_path: Path) -> None:
    acceptance.write_run(tmp_path)
    run = mattes.read(str(tmp_path))
    assert (run.layers, run.first, run.last) == (("disc", "soft"), 1001, 1006)
    assert run.cryptomatte is not None
    for frame in (1001, 1003, 1006):
        file = OpenEXR.File(run.mattes.replace("####", str(frame)), separate_channels=True)
        assert sorted(file.channels()) == ["A", "disc.A", "soft.A"]
        (left, top), (right, bottom) = file.header()["dataWindow"]
        assert [list(corner) for corner in file.header()["displayWindow"]] == [[0, 0], [95, 53]]
        for name, wanted in (("disc.A", acceptance.disc), ("soft.A", acceptance.soft)):
            whole = np.zeros((54, 96), np.float16)
            assert file.channels()[name].pixels.dtype == np.float16
            whole[top : bottom + 1, left : right + 1] = file.channels()[name].pixels
            assert all(whole[y, x] == wanted(frame, x, y) for x in range(96) for y in range(54))
        assert (left, top) == ((0, 0) if frame == 1006 else (0, 4)), "as the worker's"
        assert (right, bottom) == {1001: (43, 49), 1003: (53, 49), 1006: (0, 0)}[frame]
    plate = OpenEXR.File(str(tmp_path / "plate.1001.exr"), separate_channels=True).channels()
    assert [float(plate[c].pixels[5, 5]) for c in "RGBA"] == list(acceptance.PLATE)
    assert "sa2va00.R" in OpenEXR.File(run.cryptomatte.replace("####", "1001"), separate_channels=True).channels()


def test_its_splines_draw_its_disc_with_a_hole(acceptance: Any, tmp_path: Path) -> None:
    acceptance.write_run(tmp_path)
    splines = SplineSet.from_json((tmp_path / "splines.json").read_bytes())
    text = nuke_roto.curves(splines, splines.objects)
    for frame in range(1001, 1006):
        drawn = draw(text, frame, 96, 54)
        matte = np.array([[acceptance.ring(frame, x, y) > 0.5 for x in range(96)] for y in range(54)])
        assert not drawn[30, int(acceptance.centre_x(frame))]
        assert (drawn & matte).sum() / (drawn | matte).sum() > 0.95


@pytest.mark.parametrize("place", ["report.json", "gone/report.json"])
def test_it_prints_a_block_to_post_and_keeps_its_report(tmp_path: Path, place: str) -> None:
    """As a person runs it, but under the stand-in, which draws nothing: so it says FAIL, and what failed."""
    (tmp_path / "temp").mkdir()
    done = subprocess.run(
        [sys.executable, str(HOST / "acceptance.py"), "-o", str(tmp_path / place)],
        env={**os.environ, "PYTHONPATH": str(FAKE), "FAKE_NUKE": "terminal", "TMPDIR": str(tmp_path / "temp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    block = done.stdout.partition("```\n")[2].partition("```")[0].splitlines()
    assert block[0] == "Sa2VA Roto acceptance: FAIL"
    assert block[1].startswith("Nuke 15.0v4 commercial, Python 3")
    assert re.fullmatch(r"\d+ of \d+ checks passed", block[2])
    assert any(line.startswith("FAIL  layers") for line in block), block
    (kept,) = re.findall(r"and the file (.*):", done.stdout)
    assert kept == str(tmp_path / (place if place == "report.json" else "temp/report.json"))
    assert json.loads(Path(kept).read_text())["ok"] is False
    assert not list((tmp_path / "temp").glob("sa2va-acceptance-*")), "nothing is left behind"


def test_only_a_report_whose_checks_all_hold_is_a_pass(acceptance: Any) -> None:
    report = acceptance.Report()
    report.check("one", 1.0005, 1.0, 0.001)
    assert acceptance.verdict(report, {"Nuke": "15"}).splitlines()[1:4] == [
        "Sa2VA Roto acceptance: PASS",
        "Nuke 15",
        "1 of 1 checks passed",
    ]
    report.dump("saved.nk", lambda: (tmp for tmp in ()).throw(OSError("encrypted")))
    assert report.ok, "what cannot be dumped is no failure"
    report.check("two", 1.01, 1.0, 0.001)
    assert "FAIL  two: 1.01, not 1.0" in acceptance.verdict(report, {})


def test_without_a_nuke_that_draws_it_does_not_pass(acceptance: Any, fake: Any, tmp_path: Path) -> None:
    """The stand-in draws nothing, so the verdict must not be a pass."""
    report = acceptance.Report()
    assert not report.ok
    report.attempt("all", lambda: acceptance.run(tmp_path / "scratch", report))
    assert not report.ok
    assert any(item["check"] == "where Nuke puts a clip with start at 1" for item in report.checks)


def test_where_pixels_are_as_we_believe_it_passes(
    acceptance: Any, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what fails in somebody's Nuke is not a slip in the script. As Indie, for which a copy is one node too
    many: that check alone does not run here."""
    drawing = Drawing(fake, monkeypatch)
    fake.env["indie"] = True
    report = acceptance.Report()
    acceptance.run(tmp_path / "scratch", report)
    assert [item for item in report.checks if not item["ok"]] == []
    assert len(report.checks) >= 37
    assert drawing.most <= 10, "Indie and Non-commercial let Python touch ten nodes"
    assert {name for name, text in report.dumps.items() if text.startswith("not to be had")} == {
        "Roto keyed by Nuke's own Python"
    }
