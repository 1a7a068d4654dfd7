"""Jobs through a worker: queue, events, cancel, two clients."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import psutil
import pytest
from sa2va_plugin.errors import JobSpecError, WorkerError
from sa2va_plugin.jobspec import EngineSpec, JobSpec, ObjectSpec, Outputs, Shot
from sa2va_plugin.messages import (
    Done,
    Event,
    Failed,
    FrameReady,
    Preview,
    Progress,
    Queued,
    Started,
    Submitted,
    VerdictReached,
)

from sa2va_core.jobs.runner import run_job
from sa2va_core.models.catalogue import CATALOGUE
from tests.jobs.brightness import Brightness

from .bench import SOON, Bench, a, finish, listen, results, wait_for


def test_a_job_gives_what_the_command_line_gives_and_tells_all_in_order(bench: Bench) -> None:
    client = bench.client()
    job = bench.submit(client, bench.job("by_worker", frames=30))
    heard = [event for event in finish(client, job) if isinstance(event, Event)]
    run_job(bench.job("by_hand", frames=30), engine=Brightness())
    assert results(bench.out("by_worker")) == results(bench.out("by_hand"))

    assert [event.seq for event in heard] == list(range(1, len(heard) + 1))
    assert isinstance(heard[0], Queued)
    started = next(event for event in heard if isinstance(event, Started))
    assert (started.total, started.kept) == (30, 0)
    frames = [event for event in heard if isinstance(event, FrameReady)]
    assert [event.frame for event in frames] == list(range(1001, 1031))
    assert all(Path(path).is_file() for event in frames for path in event.paths)
    done = [event.done for event in heard if isinstance(event, Progress) and event.stage == "matting"]
    assert done == list(range(1, 31))
    verdict = next(event for event in heard if isinstance(event, VerdictReached))
    assert (verdict.object_name, verdict.state, len(verdict.frames)) == ("light", "found", 30)
    last = heard[-1]
    assert isinstance(last, Done)
    assert json.loads(Path(last.manifest).read_text())["frames"]
    status = client.call(client.status(job))
    assert (status.state, status.done, status.total, status.last) == ("done", 30, 30, len(heard))


def test_previews_are_on_disk_while_the_job_runs(bench: Bench) -> None:
    bench.delay(0.05)
    bench.at(29, "hold")
    client = bench.client()
    job = bench.submit(client, bench.job(frames=30))
    preview = listen(client, a(Preview))[-1]
    assert isinstance(preview, Preview)
    picture = Path(preview.path).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert max(struct.unpack(">II", picture[16:24])) <= 480
    assert client.call(client.status(job)).state == "running"
    client.call(client.cancel(job))


def test_two_clients_share_a_queue_and_cancel_from_either(bench: Bench) -> None:
    bench.at(10, "hold")
    one, two = bench.client("one"), bench.client("two")
    first = bench.submit(one, bench.job("first", frames=40))
    second = bench.submit(one, bench.job("second"))
    third = bench.submit(two, bench.job("third"))
    fourth = bench.submit(two, bench.job("fourth"), priority=5)
    wait_for(two, first, "running")
    places = {status.job: (status.client, status.position) for status in two.call(two.jobs()).jobs}
    assert places == {first: ("one", None), second: ("one", 2), third: ("two", 3), fourth: ("two", 1)}

    assert two.call(two.cancel(second)).state == "cancelled"
    cancelled = finish(one, second)[-1]
    assert isinstance(cancelled, Failed)
    assert cancelled.error == "Cancelled"
    two.call(two.cancel(first))
    bench.release()
    failed = finish(one, first)[-1]
    assert isinstance(failed, Failed)
    assert failed.error == "Cancelled"
    assert "go on" in failed.hint
    heard = finish(two, third)
    ends = [event.job for event in heard if isinstance(event, Done)]
    assert ends == [fourth, third], "the higher priority runs first"
    states = {status.job: status.state for status in one.call(one.jobs()).jobs}
    assert states == {first: "cancelled", second: "cancelled", third: "done", fourth: "done"}
    assert one.call(one.cancel(third)).state == "done"


def test_a_cancelled_job_goes_on_when_it_is_submitted_again(bench: Bench) -> None:
    bench.at(20, "hold")
    client = bench.client()
    job = bench.submit(client, bench.job(frames=30))
    listen(client, lambda event: isinstance(event, FrameReady) and event.frame == 1005)
    client.call(client.cancel(job))
    bench.release()
    finish(client, job)
    heard = finish(client, bench.submit(client, bench.job(frames=30)))
    started = next(event for event in heard if isinstance(event, Started))
    assert started.kept >= 5
    run_job(bench.job("by_hand", frames=30), engine=Brightness())
    assert results(bench.out("out")) == results(bench.out("by_hand"))


def test_the_engine_stays_loaded_between_jobs_and_goes_when_idle(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_IDLE", "3")
    client = bench.client()
    for name in ("first", "second"):
        finish(client, bench.submit(client, bench.job(name)))
    process = bench.engine
    assert (bench.control / "loaded").read_text() == f"{process.pid}\n"
    process.wait(SOON)
    finish(client, bench.submit(client, bench.job("third")))
    assert len((bench.control / "loaded").read_text().split()) == 2


def test_a_worker_with_nothing_to_do_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_IDLE", "3")
    client = bench.client()
    pid = bench.pid
    finish(client, bench.submit(client, bench.job(frames=4)))
    client.close()
    gone, alive = psutil.wait_procs([psutil.Process(pid)], timeout=SOON)
    assert (len(gone), alive) == (1, [])
    assert not (Path(bench.folder) / "worker.json").exists()
    assert "nothing to do" in bench.log()


def test_another_job_in_the_same_folder_is_refused_unless_asked_for(bench: Bench) -> None:
    client = bench.client()
    finish(client, bench.submit(client, bench.job()))
    other = bench.job(phrase="the dark")
    refused = finish(client, bench.submit(client, other))[-1]
    assert isinstance(refused, Failed)
    assert refused.error == "ResultError"
    reply = client.call(client.submit(other, overwrite=True))
    assert isinstance(finish(client, reply.job)[-1], Done)


def test_wrong_jobs_fail_with_their_reason_and_harm_nothing(bench: Bench) -> None:
    client = bench.client()
    missing = finish(client, bench.submit(client, bench.job("a", plate="/nowhere/plate.####.exr")))[-1]
    assert isinstance(missing, Failed)
    assert missing.error == "MediaError"
    assert missing.hint
    phrase = finish(client, bench.submit(client, bench.job("b", phrase="the moon")))[-1]
    assert isinstance(phrase, Failed)
    assert phrase.error == "PhraseError"
    unknown = JobSpec(
        Shot(bench.plate(4)), (ObjectSpec("x", "x"),), Outputs(bench.out("c")), EngineSpec("no such engine")
    )
    engine = finish(client, bench.submit(client, unknown))[-1]
    assert isinstance(engine, Failed)
    assert engine.error == "EngineError"
    assert isinstance(finish(client, bench.submit(client, bench.job("d")))[-1], Done)


def test_what_is_no_job_is_refused_at_once(bench: Bench) -> None:
    client = bench.client()
    good = bench.job().to_dict()

    def submit(spec: object, **params: object) -> Submitted:
        return client.call(client._request("submit", {"spec": spec, **params}, Submitted))

    with pytest.raises(JobSpecError, match="version"):
        submit({})
    with pytest.raises(JobSpecError, match="no field colour"):
        submit({**good, "colour": "red"})
    with pytest.raises(WorkerError, match="ill-typed"):
        submit([])
    with pytest.raises(JobSpecError, match="priority"):
        submit(good, priority=10**9)
    with pytest.raises(JobSpecError, match="cannot tell where"):
        submit({**good, "shot": {**good["shot"], "path": "plates/a.####.exr"}})
    with pytest.raises(WorkerError, match="no job"):
        client.call(client.status("0" * 12))
    with pytest.raises(WorkerError, match="no job"):
        client.call(client.cancel("../../etc"))
    assert client.call(client.jobs()).jobs == ()


def test_the_engines_are_described(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path / "no models"))
    client = bench.client()
    found = client.call(client.engines())
    engines = {item.name: item for item in found.engines}
    assert engines["brightness"].state == "ready"
    assert engines["starter"].state.startswith("Models are missing: ")
    assert "no models" in (engines["sa2va"].missing or "")
    assert [model.name for model in found.models] == list(CATALOGUE)
