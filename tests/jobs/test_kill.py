"""kill -9 in mid-run, again and again; the results equal those of an undisturbed run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from sa2va_plugin.jobspec import JobSpec, Outputs, Shot

from sa2va_core.jobs import manifest
from sa2va_core.jobs.runner import run_job

from .brightness import Brightness
from .killing import run_until_killed
from .test_runner import LIGHT, plate, tree

__all__ = ["plate"]

_RUN = """
import sys
from sa2va_plugin.jobspec import JobSpec
from sa2va_core.jobs.events import FrameReady
from sa2va_core.jobs.runner import run_job
from tests.jobs.brightness import Brightness

def tell(event):
    if isinstance(event, FrameReady):
        print(event.frame, flush=True)

run_job(JobSpec.from_json(sys.argv[1]), engine=Brightness(), on_event=tell)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX; Windows has TerminateProcess, not run here")
@pytest.mark.parametrize("form", ["exr", "prores"])
def test_killed_five_times_it_still_gives_the_same_files(plate: Path, tmp_path: Path, form: str) -> None:
    def spec(name: str) -> JobSpec:
        shot = Shot(str(plate / "disc.####.png"), fps=24)
        return JobSpec(shot, (LIGHT,), Outputs(str(tmp_path / name), format=form))

    run_job(spec("whole"), engine=Brightness())
    out = tmp_path / "killed"
    for kill_after in (1, 13, 22, 9, 17):
        run_until_killed(_RUN, spec("killed"), kill_after)
        for path in out.rglob("*"):
            if path.suffix == ".exr" and not path.name.startswith("."):
                assert path.stat().st_size > 100, "a file with its final name is whole"
        if (out / manifest.NAME).exists():
            break

    run_job(spec("killed"), engine=Brightness())
    whole, killed = tree(tmp_path / "whole"), tree(out)
    assert set(whole) == set(killed), "nothing missing and no half-written file left"
    whole.pop(manifest.NAME)
    killed.pop(manifest.NAME)
    assert whole == killed
    data = json.loads((out / manifest.NAME).read_text())
    assert data["job_hash"] == spec("whole").hash()
