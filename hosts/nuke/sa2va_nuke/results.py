"""A finished run -> nodes: mattes as layers inside the Sa2VA node, beside it a Cryptomatte's Read or a Roto node.

What is built are plain nodes of Nuke that read files: they render where nothing of Sa2VA is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nuke
from sa2va_plugin import nuke_roto
from sa2va_plugin.errors import ResultError
from sa2va_plugin.splines import SplineSet

from . import knobs, order
from .mattes import Run

#: A Copy node has four pairs of knobs.
_PAIRS = 4


def use(node: nuke.Group, run: Run) -> None:
    """Wire a run in, as one step of undo, as the knob ``result`` says. Raises ResultError; layers are in by then where
    it is about what comes beside them."""
    result = node["result"].value()
    with nuke.Undo():
        node["run"].setValue(knobs.escaped(run.folder))
        if result == order.FILES:
            return
        _layers(node, run)
        if result == order.CRYPTOMATTE and run.cryptomatte:
            _cryptomatte(node, run, run.cryptomatte)
        if result == order.ROTO and run.splines:
            _roto(node, run.splines)


def _layers(node: nuke.Group, run: Run) -> None:
    """Input -> Copy (four layers each) -> Premult -> Output; the mattes come from one Read."""
    inside, output = node.node("Input1"), node.node("Output1")
    if inside is None or output is None:
        raise ResultError("The node lacks its Input1 or Output1.", "Make a new Sa2VA node, then Use run.")
    for name in ["Mattes", "Premult1", *(f"Copy{i}" for i in range(1, 100))]:
        old = node.node(name)
        if old is not None:
            nuke.delete(old)
        elif name.startswith("Copy"):
            break
    pairs = [("rgba.alpha", "rgba.alpha")] if node["alpha"].value() else []
    pairs += [(f"{layer}.alpha", f"{layer}.alpha") for layer in run.layers]
    for layer in run.layers:
        # Also where there is one of that name, with channels of another file: it gets ours beside them.
        nuke.Layer(layer, [f"{layer}.alpha"])
    with node:
        read = _read("Mattes", run.mattes, run)
        last: nuke.Node = inside
        for index in range(0, len(pairs), _PAIRS):
            copy = nuke.nodes.Copy(name=f"Copy{index // _PAIRS + 1}", inputs=[last, read])
            for slot, (source, target) in enumerate(pairs[index : index + _PAIRS]):
                copy[f"from{slot}"].setValue(source)
                copy[f"to{slot}"].setValue(target)
            last = copy
        premult = nuke.nodes.Premult(name="Premult1", inputs=[last])
        premult["disable"].setExpression("!parent.premult")
    output.setInput(0, premult)


def _read(name: str, pattern: str, run: Run) -> nuke.Node:
    """A Read of data: raw in every kind of colour management, black outside its frames and where one is missing."""
    read = nuke.nodes.Read(name=name)
    # setValue() takes text as it is; whether the constructor does is written nowhere.
    for knob, value in (
        ("file", knobs.escaped(pattern)),
        ("first", run.first),
        ("last", run.last),
        ("origfirst", run.first),
        ("origlast", run.last),
        ("origset", True),
        ("before", "black"),
        ("after", "black"),
        ("on_error", "black"),
        ("raw", True),
    ):
        read[knob].setValue(value)
    return read


def _cryptomatte(node: nuke.Group, run: Run, pattern: str) -> None:
    name = f"{node.name()}_crypto"
    with node.parent():
        old = nuke.toNode(name)
        if old is not None and old.Class() == "Read":
            nuke.delete(old)
        read = _read(name, pattern, run)
    read.setXYpos(node.xpos() + 110, node.ypos())


def _roto(node: nuke.Group, file: str) -> None:
    """One Roto node for each object. Earlier ones stay: somebody may have worked on them."""
    splines = SplineSet.from_json(Path(file).read_bytes())
    for index, item in enumerate(splines.objects):
        if not item.shapes:
            continue
        with node.parent():
            roto = nuke.nodes.Roto()
        roto.setInput(0, node.input(0))  # for the plate's format
        roto.setName(f"{node.name()}_roto_{index + 1}", uncollide=True)
        roto["output"].setValue("alpha")
        roto["replace"].setValue(True)  # else shapes are drawn over the alpha that the plate may have
        curves: Any = roto["curves"]
        # No API call for keyed points is as well documented as this text, and it is set in one go. Its outermost
        # braces are the script's quotes, which a knob does not take.
        curves.fromScript(nuke_roto.curves(splines, [item])[1:-1])
        if len(curves.rootLayer) != len(item.shapes):
            nuke.delete(roto)
            raise ResultError(
                "The layers are in, but this Nuke does not take the text of the Roto shapes.",
                f"Please report it, with Nuke's version and the file {Path(file).with_suffix('.nk').as_posix()}.",
            )
        roto["label"].setValue(knobs.literal(item.name) + f": worst {item.fit.worst_px:.1f} px, IoU {item.fit.iou:.3f}")
        roto.setXYpos(node.xpos() + 110 * (index + 1), node.ypos() + 60)
