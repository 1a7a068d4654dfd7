"""What others fell into in Nuke, where no other test of this folder is about it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from sa2va_nuke import batch, knobs, scene

from .conftest import HOST
from .nuke_under_test import NukeUnderTest, run


def test_a_button_runs_inside_the_group_and_yet_nodes_come_beside_it(host: NukeUnderTest, fake: Any) -> None:
    host.node["result"].setValue("layers + Cryptomatte")
    run(host)
    fake.delete(fake.toNode("Sa2VA1_crypto"))
    host.press("use_run")
    assert fake.toNode("Sa2VA1_crypto").parent() is fake.root()
    assert host.node.node("Sa2VA1_crypto") is None


def test_bringing_mattes_in_is_one_step_of_undo(host: NukeUnderTest, fake: Any) -> None:
    run(host)
    before = fake._STATE.undos
    host.press("use_run")
    assert fake._STATE.undos == before + 1


def test_colour_knobs_that_a_version_lacks(fake: Any) -> None:
    """Which of them Root has differs from version to version: none is asked for by [], which raises."""
    for name in (
        "colorManagement",
        "OCIO_config",
        "customOCIOConfigPath",
        "OCIOConfigPath",
        "workingSpaceLUT",
        "int8Lut",
    ):
        del fake.root()._knobs[name]
    assert scene.colour() == scene.reads.Colour()


def test_ocio_of_the_environment_wins_over_the_scripts_knobs(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake.root()
    root["colorManagement"].setValue("OCIO")
    root["OCIO_config"].setValue("custom")
    root["customOCIOConfigPath"].setValue("/show/config.ocio")
    root["workingSpaceLUT"].setValue("scene_linear")
    assert scene.colour().config == "/show/config.ocio"
    with monkeypatch.context() as patched:
        patched.setenv("OCIO", "/site/config.ocio")
        assert scene.colour() == scene.reads.Colour(True, "", "scene_linear"), "the worker is told $OCIO by itself"


def test_nuke_renders_one_thing_at_a_time(host: NukeUnderTest, fake: Any) -> None:
    host.node.setInput(0, fake.nodes.Grade(inputs=[host.read]))
    fake._STATE.executing = True
    host.press_run()
    assert "Generate again when it has ended" in host.shown
    assert not host.busy
    assert knobs.text(host.node, "pending") == ""


@pytest.mark.parametrize("like_a_range", ["1001-1010", "1001", "1-10x2"])
def test_nuke_takes_a_last_argument_that_looks_like_a_range(like_a_range: str) -> None:
    """So the batch has none: one that comes through is an error, not a range that Nuke may have eaten."""
    with pytest.raises(SystemExit) as ended:
        batch.main(["shot.nk", like_a_range])
    assert ended.value.code == 2


def test_no_callback_for_all_nodes_no_qt_no_walk_in_the_window() -> None:
    """Global callbacks slow every script down, Qt changed its name with Nuke 16, Indie stops at ten nodes."""
    called: dict[str, set[str]] = {}
    imported = set()
    for path in Path(HOST).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nuke":
                called.setdefault(node.attr, set()).add(path.name)
            elif isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    assert len(called) > 30
    assert not [name for name in called if name.startswith(("addKnob", "addOn", "addUpdate", "addBefore", "addAfter"))]
    assert called["allNodes"] == {"batch.py"}, "which refuses to in Indie and Non-commercial"
    assert not imported & {"PySide2", "PySide6", "PyQt5", "Qt", "numpy", "nukescripts"}
