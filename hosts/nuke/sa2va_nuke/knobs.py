"""The Sa2VA node: a Group whose knobs are the order, and whose inside is its input until there are mattes.

A Group, not a gizmo: it opens and renders where this package is not installed.
"""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import nuke
from sa2va_plugin.errors import JobSpecError

from . import order

CLASS_KNOB = "sa2va_id"
ENGINES = ("starter", "sa2va")
RANGES = ("input", "project", "custom")

_CALL = """try:
    import sa2va_nuke
except ImportError:
    nuke.message("Sa2VA Roto is not installed in this Nuke. The mattes that are there still render.")
else:
    sa2va_nuke.{name}(nuke.thisNode())"""
#: A text knob without text would be drawn as a line across.
_NO_PICTURE = " "
#: Also run on farm machines without the package, where it must say nothing.
_ON_CREATE = """try:
    import sa2va_nuke
except ImportError:
    pass
else:
    sa2va_nuke.opened(nuke.thisNode())"""


def create() -> nuke.Group:
    """A new node, below what is selected; it renders its input."""
    selected = nuke.selectedNodes()[:1]
    with nuke.Undo():
        # An empty Group has no input yet, so that nuke.createNode would not connect it.
        node = nuke.nodes.Group()
        node.setName("Sa2VA1", uncollide=True)
        with node:
            inside = nuke.nodes.Input(name="Input1")
            nuke.nodes.Output(name="Output1", inputs=[inside])
        for knob, tip in _all():
            if tip:
                knob.setTooltip(tip)
            node.addKnob(knob)
        node["sa2va_id"].setValue(uuid.uuid4().hex)
        node["onCreate"].setValue(_ON_CREATE)
        for above in selected:
            node.setInput(0, above)
            node.setXYpos(above.xpos(), above.ypos() + 100)
            above.setSelected(False)
        node.setSelected(True)
    if nuke.GUI:
        node.showControlPanel()
    return node


def _all() -> Iterator[tuple[nuke.Knob, str]]:
    yield nuke.Tab_Knob("sa2va", "Sa2VA"), ""
    yield (
        nuke.Multiline_Eval_String_Knob("objects", "objects"),
        "One object a line: a phrase, or name=phrase. The name becomes the layer, as in man.alpha.",
    )
    yield (
        nuke.Enumeration_Knob("range", "frames", list(RANGES)),
        "Which comp frames to matte: those of the input, of the project settings, or the two beside this.",
    )
    first, last = nuke.Int_Knob("first", ""), nuke.Int_Knob("last", "")
    for number in (first, last):
        number.clearFlag(nuke.STARTLINE)
        yield number, "First frame, then last, for frames: custom."
    yield nuke.String_Knob("view", "view"), "Stereo view; empty means the first one."
    tip = "Colour space of the plate. Empty: what the Read says. Type a name of the script's OCIO configuration."
    yield nuke.String_Knob("input_colour", "input colour space"), tip
    yield (
        nuke.Enumeration_Knob("engine", "engine", list(ENGINES)),
        "starter: quick, knows 80 everyday nouns. sa2va: understands sentences, wants a GPU.",
    )
    yield nuke.File_Knob("model", "model"), "Folder of the engine's weights; empty means the usual one."
    yield nuke.File_Knob("output", "mattes in"), "Empty: sa2va/NODE beside the script. Each run gets a version in it."
    tip = "What Generate and Use run put into the script. The EXR files are written whichever you choose."
    yield nuke.Enumeration_Knob("result", "result", list(order.RESULTS)), tip
    tolerance = nuke.Double_Knob("tolerance", "Roto tolerance")
    tolerance.setValue(2.0)
    tolerance.setRange(0.5, 5.0)
    tip = (
        "For layers + Roto. How many pixels most of an outline may be off the matte: more of it, fewer points and keys."
    )
    yield tolerance, tip
    alpha = nuke.Boolean_Knob("alpha", "mattes in alpha")
    alpha.setValue(True)  # not by the constructor: what a knob is made with may not be saved with it
    alpha.setFlag(nuke.STARTLINE)
    yield (
        alpha,
        "Replace rgba.alpha by the union of all mattes; off: the plate's alpha stays. Needs Use run.",
    )
    yield nuke.Boolean_Knob("premult", "premultiply"), "Multiply RGB by rgba.alpha. Takes effect at once."
    yield (
        _button("generate", "Generate", line=True),
        "Make mattes in the background; an unfinished run goes on where it stopped.",
    )
    yield _button("cancel", "Cancel"), "Stop. Finished frames stay; Generate goes on from there."
    go_on = _button("go_on", "Go on")
    go_on.setVisible(False)
    yield go_on, "Reach for the worker again: the job is not lost."
    yield nuke.Text_Knob("status", "", "Not run yet."), ""
    yield nuke.Text_Knob("preview", "", _NO_PICTURE), ""
    yield nuke.Text_Knob("run_line", "", ""), ""
    yield nuke.File_Knob("run", "run"), "The folder of a finished run, also one of the farm or the command line."
    yield _button("use_run", "Use run"), "Bring that run's mattes in."
    yield _button("history", "History"), "Choose among this node's finished runs."
    yield _button("log", "Log"), "The end of the worker's log."
    for name in ("sa2va_id", "job", "pending"):
        knob = nuke.String_Knob(name, name)
        knob.setFlag(nuke.INVISIBLE)
        yield knob, ""


