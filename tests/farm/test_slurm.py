"""A bundle on a real Slurm of two nodes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sa2va_core.cli import main
from tests.worker.bench import results

from .slurm_cluster import Cluster, missing
from .test_bundle import OPENJD, SA2VA, SHOTS, local, needs_openjd, sheet

__all__ = ["local", "sheet"]


@needs_openjd
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_bundle_on_two_nodes_equals_a_local_run(
    sheet: Path, local: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    out, bundle = tmp_path / "results", tmp_path / "bundle"
    assert main(["farm", "export", str(sheet), "--to", "slurm", "-o", str(bundle), "--results", str(out)]) == 0
    job = bundle / "jobs" / "sh020.json"
    good = job.read_text()
    job.write_text(good.replace("scene.####.png", "lost.####.png"))
    with Cluster(tmp_path / "slurm") as cluster:
        environment = {**cluster.environment, "OPENJD": str(OPENJD), "SA2VA": str(SA2VA)}

        def submit(*options: str) -> None:
            done = subprocess.run(
                [str(bundle / "slurm.sh"), *options], capture_output=True, text=True, env=environment, check=False
            )
            assert done.returncode == 0, done.stderr
            cluster.wait()

        submit()
        logs = {path.name.split("_")[1]: path.read_text() for path in (bundle / "logs").glob("*.log")}
        assert len(logs) == len(SHOTS)
        assert "openjd_fail: Nothing matches the plate's name" in logs["1.log"]
        assert results(str(out / "sh010")) == local["sh010"]
        assert not (out / "sh020" / "manifest.json").exists()
        before = (out / "sh030" / "manifest.json").stat().st_mtime_ns

        job.write_text(good)
        submit("--array=1")
        assert {shot: results(str(out / shot)) for shot in SHOTS} == local
        assert (out / "sh030" / "manifest.json").stat().st_mtime_ns == before
