"""Batches through a real worker: failures, changes, stops and kills."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from sa2va_plugin.connection import FOLDER_VARIABLE
from sa2va_plugin.errors import Cancelled, EngineError, PhraseError, ResultError
from sa2va_plugin.jobspec import JobSpec

from sa2va_core.cli import main
from sa2va_core.farm.batch import ShotState, run_batch, standing
from sa2va_core.farm.plan import plan
from sa2va_core.jobs.runner import run_job
from sa2va_core.worker import remote
from tests.jobs.brightness import Brightness
from tests.worker.bench import TOY_WORKER, Bench, kill, results, until

FRAMES = 6


def sheet(bench: Bench, *phrases: str, frames: int = FRAMES) -> Path:
    """A shot for each of ``phrases``: s0, s1 ..."""
    path = bench.root / "sheet.csv"
    rows = [f"s{i},{bench.plate(frames)},thing,{phrase}" for i, phrase in enumerate(phrases)]
    path.write_text("\n".join(["shot,plate,name,phrase", *rows, "*,,also,the light"]) + "\n")
    text = path.read_text().replace("shot,plate", "engine,fps,shot,plate").replace("\ns", "\nbrightness,24,s")
    path.write_text(text.replace("\n*", "\n,,*"))
    return path


def run(bench: Bench, path: Path, **options) -> dict[str, ShotState]:
    out = bench.root / "out"
    states = run_batch(plan(path, out), out, lambda: bench.client("batch"), **options)
    return {state.job.shot: state for state in states}


def test_every_shot_of_a_sheet(sheet_bench: Bench) -> None:
    path = sheet(sheet_bench, "the light", "the dark", "nothing")
    heard: list[tuple[str, str]] = []
    states = run(sheet_bench, path, on_change=lambda state: heard.append((state.job.shot, state.state)))
    assert {name: state.state for name, state in states.items()} == dict.fromkeys(("s0", "s1", "s2"), "done")
    assert states["s2"].verdicts["thing"].state == "not in shot"
    assert states["s1"].verdicts["also"].state == "found"
    assert heard[-1] == ("s2", "done")
    assert ("s1", "running") in heard
    # The same as by hand, files and all.
    for state in states.values():
        by_hand = JobSpec.from_dict(
            {**state.job.spec.to_dict(), "outputs": {"folder": str(sheet_bench.root / "hand" / state.job.shot)}}
        )
        run_job(by_hand, engine=Brightness())
    assert results(str(sheet_bench.root / "hand")) == {
        name: digest for name, digest in results(sheet_bench.out("out")).items() if name != "batch.json"
    }


def test_two_phrases_on_one_shot_are_one_pass(sheet_bench: Bench) -> None:
    [job] = plan(sheet(sheet_bench, "the dark"), sheet_bench.root / "out")
    engine = Brightness()
    run_job(job.spec, engine=engine)
    assert [item.name for item in job.spec.objects] == ["thing", "also"]
    assert engine.looked_at == list(range(1001, 1001 + FRAMES))


def test_a_sheet_in_the_folder_where_one_works_and_a_configuration_of_the_site(
    sheet_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sheet(sheet_bench, "the light")
    path.write_text(path.read_text().replace(f"{sheet_bench.root}/", ""))
    monkeypatch.chdir(sheet_bench.root)
    monkeypatch.setenv("OCIO", "ocio://studio-config-v4.0.0_aces-v2.0_ocio-v2.5")
    stop = threading.Event()
    endless = threading.Timer(30, stop.set)
    endless.start()
    try:
        first, again = (run(sheet_bench, Path(path.name), cancelled=stop)["s0"] for _ in range(2))
    finally:
        endless.cancel()
    assert (first.state, again.state, again.kept) == ("done", "done", FRAMES)
    client = sheet_bench.client("look")
    assert len(client.call(client.jobs()).jobs) == 2


def test_a_failure_costs_one_shot(sheet_bench: Bench) -> None:
    sheet_bench.at(2, "kill")
    states = run(sheet_bench, sheet(sheet_bench, "the light", "a word it does not know", "the dark"))
    assert [state.state for state in states.values()] == ["failed", "failed", "done"]
    assert isinstance(states["s0"].error, EngineError)
    assert isinstance(states["s1"].error, PhraseError)
    again = run(sheet_bench, sheet(sheet_bench, "the light", "the dark", "the dark"))
    assert [state.state for state in again.values()] == ["done", "done", "done"]
    assert again["s2"].kept == FRAMES


def test_a_changed_row_is_done_again_and_nothing_else(sheet_bench: Bench) -> None:
    run(sheet_bench, sheet(sheet_bench, "the light", "the light"))
    before = results(sheet_bench.out("out/s0"))
    states = run(sheet_bench, sheet(sheet_bench, "the light", "the dark"))
    assert (states["s0"].kept, states["s1"].kept) == (FRAMES, 0)
    assert results(sheet_bench.out("out/s0")) == before
    data = json.loads((sheet_bench.root / "out" / "s1" / "manifest.json").read_text())
    assert data["objects"][0]["phrase"] == "the dark"


def test_results_that_are_not_the_batchs_are_left_alone(sheet_bench: Bench) -> None:
    run_job(sheet_bench.job("out/s0", phrase="the dark"), engine=Brightness())
    before = results(sheet_bench.out("out/s0"))
    states = run(sheet_bench, sheet(sheet_bench, "the light", "the light"))
    assert [state.state for state in states.values()] == ["failed", "done"]
    assert isinstance(states["s0"].error, ResultError)
    assert results(sheet_bench.out("out/s0")) == before


def test_a_stopped_job_that_is_not_the_batchs_is_left_alone(
    sheet_bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(frame: int) -> None:
        if frame == 25:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run_job(sheet_bench.job("out/s0", phrase="the dark", frames=30), engine=Brightness(stop))
    before = results(sheet_bench.out("out/s0"))
    assert before
    path = sheet(sheet_bench, "the light", frames=30)
    assert main(["batch", str(path), "-o", sheet_bench.out("out"), "--dry-run"]) == 0
    assert "s0: changed. " in capsys.readouterr().out
    error = run(sheet_bench, path)["s0"].error
    assert isinstance(error, ResultError)
    assert "another job, stopped after" in error.message
    assert results(sheet_bench.out("out/s0")) == before


def test_a_batch_can_be_stopped_and_goes_on(sheet_bench: Bench) -> None:
    sheet_bench.delay(0.05)
    path, stop = sheet(sheet_bench, "the light", "the dark", "the light", frames=30), threading.Event()

    def on_change(state: ShotState) -> None:
        if state.job.shot == "s1" and state.state == "running":
            sheet_bench.delay(0.3)
            if state.done >= 3:
                stop.set()

    states = run(sheet_bench, path, on_change=on_change, cancelled=stop)
    assert [state.state for state in states.values()] == ["done", "cancelled", "cancelled"]
    assert isinstance(states["s2"].error, Cancelled)
    assert [standing(job) for job in plan(path, sheet_bench.root / "out")] == ["finished", "unfinished", "new"]
    sheet_bench.delay(0)
    again = run(sheet_bench, path)
    assert [state.state for state in again.values()] == ["done", "done", "done"]
    assert again["s0"].kept == 30


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_the_worker_is_killed_in_mid_batch(sheet_bench: Bench) -> None:
    sheet_bench.delay(0.02)
    path, killed = sheet(sheet_bench, "the light", "the dark", frames=30), threading.Event()

    def on_change(state: ShotState) -> None:
        if state.job.shot == "s0" and state.done >= 25 and not killed.is_set():
            killed.set()
            kill(sheet_bench.pid)

    states = run(sheet_bench, path, on_change=on_change)
    assert [state.state for state in states.values()] == ["done", "done"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_worker_that_is_silent_for_a_while_is_waited_for(sheet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet_bench.at(3, "hold")
    tries, stopped = sheet_bench.wake_at_second_try(monkeypatch), threading.Event()

    def on_change(state: ShotState) -> None:
        if state.state == "running" and not stopped.is_set():
            stopped.set()
            os.kill(sheet_bench.pid, signal.SIGSTOP)

    states = run(sheet_bench, sheet(sheet_bench, "the light", "the dark"), on_change=on_change)
    assert len(tries) >= 2
    assert [state.state for state in states.values()] == ["done", "done"]


@pytest.fixture
def cli(sheet_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv(FOLDER_VARIABLE, sheet_bench.folder)
    monkeypatch.setattr(remote, "COMMAND", TOY_WORKER)
    return sheet_bench


def test_the_command(cli: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = sheet(cli, "the light", "a word it does not know", "<b>=1"), cli.out("out")
    assert main(["batch", str(path), "-o", out, "--dry-run"]) == 0
    assert "s0: new. " in capsys.readouterr().out
    assert not Path(out).exists()
    assert main(["batch", str(path), "-o", out]) == 1
    told = capsys.readouterr().out
    assert re.search(r"s0: 6 frames: thing found \d\.\d\d, also found \d\.\d\d\n", told)
    assert "s1: failed. I do not understand 'a word it does not know'." in told
    assert "1 done, 2 failed" in told
    with (Path(out) / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["state"] for row in rows) == {"done": 2, "failed": 4}
    assert rows[0]["verdict"] == "found"
    assert rows[0]["frames"] == "1001-1006"
    page = (Path(out) / "summary.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "&lt;b&gt;=1" in page
    assert "<b>=1" not in page

    assert main(["batch", str(path), "-o", out, "--json", "--shot", "s0"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["event"] == "batch"
    assert (lines[-1]["done"], lines[-1]["failed"]) == (1, 0)
    assert lines[-2]["verdicts"] == {"thing": "found", "also": "found"}

    # A shot that failed before its first frame has left nothing to go on from.
    sheet(cli, "the dark", "the light", "the light")
    assert main(["batch", str(path), "-o", out, "--dry-run", "--json"]) == 0
    told = [json.loads(line)["standing"] for line in capsys.readouterr().out.splitlines()]
    assert told == ["changed", "new", "new"]
    sheet(cli, "the light", "the light", "the light")
    assert main(["batch", str(path), "-o", out, "--dry-run", "--shot", "s0"]) == 0
    assert "s0: finished. " in capsys.readouterr().out


def test_a_broken_record_is_said(cli: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    out = cli.root / "out"
    out.mkdir()
    (out / "batch.json").write_text("{")
    # Not 75: the file does not mend itself.
    assert main(["batch", str(sheet(cli, "the light")), "-o", str(out)]) == 1
    assert "This file is damaged, or none of Sa2VA Roto's" in capsys.readouterr().err


def test_the_summary_never_replaces_the_sheet(cli: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path = sheet(cli, "the light").rename(cli.root / "summary.csv")
    before = path.read_bytes()
    assert main(["batch", str(path), "-o", str(cli.root)]) == 1
    assert "would take the place of the sheet" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_results_of_a_later_version_are_said_and_kept(cli: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = sheet(cli, "the light"), cli.out("out")
    assert main(["batch", str(path), "-o", out]) == 0
    manifest = Path(out) / "s0" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2', 1))
    before = manifest.read_bytes()
    capsys.readouterr()
    assert main(["batch", str(path), "-o", out, "--dry-run"]) == 0
    assert "s0: unreadable. " in capsys.readouterr().out
    assert main(["batch", str(path), "-o", out]) == 1
    assert "s0: failed. Earlier results are of a later version" in capsys.readouterr().out
    assert manifest.read_bytes() == before


def test_no_worker_to_be_had(cli: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(remote, "COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    assert main(["batch", str(sheet(cli, "the light")), "-o", cli.out("out")]) == 75
    assert "The worker ended as it started" in capsys.readouterr().err


def test_an_artists_job_goes_first(sheet_bench: Bench) -> None:
    # The first shot waits until the artist's job is there; that one, alone so long, until the shot is seen to be over.
    sheet_bench.at(0, "hold")
    sheet_bench.at(FRAMES, "hold")
    order: list[str] = []
    submitted = threading.Event()

    def on_change(state: ShotState) -> None:
        if state.state == "running" and not submitted.is_set():
            submitted.set()
            artist = sheet_bench.client("artist")
            job = sheet_bench.submit(artist, sheet_bench.job("own", frames=FRAMES + 1), follow=False)
            until(lambda: artist.call(artist.status(job)).position == 1)
            sheet_bench.release()
        if state.over:
            order.append(state.job.shot)
            done = (sheet_bench.root / "own" / "manifest.json").exists()
            order.append(f"artist {done}")
            if state.job.shot == "s0":
                sheet_bench.release()

    run(sheet_bench, sheet(sheet_bench, "the light", "the dark", "the light"), on_change=on_change)
    assert order[:4] == ["s0", "artist False", "s1", "artist True"]


def test_a_score_that_is_too_low_fails_the_shot_and_keeps_its_results(
    cli: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = sheet(cli, "the light", "nothing"), cli.root / "out"
    assert main(["batch", str(path), "-o", str(out), "--fail-under", "0"]) == 0
    capsys.readouterr()
    score = json.loads((out / "s0" / "qc.json").read_text())["objects"][0]["score"]
    # The disc is cut by no glitch, so that only a bar above any score can fail it.
    assert score < 1.0
    assert main(["batch", str(path), "-o", str(out), "--fail-under", "1"]) == 3
    told = capsys.readouterr().out
    assert "s0: failed. Below 1: " in told
    assert (out / "s0" / "manifest.json").exists()
    with (out / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["score"] == f"{score:.2f}"
    assert [row["score"] for row in rows if row["object"] == "thing"][1] == ""