def _button(name: str, label: str, line: bool = False) -> nuke.PyScript_Knob:
    knob = nuke.PyScript_Knob(name, label, _CALL.format(name=name))
    if line:
        knob.setFlag(nuke.STARTLINE)
    return knob


def text(node: nuke.Node, name: str) -> str:
    """A text knob as typed: what looks like TCL, a frame number or a view in it stays what it is."""
    knob = node.knob(name)
    if knob is None:
        return ""
    # value() of a string knob is the evaluated one.
    value = knob.getText() if isinstance(knob, nuke.String_Knob) else knob.value()
    return value if isinstance(value, str) else ""


def here(file: str) -> str:
    """A path as the studio's filename filters have it on this machine: Nuke asks them when it opens a file."""
    return nuke.filenameFilter(file) or file


def path(node: nuke.Node, name: str) -> str:
    """A file knob with its expressions evaluated, as this machine has it. Raises JobSpecError where Nuke cannot."""
    knob = node.knob(name)
    try:
        value = knob.evaluate() if isinstance(knob, nuke.EvalString_Knob) else text(node, name)
    except RuntimeError as error:
        raise JobSpecError(
            f"Nuke cannot evaluate what is in {name} of {node.name()}: {error}",
            "Mend its expression; a bracket or $ that belongs to the name wants a backslash before it.",
        ) from error
    return here(value) if isinstance(value, str) else ""


def escaped(file: str) -> str:
    """A path as a file knob's text: forward slashes, and no TCL in it."""
    return literal(file.replace("\\", "/"))


def literal(said: str) -> str:
    """Text for a knob that evaluates TCL, where it shall stay text."""
    return re.sub(r"([\[\]$])", r"\\\1", said)


def is_sa2va(node: Optional[nuke.Node]) -> bool:
    return isinstance(node, nuke.Group) and node.knob(CLASS_KNOB) is not None


def alive(node: nuke.Node) -> bool:
    """Whether the node is still in a script: Nuke raises ValueError from what is left of a deleted one."""
    try:
        node.fullName()
    except ValueError:
        return False
    return True


def show(node: nuke.Node, said: str) -> None:
    """The status line. It is no edit: neither undo nor the script's modified mark shall know of it."""
    with quietly():
        node["status"].setValue(said)


def show_preview(node: nuke.Node, file: str) -> None:
    """A picture below the status line: a text knob draws HTML. Empty takes it away."""
    knob = node.knob("preview")
    if knob is not None:
        with quietly():
            knob.setValue(f'<img src="{html.escape(file)}">' if file else _NO_PICTURE)


@contextmanager
def quietly() -> Iterator[None]:
    """Changes that the user did not make."""
    root = nuke.root()
    modified: Any = root.modified()
    nuke.Undo.disable()
    try:
        yield
    finally:
        nuke.Undo.enable()
        root.setModified(modified)
