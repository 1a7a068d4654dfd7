"""kill -9 of batches at random moments, and that nothing which was finished is done again.

``SA2VA_KILL_SEEDS=1,2,3`` tries other moments than the one seed of every day; ``pytest -rP`` shows the figures.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from sa2va_plugin.connection import FOLDER_VARIABLE

from tests.jobs.finished import Stamps, stamps_of, written_again
from tests.worker.bench import SOON, Bench, results

KILLS = 10
PHRASES = ("the light", "the dark", "nothing", "the dark", "the light")
#: Shots of different lengths, so that each has a plate of its own; the job saves its engine's state every 20 frames.
LENGTHS = tuple(range(41, 41 + len(PHRASES)))
SEEDS = [int(seed) for seed in os.environ.get("SA2VA_KILL_SEEDS", "7").split(",")]
BATCH = (sys.executable, str(Path(__file__).with_name("batch_process.py")))


@dataclass
class Watch:
    """What was finished at the kills, seen from outside of the processes that were killed."""

    bench: Bench
    out: Path
    files: Stamps = field(default_factory=dict)
    #: By picture, how many frames had been looked at in all when it was seen to be safe from being looked at again.
    safe: dict[str, int] = field(default_factory=dict)
    shots_finished: int = 0

    def note(self) -> None:
        for number, length in enumerate(LENGTHS):
            folder = self.out / f"s{number}"
            pattern = self.bench.plate(length)
            stamps, frames = _standing(folder, length)
            self.files = {**stamps, **self.files}  # as first seen
            self.shots_finished += (folder / "manifest.json") in stamps
            looked = len(self.bench.looked())
            for frame in frames:
                self.safe.setdefault(pattern.replace("####", str(frame)), looked)

    def looked_at_again(self) -> list[str]:
        return [
            picture for place, picture in enumerate(self.bench.looked()) if place >= self.safe.get(picture, sys.maxsize)
        ]


def _standing(folder: Path, length: int) -> tuple[Stamps, list[int]]:
    """The finished files of a shot, and the frames that its engine need not look at again.

    A worker that outlived its batch may be at it: then what it had done is read again.
    """
    while True:
        try:
            stamps = stamps_of(folder)
            if (folder / "manifest.json") in stamps:
                return stamps, list(range(1001, 1001 + length))
            with np.load(folder / ".sa2va" / "state.npz") as state:
                return stamps, [int(frame) for frame in state["passed_frames"]]
        except FileNotFoundError:
            if not (folder / ".sa2va" / "state.npz").exists() and not (folder / "manifest.json").exists():
                return stamps_of(folder) if folder.exists() else {}, []


def write_sheet(bench: Bench) -> Path:
    path = bench.root / "sheet.csv"
    rows = [f"s{i},brightness,24,{bench.plate(LENGTHS[i])},thing,{phrase}" for i, phrase in enumerate(PHRASES)]
    path.write_text("\n".join(["shot,engine,fps,plate,name,phrase", *rows, "*,,,,also,the light"]) + "\n")
    return path


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("seed", SEEDS)
def test_kill_9_at_ten_random_moments(sheet_bench: Bench, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """In turn the batch, the worker with its engine, and both at once."""
    bench, chance = sheet_bench, random.Random(seed)
    monkeypatch.setenv(FOLDER_VARIABLE, bench.folder)
    command = [*BATCH, str(write_sheet(bench)), "-o"]
    whole = subprocess.run([*command, bench.out("whole")], capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    (bench.control / "looked").unlink()
    bench.delay(0.02)
    watch = Watch(bench, bench.root / "killed")
    unfinished = 0
    for number in range(KILLS):
        process = subprocess.Popen([*command, str(watch.out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_work(bench, process, chance)
        if number % 3 != 1:
            process.send_signal(signal.SIGKILL)
        if number % 3 != 0:
            bench.kill_worker()
        if number % 3 == 1:
            time.sleep(chance.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
        process.wait()
        before = len(watch.files)
        watch.note()
        unfinished += len(watch.files) > before
    bench.delay(0)
    again = len(bench.looked())
    last = subprocess.run([*command, str(watch.out)], capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    looked = bench.looked()
    print(  # noqa: T201
        f"seed {seed}: {KILLS} kills; {sum(LENGTHS)} frames, looked at {len(looked)} times, {len(looked) - again} of "
        f"them in the last run; {len(watch.files)} files, {len(watch.safe)} frames and {watch.shots_finished} times a "
        f"shot were finished at a kill; of those again: {len(written_again(watch.files))} files, "
        f"{len(watch.looked_at_again())} frames"
    )
    assert results(str(watch.out)) == results(bench.out("whole"))
    assert unfinished, "no kill found anything finished: nothing is proven"
    assert not written_again(watch.files)
    assert not watch.looked_at_again()


def wait_for_work(bench: Bench, process: subprocess.Popen[bytes], chance: random.Random) -> None:
    """Until some more frames are looked at, or, one time in five, only for a part of the start."""
    if chance.random() < 0.2:
        time.sleep(chance.uniform(0, 1))
        return
    wanted, deadline = len(bench.looked()) + chance.randrange(1, 40), time.monotonic() + SOON
    while len(bench.looked()) < wanted and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
