"""A strict stand-in for Nuke's Python module: as much of it as the adapter uses, and not a name more.

Names, parameters and defaults are held to the published stubs by test_stubs.py; what nodes and knobs there are is
_table.py. It draws nothing: what a Nuke makes of the graph, it does not show.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

from . import _script, _state
from ._knobs import (
    DO_NOT_WRITE,
    INVISIBLE,
    STARTLINE,
    Array_Knob,
    Boolean_Knob,
    Channel_Knob,
    Double_Knob,
    Enumeration_Knob,
    EvalString_Knob,
    File_Knob,
    Int_Knob,
    Knob,
    Multiline_Eval_String_Knob,
    PyScript_Knob,
    Script_Knob,
    String_Knob,
    Tab_Knob,
    Text_Knob,
    Unsigned_Knob,
)
from ._knobs import (
    evaluated as _evaluated,
)
from ._nodes import Group, Node, NodeConstructor, Nodes, Root
from ._nodes import made as _made
from ._state import STATE as _STATE
from ._state import Misuse as _Misuse

NUKE_VERSION_STRING = "15.0v4"
GUI = True
env = {"nc": False, "indie": False}
nodes = Nodes()


def _reset(gui: bool = True) -> None:
    """A new Nuke with an empty script."""
    global GUI
    GUI = gui
    env.update(nc=False, indie=False)
    _STATE.reset(gui)
    _STATE.root = Root("Root")
    _STATE.modified = False


def root() -> Root:
    _STATE.need_main("nuke.root")
    return _STATE.root


def lastHitGroup() -> Group:
    _STATE.need_main("nuke.lastHitGroup")
    return _STATE.clicked or (_STATE.context[-1] if _STATE.context else _STATE.root)


def thisNode() -> Node:
    _STATE.need_main("nuke.thisNode")
    return _STATE.this


def toNode(s: str) -> Node | None:
    _STATE.need_main("nuke.toNode")
    for start in [*_STATE.context[-1:], _STATE.root]:
        found: Any = start
        for part in s.split("."):
            found = found.node(part) if isinstance(found, Group) else None
        if found is not None:
            return found
    return None


def allNodes(*args: Any, **kwargs: Any) -> list[Node]:
    _STATE.need_main("nuke.allNodes")
    if env["nc"] or env["indie"]:
        raise _Misuse("a walk over the nodes: this Nuke lets Python touch ten")
    return [node for node in _STATE.root.nodes() if not args or node.Class() == args[0]]


def selectedNodes() -> list[Node]:
    _STATE.need_main("nuke.selectedNodes")
    group = _STATE.context[-1] if _STATE.context else _STATE.root
    return [node for node in group.nodes() if node["selected"].value()]


def delete(n: Node) -> None:
    _STATE.need_main("nuke.delete")
    n._attached()
    for other in n.parent().nodes():
        for index, above in list(other._inputs.items()):
            if above is n:
                other.setInput(index, None)
    n._parent._children.remove(n)
    n._deleted = True


def filename(node: Node, i: int = 0) -> str | None:
    _STATE.need_main("nuke.filename")
    if root()["proxy"].value():
        raise _Misuse("nuke.filename in proxy mode gives the proxy's name")
    return _evaluated(node["file"].value()) or None


def filenameFilter(filename: str) -> str:
    _STATE.need_main("nuke.filenameFilter")
    for start, place in _STATE.filters.items():
        if filename.startswith(start):
            return place + filename[len(start) :]
    return filename


def layers(node: Node | None = None) -> list[str]:
    _STATE.need_main("nuke.layers")
    return list(_STATE.layers)


class Layer:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _STATE.need_main("nuke.Layer")
        name, channels = args
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or any(not c.startswith(f"{name}.") for c in channels):
            raise ValueError(f"a layer {name} of {channels}")
        there = _STATE.layers.setdefault(name, [])
        there += [channel for channel in channels if channel not in there]


def execute(
    nameOrNode: Any, start: int, end: int, incr: int = 1, views: Any = None, continueOnError: bool = False
) -> None:
    _STATE.need_main("nuke.execute")
    if _STATE.executing:
        raise RuntimeError("I'm already executing something else")
    node = nameOrNode
    if _STATE.root["proxy"].value():
        raise _Misuse("a render in proxy mode")
    if node.Class() != "Write" or node.input(0) is None or any(view not in _STATE.views for view in views or []):
        raise RuntimeError(f"{node.name()}: cannot be executed")
    if not set(views or _STATE.views[:1]) <= set(node["views"].value().split()):
        raise RuntimeError(f"{node.name()}: its views leave {views} out")
    path = _evaluated(node["file"].value())
    _STATE.executed.append((path, start, end, incr, list(views or []), _STATE.root["proxy"].value()))
    if _STATE.render is None:
        raise RuntimeError("no test says how this is rendered")
    for frame in range(start, end + 1, incr):
        _STATE.render(path.replace("####", f"{frame:04d}"), frame)


def executing(f: float | None = None) -> bool:
    _STATE.need_main("nuke.executing")
    return _STATE.executing


def views() -> list[str]:
    _STATE.need_main("nuke.views")
    return list(_STATE.views)


def message(prompt: str) -> None:
    _STATE.need_main("nuke.message")
    if not GUI:
        raise _Misuse("a message box without a window")
    _STATE.messages.append(prompt)


def choice(title: str, prompt: str, options: list[str], default: int = 0) -> int | None:
    _STATE.need_main("nuke.choice")
    if not GUI:
        raise _Misuse("a question without a window")
    _STATE.asked.append(options)
    return _STATE.answer


def warning(message: str) -> None:
    _STATE.need_main("nuke.warning")
    _STATE.messages.append(message)


def executeInMainThread(call: Callable[..., Any], args: Any = (), kwargs: Any = {}) -> None:  # noqa: B006
    if threading.current_thread() is _STATE.main:
        raise _Misuse("executeInMainThread on the main thread: Nuke hangs")
    if not GUI:
        raise _Misuse("executeInMainThread in nuke -t: nothing would run it")
    given = args if isinstance(args, tuple) else (args,)
    _STATE.calls.put(lambda: call(*given, **kwargs))


def scriptSaveAs(filename: str | None = None, overwrite: int = -1) -> None:
    _STATE.need_main("nuke.scriptSaveAs")
    assert filename is not None
    _STATE.script, before = filename, _STATE.script
    try:
        Path(filename).write_text(_script.write(), "utf-8")
    except OSError as error:
        _STATE.script = before
        raise RuntimeError(f"{filename}: {error.strerror}") from error
    _STATE.modified = False


def scriptOpen(filename: str | None = None) -> None:
    _STATE.need_main("nuke.scriptOpen")
    assert filename is not None
    try:
        text = Path(filename).read_text("utf-8")
    except OSError as error:
        raise RuntimeError(f"{filename}: {error.strerror}") from error
    _STATE.script = filename
    _script.read(text)
    _STATE.modified = False


def scriptClear(*args: Any, **kwargs: Any) -> None:
    _STATE.need_main("nuke.scriptClear")
    for node in _STATE.root.nodes():
        node._deleted = True
    _STATE.root, _STATE.script = Root("Root"), ""


class CancelledError(Exception):
    pass


class ProgressTask:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not GUI:
            raise _Misuse("a progress bar without a window")
        self._label, self._cancelled, self._said = args[0], False, []
        _STATE.tasks.add(self)

    def setProgress(self, *args: Any, **kwargs: Any) -> None:
        if type(args[0]) is not int or not 0 <= args[0] <= 100:
            raise TypeError(f"progress {args[0]!r}")

    def setMessage(self, *args: Any, **kwargs: Any) -> None:
        self._said.append(str(args[0]))

    def isCancelled(self, *args: Any, **kwargs: Any) -> bool:
        return self._cancelled


class Undo:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _STATE.need_main("nuke.Undo")

    def __enter__(self) -> Undo:
        _STATE.begin_undo()
        return self

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        _STATE.end_undo()

    @classmethod
    def disable(cls, *args: Any, **kwargs: Any) -> None:
        _STATE.need_main("nuke.Undo")
        _STATE.undo_off += 1

    @classmethod
    def enable(cls, *args: Any, **kwargs: Any) -> None:
        _STATE.need_main("nuke.Undo")
        _STATE.undo_off -= 1


class MenuItem:
    def __init__(self, name: str, command: str) -> None:
        self._name, self._command = name, command


class Menu(MenuItem):
    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self._items: list[MenuItem] = []

    def addMenu(self, *args: Any, **kwargs: Any) -> Menu:
        self._items.append(Menu(args[0]))
        return self._items[-1]  # type: ignore[return-value]

    def addCommand(self, *args: Any, **kwargs: Any) -> None:
        self._items.append(MenuItem(args[0], args[1]))


_menus: dict[str, Menu] = {}


def menu(name: str) -> Menu:
    _STATE.need_main("nuke.menu")
    if name not in ("Nuke", "Nodes", "Viewer", "Animation", "Pane", "Axis", "Properties"):
        raise RuntimeError(f"no menu {name}")
    return _menus.setdefault(name, Menu(name))


_reset(gui=os.environ.get("FAKE_NUKE") != "terminal")
