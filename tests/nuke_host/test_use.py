"""What a compositor does with the node, and what goes wrong, against a worker with a toy engine."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sa2va_nuke import actions, batch, jobs, knobs
from sa2va_plugin import connection
from sa2va_plugin.errors import WorkerError

from tests.worker.bench import TOY_WORKER, Bench

from .nuke_under_test import NukeUnderTest


@pytest.fixture
def host(fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NukeUnderTest]:
    """A saved script: a Read of four frames, and a Sa2VA node on it."""
    bench = Bench(tmp_path)
    monkeypatch.setenv("SA2VA_TEST_CONTROL", str(bench.control))
    monkeypatch.setattr(jobs, "new_client", jobs.new_client)  # put back afterwards
    made = NukeUnderTest(bench.folder, TOY_WORKER)
    made.fill_in(bench.plate(4), "light", "the light", (tmp_path / "mattes").as_posix(), "brightness")
    yield made
    made.close()
    bench.close()


def until(host: NukeUnderTest, reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, host.shown
        host.tick()
        time.sleep(0.01)


def run(host: NukeUnderTest) -> None:
    host.press_run()
    until(host, lambda: not host.busy)


def job_of(host: NukeUnderTest, version: str = "v001") -> dict[str, Any]:
    return json.loads((Path(knobs.path(host.node, "output")) / version / "manifest.json").read_text("utf-8"))["job"]


def slow(tmp_path: Path) -> None:
    (tmp_path / "control" / "delay").write_text("0.1")


# Results


def test_before_the_first_run_the_node_is_its_input(host: NukeUnderTest) -> None:
    output: Any = host.node.node("Output1")
    assert output.input(0).name() == "Input1"


def test_a_new_node_is_fed_by_what_is_selected(host: NukeUnderTest, fake: Any) -> None:
    assert host.node.input(0) is host.read
    assert [node.name() for node in fake.selectedNodes()] == ["Sa2VA1"]
    host.node.setSelected(False)
    alone = actions.create()
    assert (alone.name(), alone.input(0)) == ("Sa2VA2", None)


def test_mattes_come_as_layers_by_a_raw_read_and_a_copy(host: NukeUnderTest) -> None:
    run(host)
    node: Any = host.node
    read, copy, premult, output = (node.node(n) for n in ("Mattes", "Copy1", "Premult1", "Output1"))
    assert output.input(0) is premult
    assert premult.input(0) is copy
    assert [copy.input(0).name(), copy.input(1).name()] == ["Input1", "Mattes"], "B is the plate, A the mattes"
    assert [copy[n].value() for n in ("from0", "to0", "from1", "to1", "from2")] == [
        "rgba.alpha",
        "rgba.alpha",
        "light.alpha",
        "light.alpha",
        "none",
    ]
    shown = {n: read[n].value() for n in ("first", "last", "before", "after", "on_error", "raw", "origset")}
    assert shown == {
        "first": 1001,
        "last": 1004,
        "before": "black",
        "after": "black",
        "on_error": "black",
        "raw": True,
        "origset": True,
    }
    assert premult["disable"]._expression == "!parent.premult"
    assert host.shown == "Done: frames 1001-1004.\nlight: found."
    job = job_of(host)
    assert (job["shot"]["colour_space"], job["shot"]["range"]) == ("sRGB", [1001, 1004])


def test_many_objects_take_four_layers_a_copy(host: NukeUnderTest) -> None:
    host.node["objects"].setValue("\n".join(f"o{i}=the light" for i in range(6)))
    host.node["alpha"].setValue(False)
    run(host)
    first, second = host.node.node("Copy1"), host.node.node("Copy2")
    assert first is not None
    assert second is not None
    assert [second["to0"].value(), second["to1"].value(), second["to2"].value()] == ["o4.alpha", "o5.alpha", "none"]
    assert second.input(0) is first
    assert host.node.node("Copy3") is None
    host.node["objects"].setValue("light=the light")
    run(host)
    assert host.node.node("Copy2") is None, "a later run leaves nothing of an earlier one"


def test_a_new_run_never_writes_where_a_read_looks(host: NukeUnderTest) -> None:
    run(host)
    first = host.mattes[0]
    run(host)
    assert "/v001/" in first
    assert "/v002/" in host.mattes[0]
    assert len(host.node.nodes()) == 5


def test_files_only_wires_nothing(host: NukeUnderTest) -> None:
    host.node["result"].setValue("files only")
    run(host)
    assert host.mattes == []
    assert knobs.path(host.node, "run").endswith("/v001")
    host.node["result"].setValue("layers")
    host.press("use_run")
    assert host.mattes, "the same run, wired in later"


def test_a_cryptomatte_is_read_beside_the_node(host: NukeUnderTest, fake: Any) -> None:
    host.node["result"].setValue("layers + Cryptomatte")
    run(host)
    run(host)
    read = fake.toNode("Sa2VA1_crypto")
    assert read["raw"].value()
    assert "/v002/cryptomatte/" in read["file"].value()
    assert fake.toNode("Sa2VA1_crypto1") is None


def test_rendering_needs_nothing_of_ours(host: NukeUnderTest, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without the package, buttons say so and opening a script is silent."""
    run(host)
    monkeypatch.setitem(sys.modules, "sa2va_nuke", None)
    on_create: Any = host.node["onCreate"]
    on_create.execute()
    assert fake._STATE.messages == []
    host.press("generate")
    assert "not installed" in fake._STATE.messages[0]
    classes = {node.Class() for node in host.node.nodes()}
    assert classes == {"Input", "Output", "Read", "Copy", "Premult"}


