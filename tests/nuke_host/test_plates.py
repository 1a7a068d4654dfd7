"""Which pixels go to the worker: by path, or rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
import pytest
from sa2va_nuke import knobs

from .nuke_under_test import NukeUnderTest, job_of, run, until


def write_half(path: str, frame: int) -> None:
    picture = np.full((54, 96, 3), 0.01, np.float32)
    cv2.circle(picture, (20 + frame - 1001, 27), 12, (0.9, 0.9, 0.9), -1)
    header = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": picture.astype(np.float16)}).write(path)


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


def test_a_graph_scope_variable_in_paths(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    """Of Nuke 16 and later. What it stands for goes to the worker, and mattes of each shot have their own folder."""
    plate = Path(knobs.text(host.read, "file"))
    fake._STATE.variables = {"shot": plate.parent.name}
    host.read["file"].setValue((plate.parent.parent / "%{shot}" / plate.name).as_posix())
    host.node["output"].setValue(tmp_path.as_posix() + "/mattes/%shot")
    run(host)
    assert job_of(host)["shot"]["path"] == plate.as_posix()
    assert f"/mattes/{plate.parent.name}/v001/" in host.mattes[0]
    assert fake._STATE.executed == []
    # One that this Nuke has no value for is left as it stands, and only Nuke can say what becomes of it.
    fake._STATE.variables, fake._STATE.render = {}, write_half
    host.node["output"].setValue(tmp_path.as_posix() + "/more")
    run(host)
    assert len(fake._STATE.executed) == 1
    assert host.mattes


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


def test_an_input_with_effects_is_rendered_as_linear_half(host: NukeUnderTest, fake: Any) -> None:
    grade = fake.nodes.Grade(inputs=[host.read])
    host.node.setInput(0, grade)
    fake._STATE.render = write_half
    fake.root()["proxy"].setValue(True)
    fake.root().setModified(False)
    nodes = {node.name() for node in fake.allNodes()}
    selected = [node.name() for node in fake.selectedNodes()]
    host.press_run()
    assert [node.name() for node in fake.selectedNodes()] == selected
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


def test_the_second_view_is_rendered_though_a_new_write_has_another(host: NukeUnderTest, fake: Any) -> None:
    fake._STATE.views = ["left", "right"]
    host.node.setInput(0, fake.nodes.Grade(inputs=[host.read]))
    host.node["view"].setValue("right")
    fake._STATE.render = write_half
    run(host)
    assert [views for *_, views, _ in fake._STATE.executed] == [["right"]]
    assert host.mattes


@pytest.mark.parametrize("kind", ["RuntimeError", "CancelledError"])
def test_a_cancelled_render_leaves_no_trace(host: NukeUnderTest, fake: Any, kind: str) -> None:
    """Foundry's scripts know it by a RuntimeError's message; other calls of Nuke's have a class for it."""
    host.node.setInput(0, fake.nodes.Grade(inputs=[host.read]))

    def stopped(path: str, frame: int) -> None:
        raise RuntimeError("Cancelled") if kind == "RuntimeError" else fake.CancelledError()

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


def test_views_and_expressions_together(host: NukeUnderTest, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """People's scripts rely on it that nuke.filename() leaves %V. Were the viewer's view put in, Nuke renders."""
    plate = Path(knobs.text(host.read, "file"))
    plate.parent.rename(plate.parent.with_name("left"))
    fake._STATE.views = ["left", "right"]
    fake._STATE.environment["PLATES"] = plate.parent.parent.as_posix()
    host.read["file"].setValue(f"[getenv PLATES]/%V/{plate.name}")
    run(host)
    assert job_of(host)["shot"]["path"] == plate.parent.with_name("%V").as_posix() + f"/{plate.name}"
    assert job_of(host)["shot"]["view"] == "left"
    assert fake._STATE.executed == []
    monkeypatch.setattr(fake, "filename", lambda node: f"/plates/right/{plate.name}")
    fake._STATE.render = write_half
    host.press_run()
    assert fake._STATE.executed[0][4] == ["left"]
    until(host, lambda: not host.busy)


def test_the_studios_filename_filters(host: NukeUnderTest, fake: Any, tmp_path: Path) -> None:
    """A path of another system in a knob is one of this machine for the worker."""
    plate = Path(knobs.text(host.read, "file"))
    fake._STATE.filters = {"P:/plates": plate.parent.as_posix(), "P:/mattes": (tmp_path / "here").as_posix()}
    host.read["file"].setValue(f"P:/plates/{plate.name}")
    host.node["output"].setValue("P:/mattes")
    run(host)
    assert host.shown.startswith("Done"), host.shown
    assert job_of(host)["shot"]["path"] == plate.as_posix()
    assert host.mattes[0].startswith(f"{(tmp_path / 'here').as_posix()}/v001/")
