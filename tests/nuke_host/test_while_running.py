"""Threads, and nodes and scripts that go away while a job runs."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sa2va_nuke import actions, batch, knobs
from sa2va_plugin import connection
from sa2va_plugin.conformance.suite import written

from .nuke_under_test import NukeUnderTest, release, run, run_and_hold, until


@pytest.fixture
def terminal(host: NukeUnderTest, fake: Any, tmp_path: Path) -> Iterator[NukeUnderTest]:
    """A saved script in ``nuke -t``. Before its last frame, the engine of its job waits for the worker's death."""
    (tmp_path / "control" / "at-3").write_text("hold")
    fake.scriptSaveAs(str(host._script), 1)
    fake._reset(gui=False)
    yield host
    fake._reset()


def test_a_node_that_is_renamed_meanwhile_gets_its_mattes(host: NukeUnderTest, tmp_path: Path) -> None:
    run_and_hold(host, tmp_path)
    host.node.setName("hero_mattes")
    release(tmp_path)
    until(host, lambda: not host.busy)
    assert host.mattes


def test_a_node_that_is_deleted_meanwhile(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    run_and_hold(host, tmp_path)
    fake.delete(host.node)
    release(tmp_path)
    until(host, lambda: not host.busy)
    assert "the Sa2VA node is gone" in fake._STATE.messages[-1].replace("The", "the")
    assert "v001" in fake._STATE.messages[-1]


def test_a_script_that_is_closed_and_opened_again_in_one_nuke(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    run_and_hold(host, tmp_path)
    fake.scriptSaveAs(str(host._script), 1)
    fake.scriptClear()
    host.open()
    assert host.busy
    release(tmp_path)
    until(host, lambda: not host.busy)
    assert host.mattes
    assert fake._STATE.messages == [], "nobody says that the node is gone"


def test_without_a_window_a_lost_worker_is_reached_for_again(
    terminal: NukeUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed: list[int] = []

    def kill() -> None:
        folder = tmp_path / "worker"
        while not written(str(tmp_path / "mattes")):
            time.sleep(0.02)
        found = connection.read_connection(str(folder))
        assert found is not None
        killed.append(found.pid)
        os.kill(found.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    assert batch.main([str(terminal._script)]) == 0
    thread.join()
    said = capsys.readouterr().out
    assert killed
    assert "has ended" in said
    assert "1 of 1 nodes" in said


def test_without_a_window_a_worker_that_dies_again_and_again_is_given_up(
    terminal: NukeUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over = threading.Event()

    def kill_all() -> None:
        killed = set()
        while not over.is_set():
            found = connection.read_connection(str(tmp_path / "worker"))
            if found is not None and found.pid not in killed and written(str(tmp_path / "mattes")):
                killed.add(found.pid)
                (tmp_path / "control" / "delay").write_text("5")  # no later job is done before its worker is killed
                with contextlib.suppress(ProcessLookupError):
                    os.kill(found.pid, signal.SIGKILL)
            time.sleep(0.02)

    thread = threading.Thread(target=kill_all)
    thread.start()
    try:
        assert batch.main([str(terminal._script)]) == 75
    finally:
        over.set()
        thread.join()
    assert "0 of 1 nodes" in capsys.readouterr().out


def test_nukes_own_progress_bar_cancels(
    host: NukeUnderTest, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANCEL_GRACE", "0.5")  # its engine is never released
    run_and_hold(host, tmp_path)
    (task,) = fake._STATE.tasks
    task._cancelled = True
    until(host, lambda: not host.busy)
    assert host.mattes == []
    assert task._said
    del task
    gc.collect()
    assert not list(fake._STATE.tasks), "Nuke takes the bar away when its task is gone"
    run(host)
    assert "/v001/" in host.mattes[0], "the same job goes on in its folder"


def test_verdicts_and_a_picture_come_while_it_runs_and_the_picture_goes(
    host: NukeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, pictures = [], []

    def show(node: Any, said: str, real: Any = knobs.show) -> None:
        real(node, said)
        texts.append(host.shown)

    def show_preview(node: Any, file: str, real: Any = knobs.show_preview) -> None:
        real(node, file)
        pictures.append(knobs.text(node, "preview"))

    monkeypatch.setattr(knobs, "show", show)
    monkeypatch.setattr(knobs, "show_preview", show_preview)
    run(host)
    assert [text for text in texts if "light: found." in text and " of 4" in text]
    *during, after = pictures
    assert [picture for picture in during if re.fullmatch(r'<img src=".*\.png">', picture)]
    assert after == " ", "Nuke draws a text knob without text as a line"


def test_the_log_is_shown_with_its_path(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    host.press("log")
    assert "Nothing is written there yet" in fake._STATE.messages[-1]
    run(host)
    host.press("log")
    said = fake._STATE.messages[-1]
    assert str(connection.log_file(str(tmp_path / "worker"))) in said
    assert "<" not in said
    assert len(said.splitlines()) > 3


def test_the_status_line_is_no_edit(host: NukeUnderTest, fake: Any) -> None:
    fake.root().setModified(False)
    undos = fake._STATE.undos
    knobs.show(host.node, "hello")
    assert (fake._STATE.modified, fake._STATE.undos) == (False, undos)


def test_cancel_without_a_job(host: NukeUnderTest) -> None:
    host.press_cancel()
    assert "no job" in host.shown


def test_a_copy_of_a_node_leaves_the_job_to_the_original(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    run_and_hold(host, tmp_path)
    host.node.setSelected(False)
    copy: Any = knobs.create()
    for name in ("sa2va_id", "job", "pending"):
        copy[name].setValue(knobs.text(host.node, name))
    actions.opened(copy)
    assert knobs.text(copy, "sa2va_id") != knobs.text(host.node, "sa2va_id")
    assert knobs.text(copy, "job") == ""
    assert len(actions.running) == 1
    release(tmp_path)
    until(host, lambda: not host.busy)
    assert host.mattes
    assert copy.node("Mattes") is None


def test_indie_limits_are_kept(host: NukeUnderTest, fake: Any) -> None:
    """These editions let Python touch ten nodes: nothing walks over them, and a node has few inside."""
    fake.env["indie"] = True
    run(host)
    assert len(host.node.nodes()) + 2 <= 10
