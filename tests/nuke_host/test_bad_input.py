"""What a compositor can do wrong, and what the node says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sa2va_nuke import jobs
from sa2va_plugin.errors import WorkerError

from .nuke_under_test import NukeUnderTest, run


def test_nothing_connected(host: NukeUnderTest, fake: Any) -> None:
    host.node.setInput(0, None)
    host.press_run()
    assert "Connect the plate" in host.shown
    assert fake._STATE.messages == [host.shown]


def test_a_disabled_read(host: NukeUnderTest) -> None:
    host.read["disable"].setValue(True)
    host.press_run()
    assert "disabled" in host.shown


def test_offline_footage(host: NukeUnderTest) -> None:
    host.read["file"].setValue("//server/gone/plate.####.png")
    run(host)
    assert "//server/gone" in host.shown
    assert host.mattes == []


@pytest.mark.parametrize("knob", ["objects", "output"])
def test_knobs_emptied(host: NukeUnderTest, fake: Any, knob: str) -> None:
    fake._STATE.script = ""
    host.node[knob].setValue("")
    host.press_run()
    assert ("no object" if knob == "objects" else "not saved") in host.shown
    fake._STATE.script = str(host._script)


def test_a_range_that_ends_before_it_starts(host: NukeUnderTest) -> None:
    host.node["range"].setValue("custom")
    host.node["first"].setValue(1004)
    host.node["last"].setValue(1001)
    host.press_run()
    assert "1001-1004" in host.shown


def test_a_folder_without_a_run(host: NukeUnderTest, tmp_path: Path) -> None:
    host.press("use_run")
    assert "No run is chosen" in host.shown
    host.node["run"].setValue(tmp_path.as_posix())
    host.press("use_run")
    assert "no finished run" in host.shown


def test_no_worker_is_set_up(host: NukeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from sa2va_plugin import launcher

    def missing() -> list[str]:
        raise WorkerError("Sa2VA Roto is not set up on this machine.", "Run its installer.")

    monkeypatch.setattr(launcher, "worker_command", missing)
    from sa2va_plugin.client import Client

    jobs.new_client = lambda: Client("Nuke", str(host._script.parent / "none"))
    run(host)
    assert "not set up" in host.shown


def test_a_folder_with_a_token_is_refused_though_evaluating_hides_it(host: NukeUnderTest) -> None:
    host.node["output"].setValue("/shots/####/mattes")
    host.press_run()
    assert "/shots/####/mattes" in host.shown
