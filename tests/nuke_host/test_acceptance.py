"""The parts of hosts/nuke/acceptance.py that need no Nuke. The script itself has NOT been run in a Nuke by us."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from sa2va_nuke import mattes
from sa2va_plugin import nuke_roto
from sa2va_plugin.splines import SplineSet

from .conftest import HOST
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


def test_without_a_nuke_that_draws_it_does_not_pass(acceptance: Any, fake: Any, tmp_path: Path) -> None:
    """The stand-in draws nothing, so the verdict must not be a pass."""
    report = acceptance.Report()
    assert not report.ok
    report.attempt("all", lambda: acceptance.run(tmp_path / "scratch", report))
    assert not report.ok
    assert any(item["check"] == "where Nuke puts a clip with start at 1" for item in report.checks)
