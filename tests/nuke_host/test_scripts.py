"""Scripts with our node in them: their text, read by two readers of Tcl (scripts are Tcl), and by a re-opened Nuke."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sa2va_nuke import actions, knobs, results
from sa2va_nuke.mattes import Run
from sa2va_plugin import nuke_roto
from sa2va_plugin.splines import SplineFit, SplineKey, SplineObject, SplinePoint, SplineSet, SplineShape

from .graphs import READERS, Graph
from .nuke_under_test import plain

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture(params=READERS)
def graph_of(request: pytest.FixtureRequest) -> Callable[[str], Graph]:
    return READERS[request.param]


@pytest.fixture
def script(fake: Any, tmp_path: Path) -> tuple[Any, str]:
    """A node with the mattes of five objects, saved: the node and the text."""
    read = fake.nodes.Read(name="Plate", file="/plates/sh010.####.exr", first=1001, last=1010)
    read.setSelected(True)
    node = actions.create()
    node["sa2va_id"].setValue("0" * 32)
    node["objects"].setValue('man=the "tall" man\nball=a [ball] for $5 {new} \\ 袋')
    layers = ("man", "ball", "_2nd_bag", "alpha_", "hat")
    run = Run("/mattes [wip]/v001", "/mattes [wip]/v001/mattes/sh010_mattes.####.exr", layers, 1001, 1010, 0, (), ())
    results.use(node, run)
    place = tmp_path / "shot.nk"
    fake.scriptSaveAs(str(place))
    return node, place.read_text("utf-8")


def is_golden(text: str, name: str) -> None:
    """Set SA2VA_WRITE_GOLDEN=1 to write it anew, then read the difference."""
    golden = GOLDEN / name
    if os.environ.get("SA2VA_WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


def test_the_script_is_the_golden_one(script: tuple[Any, str]) -> None:
    is_golden(script[1], "five_objects.nk")


def test_a_cryptomatte_beside_a_node_in_a_group(graph_of: Callable[[str], Graph], fake: Any, tmp_path: Path) -> None:
    """With one object, mattes not in alpha, no plate yet."""
    group = fake.nodes.Group(name="Shot")
    with group:
        node: Any = actions.create()
    for name, value in (("sa2va_id", "0" * 32), ("result", "layers + Cryptomatte"), ("alpha", False)):
        node[name].setValue(value)
    crypto = "/m/v001/cryptomatte/sh_crypto.####.exr"
    results.use(node, Run("/m/v001", "/m/v001/mattes/sh_mattes.####.exr", ("man",), 7, 9, 0, (), (), crypto))
    place = tmp_path / "shot.nk"
    fake.scriptSaveAs(str(place))
    is_golden(place.read_text("utf-8"), "cryptomatte_in_group.nk")
    graph = graph_of((GOLDEN / "cryptomatte_in_group.nk").read_text("utf-8"))
    assert graph.inputs == {
        "Shot": [],
        "Shot.Sa2VA1": [],
        "Shot.Sa2VA1.Input1": [],
        "Shot.Sa2VA1.Mattes": [],
        "Shot.Sa2VA1.Copy1": ["Shot.Sa2VA1.Input1", "Shot.Sa2VA1.Mattes"],
        "Shot.Sa2VA1.Premult1": ["Shot.Sa2VA1.Copy1"],
        "Shot.Sa2VA1.Output1": ["Shot.Sa2VA1.Premult1"],
        "Shot.Sa2VA1_crypto": [],
    }
    assert graph.nodes["Shot.Sa2VA1_crypto"]["file"] == crypto
    assert graph.nodes["Shot.Sa2VA1.Copy1"]["to0"] == "man.alpha"
    assert "to1" not in graph.nodes["Shot.Sa2VA1.Copy1"]
    assert "alpha" not in graph.nodes["Shot.Sa2VA1"], "false is what such a knob has"


def test_the_graph_is_read_as_we_mean_it(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of((GOLDEN / "five_objects.nk").read_text("utf-8"))
    assert graph.inputs["Sa2VA1"] == ["Plate"]
    assert graph.inputs["Sa2VA1.Copy1"] == ["Sa2VA1.Input1", "Sa2VA1.Mattes"], "input 0, B, is the plate"
    assert graph.inputs["Sa2VA1.Copy2"] == ["Sa2VA1.Copy1", "Sa2VA1.Mattes"]
    assert graph.inputs["Sa2VA1.Premult1"] == ["Sa2VA1.Copy2"]
    assert graph.inputs["Sa2VA1.Output1"] == ["Sa2VA1.Premult1"]
    mattes = graph.nodes["Sa2VA1.Mattes"]
    assert mattes["inputs"] == "0"
    assert mattes["file"] == "/mattes \\[wip\\]/v001/mattes/sh010_mattes.####.exr", "escaped once more for the knob"
    assert (mattes["raw"], mattes["on_error"], mattes["first"], mattes["last"]) == ("true", "black", "1001", "1010")
    assert graph.layers[0] == ["man", "man.alpha"]
    copies = [graph.nodes["Sa2VA1.Copy1"][f"to{i}"] for i in range(4)] + [graph.nodes["Sa2VA1.Copy2"]["to0"]]
    assert copies == ["rgba.alpha", "man.alpha", "ball.alpha", "_2nd_bag.alpha", "alpha_.alpha"]
    assert graph.nodes["Sa2VA1.Premult1"]["disable"] == "{!parent.premult}"
    assert graph.nodes["Sa2VA1"]["objects"] == 'man=the "tall" man\nball=a [ball] for $5 {new} \\ 袋'
    assert graph.users["Sa2VA1"]["sa2va_id"][-1] == "+INVISIBLE"
    assert graph.users["Sa2VA1"]["generate"][0] == "22"


READ_A = 'Read {\n inputs 0\n file "/a.####.exr"\n name A\n}\n'


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        (
            "set cut_paste_input [stack 0]\nversion 15.0 v4\npush $cut_paste_input\nGrade {\n name G\n}\n",
            {"G": ["0"]},
        ),
        (
            READ_A + "set N1a [stack 0]\nGrade {\n name G\n}\npush $N1a\nCopy {\n inputs 2\n name C\n}\n",
            {"A": [], "G": ["A"], "C": ["A", "G"]},
        ),
        (READ_A + "push 0\nCopy {\n inputs 2\n name C\n}\n", {"A": [], "C": ["0", "A"]}),
        (
            READ_A
            + "Group {\n name H\n}\n Input {\n  inputs 0\n  name In\n }\nset N2 [stack 0]\n Grade {\n  name G\n }\n"
            + "push $N2\n Copy {\n  inputs 2\n  name C\n }\n Output {\n  name Out\n }\nend_group\n"
            + "Grade {\n name After\n}\n",
            {
                "A": [],
                "H": ["A"],
                "H.In": [],
                "H.G": ["H.In"],
                "H.C": ["H.In", "H.G"],
                "H.Out": ["H.C"],
                "After": ["H"],
            },
        ),
    ],
    ids=["pasted", "top of the stack is input 0", "nothing connected", "a group and what follows it"],
)
def test_fragments_of_the_grammar_are_read_alike(
    graph_of: Callable[[str], Graph], fake: Any, tmp_path: Path, text: str, inputs: dict[str, list[str]]
) -> None:
    """Hand-made after scripts that Nuke wrote: also by the stand-in, whose reading other tests trust."""
    assert graph_of(text).inputs == inputs
    place = tmp_path / "fragment.nk"
    place.write_text(text, "utf-8")
    fake.scriptOpen(str(place))
    for name, above in inputs.items():
        node = fake.toNode(name)
        seen = [node.input(i).fullName() if node.input(i) is not None else "0" for i in range(len(above))]
        assert seen == above, name


@pytest.mark.parametrize("said", ['a "b" [c] $d {e} \\ f', "two\nlines", "  ", "#1", "袋"])
def test_what_people_type_is_escaped_as_tcl_needs_it(
    graph_of: Callable[[str], Graph], fake: Any, tmp_path: Path, said: str
) -> None:
    read = fake.nodes.Read(name="A")
    read["label"].setValue(said)
    place = tmp_path / "label.nk"
    fake.scriptSaveAs(str(place))
    assert graph_of(place.read_text("utf-8")).nodes["A"]["label"] == said
    fake.scriptOpen(str(place))
    assert fake.toNode("A")["label"].getText() == said


def test_tcl_takes_the_quotes_off_shapes_as_we_do(graph_of: Callable[[str], Graph]) -> None:
    """The file splines.nk is pasted, which is Tcl; a knob is given what Tcl leaves of it."""
    key = SplineKey(7, (SplinePoint(1, 2, 0, 2, 2, 2), SplinePoint(9, 2, 9, 1, 9, 3), SplinePoint(5, 8, 6, 8, 4, 8)))
    item = SplineObject("man", 'the "man" [left]', (SplineShape("man_1", 7, 7, (key,)),), SplineFit(0.1, 7, 1.0, 1.0))
    splines = SplineSet(10, 10, 1.0, "24/1", 7, 7, 1.0, (item,))
    graph = graph_of(nuke_roto.nodes(splines))
    assert graph.inputs == {"Roto_man": []}
    assert graph.nodes["Roto_man"]["curves"] == nuke_roto.curves(splines, [item])[1:-1]
    assert graph.nodes["Roto_man"]["label"].splitlines()[0] == 'the "man" [left]'


def test_a_parser_of_nukes_scripts_reads_the_same_graph(graph_of: Callable[[str], Graph]) -> None:
    """maxWiklund/nuke_parser (Apache-2.0), which knows Nuke's scripts and nothing of us. The one on package indexes,
    nkparser 0.3, takes user knobs for nodes and turns a Copy's inputs round, so this is no dependency: `pip install
    "git+https://github.com/maxWiklund/nuke_parser@5b2d853#subdirectory=nk_parser"`."""
    parser: Any = pytest.importorskip(
        "nuke_parser.parser",
        reason="maxWiklund/nuke_parser is not installed, and on no package index; two readers of Tcl read it above",
    )
    golden = GOLDEN / "five_objects.nk"
    nodes = {node.fullName(): node for node in parser.parseNk(str(golden)).allNodes()}
    ours = graph_of(golden.read_text("utf-8"))
    read = {name: [above.fullName() for above in node.inputs()] for name, node in nodes.items()}
    assert read == ours.inputs
    assert {name: node.Class() for name, node in nodes.items()} == {n: ours.nodes[n]["Class"] for n in ours.inputs}
    mattes, copy = nodes["Sa2VA1.Mattes"], nodes["Sa2VA1.Copy1"]
    assert [mattes.knob(name) for name in ("first", "last", "raw", "on_error")] == [1001, 1010, True, "black"]
    assert [copy.knob(f"to{i}") for i in range(4)] == ["rgba.alpha", "man.alpha", "ball.alpha", "_2nd_bag.alpha"]


def test_a_reopened_script_is_the_same(script: tuple[Any, str], fake: Any, tmp_path: Path) -> None:
    fake._reset()
    place = tmp_path / "again.nk"
    place.write_text(script[1], "utf-8")
    fake.scriptOpen(str(place))
    node = fake.toNode("Sa2VA1")
    assert knobs.is_sa2va(node)
    assert node.input(0).name() == "Plate"
    assert plain(knobs.text(node.node("Mattes"), "file")) == "/mattes [wip]/v001/mattes/sh010_mattes.####.exr"
    fake.scriptSaveAs(str(place))
    assert place.read_text("utf-8") == script[1]
