"""Bundles for farms, checked and really run by Open Job Description's own command, with the starter engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from sa2va_plugin.jobspec import EngineSpec

from sa2va_core.cli import main
from sa2va_core.engines import registry
from sa2va_core.engines.base import Engine
from sa2va_core.farm.bundle import write_bundle
from sa2va_core.farm.plan import plan
from sa2va_core.jobs.runner import run_job
from tests.starter.scene import Scene
from tests.worker.bench import results

SCRIPTS = Path(sys.executable).parent
OPENJD, SA2VA = (shutil.which(name, path=str(SCRIPTS)) for name in ("openjd", "sa2va"))
needs_openjd = pytest.mark.skipif(OPENJD is None or SA2VA is None, reason="openjd-cli or sa2va is not installed")
SHOTS = {"sh010": (1001, 1004), "sh020": (1003, 1006), "sh030": (1001, 1014)}


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shots on one plate."""
    folder = tmp_path_factory.mktemp("farm")
    scene = Scene()
    for frame in scene.frames[:14]:
        cv2.imwrite(str(folder / f"scene.{frame}.png"), cv2.cvtColor(scene.read(frame).rgb, cv2.COLOR_RGB2BGR))
    rows = [f"{shot},scene.####.png,{first}-{last},24,woman,the woman" for shot, (first, last) in SHOTS.items()]
    path = folder / "sheet.csv"
    path.write_text("\n".join(["shot,plate,range,fps,name,phrase", *rows, "sh03*,,,,,the cup"]) + "\n")
    return path


@pytest.fixture(scope="module")
def local(sheet: Path, starter_engine: Engine) -> dict[str, dict[str, str]]:
    """What a run on this machine, without any farm, gives."""
    out = sheet.parent / "local"
    for job in plan(sheet, out):
        run_job(job.spec, engine=starter_engine)
    return {shot: results(str(out / shot)) for shot in SHOTS}


def openjd(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert OPENJD is not None
    environment = {**os.environ, "PATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PATH", "")])}
    return subprocess.run([OPENJD, *arguments], capture_output=True, text=True, env=environment, timeout=300)


