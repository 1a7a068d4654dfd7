"""What a batch costs beside its jobs: ``python benchmarks/batch.py``.

Prints how long a sheet of 1,000 rows takes to check, and, for a batch of so many one-frame shots, the wall time a job
with the batch and the worker around it, against the same jobs run one after the other in one process, and the memory of
the batch and of the worker at the 100th and at the last job. The engine does next to nothing, so what is measured is
the way.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402
from sa2va_plugin.client import Client  # noqa: E402
from sa2va_plugin.connection import read_connection  # noqa: E402

from sa2va_core.farm.batch import ShotState, run_batch  # noqa: E402
from sa2va_core.farm.plan import ShotJob, plan  # noqa: E402
from sa2va_core.jobs.runner import run_job  # noqa: E402
from tests.jobs.brightness import Brightness  # noqa: E402
from tests.worker import toy_child  # noqa: E402, F401 - registers the engine

ROWS = 1000
BY_HAND = 200
WORKER = (sys.executable, str(ROOT / "tests" / "worker" / "toy_worker.py"))


def make_sheet(folder: Path) -> Path:
    for shot in range(ROWS):
        (folder / f"sh{shot:04d}").mkdir()
        cv2.imwrite(str(folder / f"sh{shot:04d}" / "plate.1001.png"), np.full((54, 96, 3), 20, np.uint8))
    rows = [f"sh{i:04d},brightness,24,sh{i:04d}/plate.####.png,light,the light" for i in range(ROWS)]
    path = folder / "sheet.csv"
    path.write_text("\n".join(["shot,engine,fps,plate,name,phrase", *rows]) + "\n")
    return path


def mib(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 2**20


def by_hand(jobs: list[ShotJob]) -> float:
    engine = Brightness()
    began = time.perf_counter()
    for job in jobs:
        run_job(job.spec, engine=engine)
    return (time.perf_counter() - began) / len(jobs)


def batch(jobs: list[ShotJob], out: Path, worker: str) -> tuple[float, list[str]]:
    memory: list[str] = []
    over = 0

    def on_change(state: ShotState) -> None:
        nonlocal over
        over += state.over
        if state.over and over in (100, len(jobs)):
            found = read_connection(worker)
            assert found is not None
            memory.append(f"{mib(os.getpid()):.0f} and {mib(found.pid):.0f} MiB at job {over}")

    client = Client("benchmark", worker, WORKER)
    client.call(client.ping())
    began = time.perf_counter()
    states = run_batch(jobs, out, lambda: client, on_change=on_change)
    taken = (time.perf_counter() - began) / len(jobs)
    assert all(state.state == "done" for state in states)
    return taken, memory


def main() -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "control").mkdir()
        os.environ["SA2VA_TEST_CONTROL"] = str(folder / "control")
        sheet = make_sheet(folder)
        began = time.perf_counter()
        plan(sheet, folder / "out")
        print(f"{ROWS} rows checked in {time.perf_counter() - began:.2f} s")
        alone = by_hand(plan(sheet, folder / "hand")[:BY_HAND])
        within, memory = batch(plan(sheet, folder / "out"), folder / "out", str(folder / "worker"))
        more = (within - alone) * 1e3
        print(f"a job: {within * 1e3:.1f} ms in a batch, {alone * 1e3:.1f} ms by hand, {more:.1f} ms more")
        print("batch and worker: " + ", ".join(memory))
        client = Client("benchmark", str(folder / "worker"), start=False)
        client.call(client.shut_down_worker())
        while read_connection(str(folder / "worker")) is not None:
            client.wait(0.1)


if __name__ == "__main__":
    main()
