"""What a compositor can do wrong, and what the node says: what is wrong, and in a line of its own what to do next."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sa2va_nuke import jobs, knobs
from sa2va_plugin import connection
from sa2va_plugin.errors import WorkerError

from .nuke_under_test import NukeUnderTest, run, run_and_hold, until


def says(host: NukeUnderTest, wrong: str, next_step: str) -> None:
    message, _, hint = host.shown.partition("\n")
    assert wrong in message
    assert next_step in hint
    assert host.mattes == []


def test_nothing_connected(host: NukeUnderTest, fake: Any) -> None:
    host.node.setInput(0, None)
    host.press_run()
    says(host, "Nothing is connected", "Connect the plate.")
    assert fake._STATE.messages == [host.shown], "in front of the user as well"


def test_a_disabled_read(host: NukeUnderTest) -> None:
    host.read["disable"].setValue(True)
    host.press_run()
    says(host, "Plate is disabled", "Enable it")


@pytest.mark.parametrize("path", ["//server/gone/plate.####.png", "P:/gone/plate.%04d.png", "//server/gone/plate.mov"])
def test_offline_footage(host: NukeUnderTest, path: str) -> None:
    """Also of a UNC path, and of one from Windows."""
    host.read["file"].setValue(path)
    run(host)
    says(host, path.rpartition("/")[0], "The nearest that exists is ")


def test_a_read_without_a_file(host: NukeUnderTest) -> None:
    host.read["file"].setValue("")
    host.press_run()
    says(host, "names no file", "Choose one")


def test_objects_emptied(host: NukeUnderTest) -> None:
    host.node["objects"].setValue(" \n")
    host.press_run()
    says(host, "names no object", "Type one a line")


@pytest.mark.parametrize("typed", ["", "mattes", "[file dirname [value root.name]]/mattes"])
def test_a_script_that_is_not_saved(host: NukeUnderTest, fake: Any, typed: str) -> None:
    """With no folder, with one beside the script, and with the expression that people use for that."""
    fake._STATE.script = ""
    host.node["output"].setValue(typed)
    host.press_run()
    fake._STATE.script = str(host._script)
    says(host, "script is not saved", "Save it")


@pytest.mark.parametrize("config", ["custom", "nuke-default"])
def test_an_ocio_configuration_without_a_path(
    host: NukeUnderTest, fake: Any, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    root = fake.root()
    root["colorManagement"].setValue("OCIO")
    root["OCIO_config"].setValue(config)
    root["OCIOConfigPath"].setValue("")
    host.press_run()
    says(host, "its configuration has no path", "set $OCIO")
    with monkeypatch.context() as patched:
        patched.setenv("OCIO", "/gone/config.ocio")
        run(host)
    assert "/gone/config.ocio" in host.shown


def test_all_that_may_be_empty_emptied(host: NukeUnderTest) -> None:
    """Then the usual holds: the first view, the Read's colour, the engine's own weights, mattes beside the script."""
    for name in ("view", "input_colour", "model", "output", "run"):
        host.node[name].setValue("")
    run(host)
    assert host.shown.startswith("Done"), host.shown
    assert host.mattes[0].startswith(f"{host._script.parent.as_posix()}/sa2va/Sa2VA1/v001/")


def test_the_hidden_memory_of_a_job_emptied(host: NukeUnderTest) -> None:
    """As when somebody cleans a script up: the next run has a version of its own."""
    run(host)
    for name in ("job", "pending"):
        host.node[name].setValue("")
    run(host)
    assert "/v002/" in host.mattes[0]


def test_tolerance_emptied(host: NukeUnderTest) -> None:
    host.node["result"].setValue("layers + Roto")
    host.node["tolerance"].setValue(0.0)
    host.press_run()
    says(host, "cannot be fitted to 0 pixels", "Choose a tolerance")


def test_a_range_that_ends_before_it_starts(host: NukeUnderTest) -> None:
    host.node["range"].setValue("custom")
    host.node["first"].setValue(1004)
    host.node["last"].setValue(1001)
    host.press_run()
    says(host, "1004-1001", "Write it as 1001-1004.")


def test_a_folder_without_a_run(host: NukeUnderTest, tmp_path: Path) -> None:
    host.press("use_run")
    says(host, "No run is chosen", "Choose the folder of a finished run.")
    host.node["run"].setValue(tmp_path.as_posix())
    host.press("use_run")
    says(host, "no finished run", "manifest.json")


def test_a_view_that_the_script_lacks(host: NukeUnderTest, fake: Any) -> None:
    fake._STATE.views = ["left", "right"]
    host.node["view"].setValue("middle")
    host.press_run()
    says(host, "no view 'middle'", "It has: left, right.")


@pytest.mark.parametrize("typed", ["/shots/####/v001", "/shots/%V/v001", "/shots/50% grey/v001"])
def test_a_run_in_a_folder_that_no_read_could_name(host: NukeUnderTest, typed: str) -> None:
    host.node["run"].setValue(typed)
    host.press("use_run")
    says(host, typed, "without # and %")


@pytest.mark.parametrize("typed", ["/shots/####/mattes", "/shots/%04d", "/shots/%V/mattes", "/shots/%v", "/a/%{gone}"])
def test_a_folder_with_a_token_is_refused_though_evaluating_hides_it(host: NukeUnderTest, typed: str) -> None:
    host.node["output"].setValue(typed)
    host.press_run()
    says(host, typed, "without # and %")


def test_a_folder_whose_backslash_tcl_took(host: NukeUnderTest) -> None:
    host.node["output"].setValue("P:mattes")
    host.press_run()
    says(host, "P:mattes", "P:/mattes")


@pytest.mark.parametrize("knob", ["output", "model"])
def test_an_expression_that_tcl_cannot_evaluate(host: NukeUnderTest, knob: str) -> None:
    host.node[knob].setValue("/shots/[wip]/x")
    host.press_run()
    says(host, f"{knob} of Sa2VA1", "backslash")
    host.node["run"].setValue("/shots/[wip]/x")
    host.press("use_run")
    says(host, "run of Sa2VA1", "backslash")


def test_an_expression_in_the_read_that_tcl_cannot_evaluate(host: NukeUnderTest) -> None:
    host.read["file"].setValue("/plates/[wip]/sh.####.exr")
    host.press_run()
    says(host, "the file of Plate", "Mend its expression.")


def test_no_worker_is_set_up(host: NukeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from sa2va_plugin import launcher

    def missing() -> list[str]:
        raise WorkerError("Sa2VA Roto is not set up on this machine.", "Run its installer.")

    monkeypatch.setattr(launcher, "worker_command", missing)
    from sa2va_plugin.client import Client

    jobs.new_client = lambda: Client("Nuke", str(host._script.parent / "none"))
    run(host)
    says(host, "not set up", "Run its installer.")


def test_a_worker_that_is_killed(host: NukeUnderTest, tmp_path: Path) -> None:
    run_and_hold(host, tmp_path)
    found = connection.read_connection(str(tmp_path / "worker"))
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    until(host, lambda: host.offers_go_on)
    says(host, "has ended", "press Go on")
    host.press_go_on()
    until(host, lambda: not host.busy)
    assert host.mattes
    assert "found" in knobs.text(host.node, "status")