def run(template: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return openjd("run", str(template), "-p", f"OutDir={out}", "-p", f"Sa2va={SA2VA}", *arguments)


@needs_openjd
def test_three_shots_run_by_openjd_equal_a_local_run(
    sheet: Path, local: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    out = tmp_path / "results"
    assert main(["farm", "export", str(sheet), "-o", str(tmp_path / "bundle"), "--results", str(out)]) == 0
    template = tmp_path / "bundle" / "template.json"
    assert openjd("check", str(template)).returncode == 0
    # One task that cannot work, as on a node without the plate's disk.
    job = tmp_path / "bundle" / "jobs" / "sh020.json"
    good = job.read_text()
    job.write_text(good.replace("scene.####.png", "lost.####.png"))
    broken = run(template, out, "--step", "Mattes")
    assert broken.returncode == 1
    assert "openjd_progress: 100" in broken.stdout
    assert "openjd_fail: Nothing matches the plate's name" in broken.stdout
    assert results(str(out / "sh010")) == local["sh010"]

    job.write_text(good)
    again = run(template, out, "--step", "Mattes", "--tasks", '[{"Shot": "sh020"}, {"Shot": "sh030"}]')
    assert again.returncode == 0, again.stdout
    assert {shot: results(str(out / shot)) for shot in SHOTS} == local


@needs_openjd
def test_a_chain_of_chunks_has_no_seams(sheet: Path, local: dict[str, dict[str, str]], tmp_path: Path) -> None:
    out = tmp_path / "results"
    export = ["farm", "export", str(sheet), "-o", str(tmp_path / "bundle"), "--results", str(out)]
    assert main([*export, "--shot", "sh030", "--chunk", "5"]) == 0
    template = tmp_path / "bundle" / "template.json"
    assert openjd("check", str(template)).returncode == 0
    done = run(template, out, "--step", "sh030 1 of 3")
    assert done.returncode == 0, done.stdout
    assert not (out / "sh030" / "manifest.json").exists()
    # When it hears of the fifth, up to 8 more are in work, and one follows.
    assert 5 <= len(list((out / "sh030" / "mattes").glob("*.exr"))) < 14
    done = run(template, out, "--step", "sh030 3 of 3", "--run-dependencies")
    assert done.returncode == 0, done.stdout
    assert results(str(out / "sh030")) == local["sh030"]


def test_no_path_goes_up(
    sheet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In what is printed, and in what is written: a farm maps folders by what paths begin with."""
    (tmp_path / "here").mkdir()
    shutil.copytree(sheet.parent, tmp_path / "plates", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "plates" / "sheets").mkdir()
    text = sheet.read_text().replace("scene.####.png", "../scene.####.png")
    (tmp_path / "plates" / "sheets" / "sheet.csv").write_text(text)
    monkeypatch.chdir(tmp_path / "here")
    for to in ("openjd", "slurm"):
        command = ["farm", "export", "../plates/sheets/sheet.csv", "-o", "../bundle", "--results", "../out", "--to", to]
        assert main(command) == 0
        told = capsys.readouterr().out
        assert str(tmp_path / "bundle") in told
        assert ".." not in told
    files = [path for path in (tmp_path / "bundle").rglob("*") if path.is_file()]
    assert len(files) == 3 + 4
    assert not [path.name for path in files if "../" in path.read_text()]
    job = json.loads((tmp_path / "bundle" / "jobs" / "sh010.json").read_text())
    assert job["shot"]["path"] == str(tmp_path / "plates" / "scene.####.png")
    assert job["outputs"]["folder"] == str(tmp_path / "out" / "sh010")


def test_what_a_task_needs_and_what_travels(sheet: Path, tmp_path: Path) -> None:
    text = sheet.read_text().replace("\nshot", "\nengine,model,shot")
    lines = text.splitlines()
    lines = [
        "engine,model," + lines[0],
        *(f"{',' if i else 'sa2va,Sa2VA-4B'},{line}" for i, line in enumerate(lines[1:])),
    ]
    mixed = sheet.parent / "mixed.csv"
    mixed.write_text("\n".join(lines) + "\n")
    jobs = plan(mixed, tmp_path / "results")
    template = write_bundle(jobs, tmp_path / "bundle", "mixed", chunk=None, timeout_hours=2)
    data = json.loads(template.read_text())
    needs = {step["parameterSpace"]["taskParameterDefinitions"][0]["range"][0]: step for step in data["steps"]}
    gpu = {item["name"]: item["min"] for item in needs["sh010"]["hostRequirements"]["amounts"]}
    assert gpu["amount.worker.gpu"] == 1
    assert gpu["amount.worker.gpu.memory"] > 4e9 * 2 / 2**20
    assert {item["name"] for item in needs["sh020"]["hostRequirements"]["amounts"]} == {"amount.worker.memory"}
    assert needs["sh010"]["script"]["actions"]["onRun"]["timeout"] == 7200
    assets = json.loads((tmp_path / "bundle" / "asset_references.json").read_text())["assetReferences"]
    assert assets["inputs"]["directories"] == [str(sheet.parent)]
    assert assets["outputs"]["directories"] == [str(tmp_path / "results")]
    subprocess.run(["bash", "-n", str(tmp_path / "bundle" / "slurm.sh")], check=True)


def test_needs_by_the_models_name() -> None:
    factory = registry.factory("sa2va")
    four = factory.needs(EngineSpec("sa2va", "ByteDance/Sa2VA-4B"))
    assert four.gpu_memory_mib == pytest.approx(4e9 * 2 / 2**20 + 4096, rel=0.01)
    assert factory.needs(EngineSpec("sa2va", "ByteDance/Sa2VA-4B", vram_gib=8)).gpu_memory_mib == 8192
    assert factory.needs(EngineSpec("sa2va", "ByteDance/Sa2VA-4B", "cpu")).gpu_memory_mib == 0


def test_a_sheet_with_faults_exports_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sheet.csv").write_text("shot,plate,phrase\ns,nowhere.mp4,the man\n")
    bundle = tmp_path / "bundle"
    export = ["farm", "export", str(tmp_path / "sheet.csv"), "-o", str(bundle), "--results", str(tmp_path / "out")]
    assert main(export) == 1
    assert "row 2" in capsys.readouterr().err
    assert not bundle.exists()
