"""Bundles in the hands of farm managers' own packages, as far as that goes without their servers."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sa2va_core.farm.bundle import write_bundle
from sa2va_core.farm.plan import plan

from . import managers
from .test_bundle import SHOTS, sheet

__all__ = ["sheet"]

HERE = Path(__file__).parent
PYTHON = managers.python()
pytestmark = pytest.mark.skipif(PYTHON is None, reason=managers.MISSING)


@pytest.fixture
def bundle(sheet: Path, tmp_path: Path) -> Path:
    """Its folder has a blank in its name, as folders have."""
    jobs = plan(sheet, tmp_path / "results")
    return write_bundle(jobs, tmp_path / "my bundle", "mattes", chunk=7, timeout_hours=2).parent


def told(*words: str | Path) -> str:
    done = subprocess.run([str(PYTHON), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_deadline_cloud_lists_the_bundle(bundle: Path) -> None:
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON.with_name("deadline"), "bundle", "info", str(bundle), "--output", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    info = json.loads(done.stdout)
    assert info["steps"] == ["Mattes", "sh030 1 of 2", "sh030 2 of 2"]
    assert [item["name"] for item in info["parameters"]] == ["JobsDir", "OutDir", "Sa2va"]


def test_what_deadline_cloud_would_send(bundle: Path, sheet: Path, tmp_path: Path) -> None:
    """Parameters as CreateJob takes them; every plate frame and job as input, results as output."""
    found = json.loads(told(HERE / "read_by_deadline.py", bundle))
    assert found["parameters"] == {
        "JobsDir": {"path": str(bundle / "jobs")},
        "OutDir": {"path": str(tmp_path / "results")},
    }
    frames = {str(path) for path in sheet.parent.glob("scene.*.png")}
    assert frames | {str(bundle / "jobs" / f"{shot}.json") for shot in SHOTS} <= set(found["inputs"])
    assert found["outputs"] == [str(tmp_path / "results")]


def test_the_opencue_example(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    example = HERE.parents[1] / "docs" / "examples" / "opencue_mattes.py"
    job = ElementTree.fromstring(told(example, bundle, tmp_path / "results", "--show", "testing", "--print"))
    layers = {str(layer.get("name")): layer for layer in job.iter("layer")}
    assert list(layers) == list(SHOTS)
    for shot, layer in layers.items():
        command = shlex.split(str(layer.findtext("cmd")))
        assert command == ["sa2va", "matte", f"{bundle}/jobs/{shot}.json", "-o", f"{tmp_path}/results/{shot}"]
        assert int(str(layer.findtext("memory")).removesuffix("m")) > 0
