"""What a finished job leaves in the script, against a worker with a toy engine."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from sa2va_nuke import actions, knobs

from .nuke_under_test import NukeUnderTest, job_of, run
from .test_layers import nuke_name


def test_before_the_first_run_the_node_is_its_input(host: NukeUnderTest) -> None:
    output: Any = host.node.node("Output1")
    assert output.input(0).name() == "Input1"


def test_a_new_node_is_fed_by_what_is_selected(host: NukeUnderTest, fake: Any) -> None:
    assert host.node.input(0) is host.read
    assert [node.name() for node in fake.selectedNodes()] == ["Sa2VA1"]
    host.node.setSelected(False)
    alone = actions.create()
    assert (alone.name(), alone.input(0)) == ("Sa2VA2", None)


def test_a_new_node_comes_where_the_artist_works(
    host: NukeUnderTest, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a group whose view was clicked last, on what is selected there; Nuke 13 has no such views."""
    group = fake.nodes.Group(name="Shot")
    with group:
        fake.nodes.Grade(name="Grade1").setSelected(True)
    fake._STATE.clicked = group
    made = actions.create()
    assert (made.fullName(), made.input(0)) == ("Shot.Sa2VA1", group.node("Grade1"))
    monkeypatch.delattr(fake, "lastHitGroup")
    assert actions.create().fullName() == "Sa2VA2"


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


def test_a_layer_of_that_name_is_in_the_script_already(host: NukeUnderTest, fake: Any) -> None:
    """With the colours of another file: it gets our channel beside them."""
    fake.Layer("light", ["light.red", "light.green", "light.blue"])
    run(host)
    copy: Any = host.node.node("Copy1")
    assert copy["to1"].value() == "light.alpha"
    assert fake._STATE.layers["light"] == ["light.red", "light.green", "light.blue", "light.alpha"]


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


def test_any_run_of_the_node_can_be_chosen_again(host: NukeUnderTest, fake: Any) -> None:
    host.press("history")
    assert "no finished run" in host.shown
    run(host)
    host.node["objects"].setValue("lamp=the light")
    run(host)
    (Path(knobs.path(host.node, "output")) / "v003").mkdir()
    fake._STATE.answer = 1
    host.press("history")
    assert fake._STATE.asked == [["v002: lamp, 1001-1004", "v001: light, 1001-1004"]], "newest first, finished ones"
    assert "/v001/" in host.mattes[0]
    assert host.shown.endswith("light: found.")
    fake._STATE.answer = None
    host.press("history")
    assert "/v001/" in host.mattes[0], "cancelled: nothing happens"


def test_a_cryptomatte_is_read_beside_the_node(host: NukeUnderTest, fake: Any) -> None:
    host.node["result"].setValue("layers + Cryptomatte")
    run(host)
    run(host)
    read = fake.toNode("Sa2VA1_crypto")
    assert read["raw"].value()
    assert "/v002/cryptomatte/" in read["file"].value()
    assert fake.toNode("Sa2VA1_crypto1") is None


def test_roto_comes_beside_the_node_and_an_earlier_one_stays(host: NukeUnderTest, fake: Any) -> None:
    host.node["result"].setValue("layers + Roto")
    run(host)
    (first,) = fake.allNodes("Roto")
    assert (first.name(), first.input(0).name(), first["output"].value()) == ("Sa2VA1_roto_1", "Plate", "alpha")
    assert first["replace"].value(), "the plate's own alpha does not show through"
    assert re.fullmatch(r"light: worst \d+\.\d px, IoU \d\.\d{3}", first["label"].value())
    text = first["curves"].toScript()
    assert text.startswith("{{v x3f99999a}"), "a knob's text lacks the braces that quote it in a script"
    host.press("use_run")
    assert [node.name() for node in fake.allNodes("Roto")] == ["Sa2VA1_roto_1", "Sa2VA1_roto_2"]
    fake.scriptSaveAs(str(host._script), 1)
    assert " curves {{{v x3f99999a}" in host._script.read_text("utf-8")
    host.open()
    assert fake.toNode("Sa2VA1_roto_1")["curves"].toScript() == text


def test_a_nuke_that_takes_no_shapes_gets_no_empty_roto(
    host: NukeUnderTest, fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form of keyed shapes is not proven in any Nuke: one that passes over it must not look as if all were well."""
    monkeypatch.setattr(fake._knobs.CurveKnob, "fromScript", lambda knob, script: None)
    host.node["result"].setValue("layers + Roto")
    run(host)
    assert "does not take the text of the Roto shapes" in host.shown
    assert "/v001/splines.nk" in host.shown
    assert (host.mattes != [], fake.allNodes("Roto")) == (True, [])
    assert (Path(knobs.path(host.node, "run")) / "splines.nk").is_file()


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


def test_layers_are_such_that_nuke_shows_each(host: NukeUnderTest, fake: Any) -> None:
    """One part, bare A, and for each object a layer of its own with a legal name that is none of Nuke's."""
    import OpenEXR

    typed = ["2nd bag", "alpha", "RGBA", "other", "depth", "袋", "a.b", "x" * 60, "mask", "Ci", "deep"]
    host.node["objects"].setValue("\n".join(f"{name}=the light" for name in typed))
    run(host)
    file = OpenEXR.File(host.mattes[0].replace("####", "1001"), separate_channels=True)
    assert len(file.parts) == 1
    assert not {"multiView", "view"} & set(file.header()), "of views, Nuke would take a layer's name for one"
    channels = set(file.channels())
    assert "A" in channels
    assert file.header()["compression"] == OpenEXR.ZIPS_COMPRESSION, "one line a block: Nuke reads by lines; no loss"
    assert {str(channel.pixels.dtype) for channel in file.channels().values()} == {"float16"}
    layers = {channel.partition(".")[0] for channel in channels if "." in channel}
    assert channels - {"A"} == {f"{layer}.A" for layer in layers}, "Nuke reads A of a layer as its alpha"
    assert len(layers) == len(typed)
    for layer in layers:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,39}", layer)
        assert layer.lower() not in {"rgba", "rgb", "alpha", "depth", "other", "mask", "motion", "forward", "backward"}
    wired = {n[f"to{i}"].value() for n in host.node.nodes() if n.Class() == "Copy" for i in range(4)}
    assert wired - {"none", "rgba.alpha"} == {f"{layer}.alpha" for layer in layers}
    assert {nuke_name(channel) for channel in channels - {"A"}} == wired - {"none", "rgba.alpha"}
    assert layers <= set(fake.layers())
