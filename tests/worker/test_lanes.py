"""Several engines in one worker: one queue, a lane for each GPU."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from sa2va_plugin.client import Client
from sa2va_plugin.jobspec import EngineSpec

from sa2va_core.engines import registry
from sa2va_core.engines.base import Needs
from sa2va_core.worker import child
from sa2va_core.worker.journal import Job, Journal
from sa2va_core.worker.lane import Lane, devices
from sa2va_core.worker.scheduler import Scheduler

from .bench import Bench, results, until, wait_for


def test_two_engines_run_two_jobs_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINES", "2")
    bench.delay(0.5)
    client = bench.client()
    jobs = [bench.submit(client, bench.job(f"out{i}", frames=20)) for i in range(3)]
    for job in jobs[:2]:
        wait_for(client, job, "running")
    assert client.call(client.status(jobs[2])).position == 1
    until(lambda: len(psutil.Process(bench.pid).children()) == 2)
    bench.delay(0)
    for job in jobs:
        wait_for(client, job, "done")
    first, *others = (results(bench.out(f"out{i}")) for i in range(3))
    assert [first] * 2 == others


def test_a_kill_in_one_lane_leaves_the_other_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINES", "2")
    bench.delay(0.05)
    bench.at(3, "kill")  # whichever comes there first
    client = bench.client()
    jobs = [bench.submit(client, bench.job(f"out{i}", frames=12), follow=True) for i in range(2)]
    ends = {until(lambda job=job: ended(client, job)) for job in jobs}
    assert ends == {"done", "failed"}


def ended(client: Client, job: str) -> str | None:
    state = client.call(client.status(job)).state
    return None if state in ("queued", "running") else state


class Placed:
    """Where a scheduler of these devices puts jobs, without running them."""

    def __init__(self, tmp_path: Path, *names: str) -> None:
        self.journal = Journal(tmp_path)
        self.lanes = [Lane(number, name, ["nothing"], "log") for number, name in enumerate(names)]
        self.scheduler = Scheduler(self.journal, self.lanes)

    def free(self, job: Job) -> list[str]:
        return [lane.device for lane in self.lanes if self.scheduler._suits(lane, job)]


def test_a_job_that_names_a_gpu_waits_for_it(bench: Bench, tmp_path: Path) -> None:
    placed = Placed(tmp_path / "jobs", "cuda:0", "cuda:1")

    def job(device: str) -> Job:
        spec = bench.job()
        return placed.journal.new(replace(spec, engine=replace(spec.engine, device=device)), 0, "test", False)

    assert placed.free(job("cuda:1")) == ["cuda:1"]
    assert placed.free(job("auto")) == placed.free(job("cpu")) == ["cuda:0", "cuda:1"]


def test_auto_is_the_lanes_gpu_for_engines_that_use_one(monkeypatch: pytest.MonkeyPatch) -> None:
    warm = child.Warm("cuda:1")
    assert warm._placed(EngineSpec("starter")).device == "auto"
    monkeypatch.setattr(type(registry.factory("starter")), "needs", lambda self, spec: Needs(1, 1))
    assert warm._placed(EngineSpec("starter")).device == "cuda:1"
    assert warm._placed(EngineSpec("starter", device="cpu")).device == "cpu"


def test_gpus_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,3")
    assert devices() == ["cuda:0", "cuda:1", "cuda:2"]
    assert devices(4) == ["cuda:0", "cuda:1", "cuda:2", "cuda:0"]
    for one in ("", "-1", "2"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", one)
        assert devices() == ["auto"]
        assert devices(2) == ["auto", "auto"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices() == ["auto"]
    if os.name == "posix":
        listing = tmp_path / "nvidia-smi"
        listing.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: A (UUID: y)'\n")
        listing.chmod(listing.stat().st_mode | stat.S_IXUSR)
        assert devices() == ["cuda:0", "cuda:1"]