# The plate


def test_tcl_in_the_plates_path_and_brackets_in_folders(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    plate = Path(knobs.text(host.read, "file"))
    fake._STATE.environment["PLATES"] = plate.parent.as_posix()
    host.read["file"].setValue("[getenv PLATES]/" + plate.name)
    host.node["output"].setValue(tmp_path.as_posix() + "/shots \\[wip\\]/\\$x")
    run(host)
    assert job_of(host)["shot"]["path"] == plate.as_posix()
    inside: Any = host.node.node("Mattes")
    assert "/shots \\[wip\\]/\\$x/v001/" in inside["file"].value(), "Nuke must not evaluate it"
    assert Path(host.mattes[0].replace("####", "1001")).is_file()


def test_a_plate_in_views(host: NukeUnderTest, fake: Any) -> None:
    plate = Path(knobs.text(host.read, "file"))
    plate.parent.rename(plate.parent.with_name("left"))
    host.read["file"].setValue((plate.parent.with_name("%V") / plate.name).as_posix())
    fake._STATE.views = ["left", "right"]
    run(host)
    assert job_of(host)["shot"]["view"] == "left"
    host.node["view"].setValue("middle")
    host.press_run()
    assert "no view 'middle'" in host.shown


def test_proxy_mode_is_left_out_of_it_and_put_back(host: NukeUnderTest, fake: Any) -> None:
    fake.root()["proxy"].setValue(True)
    run(host)
    assert host.mattes
    assert fake.root()["proxy"].value() is True


def test_dots_are_seen_through(host: NukeUnderTest, fake: Any) -> None:
    dot = fake.nodes.Dot(inputs=[host.read])
    host.node.setInput(0, dot)
    run(host)
    assert host.mattes
    assert fake._STATE.executed == []


def write_half(path: str, frame: int) -> None:
    import OpenEXR

    picture = np.full((54, 96, 3), 0.01, np.float32)
    cv2.circle(picture, (20 + frame - 1001, 27), 12, (0.9, 0.9, 0.9), -1)
    header = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": picture.astype(np.float16)}).write(path)


def test_an_input_with_effects_is_rendered_as_linear_half(host: NukeUnderTest, fake: Any) -> None:
    grade = fake.nodes.Grade(inputs=[host.read])
    host.node.setInput(0, grade)
    fake._STATE.render = write_half
    fake.root()["proxy"].setValue(True)
    fake.root().setModified(False)
    nodes = {node.name() for node in fake.allNodes()}
    host.press_run()
    assert fake._STATE.modified is True, "the job's id is worth saving"
    ((path, first, last, step, views, proxy),) = fake._STATE.executed
    assert (first, last, step, views, proxy) == (1001, 1004, 1, ["main"], False)
    assert {node.name() for node in fake.allNodes()} == nodes, "no Write stays"
    until(host, lambda: not host.busy)
    assert host.shown.startswith("Done")
    job = job_of(host)
    assert (job["shot"]["path"], job["shot"]["colour_space"]) == (path, "linear")
    assert not Path(path).parent.exists(), "what was rendered for the worker is cleared"
    assert "Sa2VA1_mattes" in host.mattes[0]


def test_a_cancelled_render_leaves_no_trace(host: NukeUnderTest, fake: Any) -> None:
    host.node.setInput(0, fake.nodes.Grade(inputs=[host.read]))

    def stopped(path: str, frame: int) -> None:
        raise RuntimeError("Cancelled")

    fake._STATE.render = stopped
    fake.root().setModified(False)
    host.press_run()
    assert "cancelled" in host.shown
    assert not host.busy
    assert fake._STATE.modified is False
    assert not [node for node in fake.allNodes() if node.Class() == "Write"]


def test_an_input_that_nuke_cannot_render(host: NukeUnderTest, fake: Any) -> None:
    host.node.setInput(0, fake.nodes.Grade(inputs=[host.read]))

    def offline(path: str, frame: int) -> None:
        raise RuntimeError("Plate: no such file")

    fake._STATE.render = offline
    host.press_run()
    assert "no such file" in host.shown


# Bad input


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


# Threads, and nodes that go away


def test_a_node_that_is_renamed_meanwhile_gets_its_mattes(host: NukeUnderTest, tmp_path: Path) -> None:
    slow(tmp_path)
    host.press_run()
    until(host, lambda: " of 4" in host.shown)
    host.node.setName("hero_mattes")
    until(host, lambda: not host.busy)
    assert host.mattes


def test_a_node_that_is_deleted_meanwhile(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    slow(tmp_path)
    host.press_run()
    until(host, lambda: " of 4" in host.shown)
    fake.delete(host.node)
    until(host, lambda: not host.busy)
    assert "the Sa2VA node is gone" in fake._STATE.messages[-1].replace("The", "the")
    assert "v001" in fake._STATE.messages[-1]


def test_a_script_that_is_closed_and_opened_again_in_one_nuke(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    slow(tmp_path)
    host.press_run()
    until(host, lambda: " of 4" in host.shown)
    fake.scriptSaveAs(str(host._script), 1)
    fake.scriptClear()
    host.open()
    assert host.busy
    until(host, lambda: not host.busy)
    assert host.mattes
    assert fake._STATE.messages == [], "nobody says that the node is gone"


def test_without_a_window_a_lost_worker_is_reached_for_again(
    host: NukeUnderTest, fake: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow(tmp_path)
    host.node["objects"].setValue("light=the light")
    fake.scriptSaveAs(str(host._script), 1)
    fake._reset(gui=False)
    killed: list[int] = []

    def kill() -> None:
        folder = tmp_path / "worker"
        while len(list((tmp_path / "mattes").rglob("*.exr"))) < 1:
            time.sleep(0.02)
        found = connection.read_connection(str(folder))
        assert found is not None
        killed.append(found.pid)
        os.kill(found.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    assert batch.main([str(host._script)]) == 0
    thread.join()
    said = capsys.readouterr().out
    assert killed
    assert "has ended" in said
    assert "1 of 1 nodes" in said
    fake._reset()


def test_nukes_own_progress_bar_cancels(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    slow(tmp_path)
    host.press_run()
    until(host, lambda: " of 4" in host.shown)
    (task,) = fake._STATE.tasks
    task._cancelled = True
    until(host, lambda: not host.busy)
    assert host.mattes == []
    assert task._said
    run(host)
    assert "/v001/" in host.mattes[0], "the same job goes on in its folder"


def test_the_status_line_is_no_edit(host: NukeUnderTest, fake: Any) -> None:
    fake.root().setModified(False)
    undos = fake._STATE.undos
    knobs.show(host.node, "hello")
    assert (fake._STATE.modified, fake._STATE.undos) == (False, undos)


def test_cancel_without_a_job(host: NukeUnderTest) -> None:
    host.press_cancel()
    assert "no job" in host.shown


def test_a_copy_of_a_node_leaves_the_job_to_the_original(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    slow(tmp_path)
    host.press_run()
    until(host, lambda: " of 4" in host.shown)
    host.node.setSelected(False)
    copy: Any = knobs.create()
    for name in ("sa2va_id", "job", "pending"):
        copy[name].setValue(knobs.text(host.node, name))
    actions.opened(copy)
    assert knobs.text(copy, "sa2va_id") != knobs.text(host.node, "sa2va_id")
    assert knobs.text(copy, "job") == ""
    assert len(actions.running) == 1
    until(host, lambda: not host.busy)
    assert host.mattes
    assert copy.node("Mattes") is None


def test_indie_limits_are_kept(host: NukeUnderTest, fake: Any) -> None:
    """These editions let Python touch ten nodes: nothing walks over them, and a node has few inside."""
    fake.env["indie"] = True
    run(host)
    assert len(host.node.nodes()) + 2 <= 10


def test_layers_are_such_that_nuke_shows_each(host: NukeUnderTest, fake: Any) -> None:
    """One part, bare A, and for each object a layer of its own with a legal name that is none of Nuke's."""
    import OpenEXR

    typed = ["2nd bag", "alpha", "RGBA", "other", "depth", "袋", "a.b", "x" * 60, "mask"]
    host.node["objects"].setValue("\n".join(f"{name}=the light" for name in typed))
    run(host)
    file = OpenEXR.File(host.mattes[0].replace("####", "1001"), separate_channels=True)
    assert len(file.parts) == 1
    channels = set(file.channels())
    assert "A" in channels
    layers = {channel.partition(".")[0] for channel in channels if "." in channel}
    assert channels - {"A"} == {f"{layer}.A" for layer in layers}, "Nuke reads A of a layer as its alpha"
    assert len(layers) == len(typed)
    for layer in layers:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,39}", layer)
        assert layer.lower() not in {"rgba", "rgb", "alpha", "depth", "other", "mask", "motion", "forward", "backward"}
    wired = {n[f"to{i}"].value() for n in host.node.nodes() if n.Class() == "Copy" for i in range(4)}
    assert wired - {"none", "rgba.alpha"} == {f"{layer}.alpha" for layer in layers}
    assert layers <= set(fake.layers())


def test_a_folder_with_a_token_is_refused_though_evaluating_hides_it(host: NukeUnderTest) -> None:
    host.node["output"].setValue("/shots/####/mattes")
    host.press_run()
    assert "/shots/####/mattes" in host.shown


def test_views_and_expressions_together_are_rendered(host: NukeUnderTest, fake: Any) -> None:
    """Nuke would put the viewer's view into the path."""
    fake._STATE.views = ["left", "right"]
    host.read["file"].setValue("[getenv PLATES]/%V/sh.####.exr")
    fake._STATE.render = write_half
    host.press_run()
    assert fake._STATE.executed[0][4] == ["left"]
    until(host, lambda: not host.busy)
