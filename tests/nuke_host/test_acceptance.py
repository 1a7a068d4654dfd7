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
from .roto_text import draw


@pytest.fixture(scope="module")
def acceptance() -> Any:
    sys.path.insert(0, str(HOST))
    import acceptance

    return acceptance


def test_its_files_are_read_by_others_as_meant(acceptance: Any, tmp_path: Path) -> None:
    acceptance.write_run(tmp_path)
    run = mattes.read(str(tmp_path))
    assert (run.layers, run.first, run.last) == (("disc", "soft"), 1001, 1005)
    channels = OpenEXR.File(run.mattes.replace("####", "1003"), separate_channels=True).channels()
    assert sorted(channels) == ["A", "disc.A", "soft.A"]
    disc, soft = channels["disc.A"].pixels, channels["soft.A"].pixels
    assert disc.dtype == np.float16
    assert all(disc[y, x] == acceptance.disc(1003, x, y) for x in range(96) for y in range(54))
    assert set(np.unique(soft)) == {0.0, 0.75}
    plate = OpenEXR.File(str(tmp_path / "plate.1001.exr"), separate_channels=True).channels()
    assert [float(plate[c].pixels[5, 5]) for c in "RGB"] == list(acceptance.PLATE)


def test_its_splines_draw_its_disc(acceptance: Any, tmp_path: Path) -> None:
    acceptance.write_run(tmp_path)
    splines = SplineSet.from_json((tmp_path / "splines.json").read_bytes())
    text = nuke_roto.curves(splines, splines.objects)
    for frame in range(1001, 1006):
        drawn = draw(text, frame, 96, 54)
        matte = np.array([[acceptance.disc(frame, x, y) > 0.5 for x in range(96)] for y in range(54)])
        assert (drawn & matte).sum() / (drawn | matte).sum() > 0.97


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
