"""Nodes and the node graph."""

from __future__ import annotations

import re
from typing import Any

from . import _knobs, _table
from ._knobs import Knob
from ._state import STATE, Misuse


class Node:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        STATE.need_main("a node was made")
        (self._class,) = args
        self._least, self._most, knobs = _table.CLASSES[self._class]
        self._knobs: dict[str, Knob] = {}
        for name, (kind, default, values) in {**knobs, **_table.COMMON}.items():
            self._add(_knobs.built_in(name, kind, default, values))
        self._user: list[Knob] = []
        self._inputs: dict[int, Node] = {}
        self._parent: Any = None
        self._deleted = False

    def _add(self, knob: Knob) -> None:
        knob._node = self
        self._knobs[knob._name] = knob

    def _attached(self) -> None:
        STATE.need_main("a node")
        if self._deleted:
            raise ValueError("A PythonObject is not attached to a node")

    def Class(self) -> str:
        self._attached()
        return self._class

    def name(self) -> str:
        self._attached()
        return self._knobs["name"]._value

    def fullName(self) -> str:
        self._attached()
        above = self._parent
        return self.name() if above is None or above is STATE.root else f"{above.fullName()}.{self.name()}"

    def setName(self, name: str, uncollide: bool = True, updateExpressions: bool = False) -> None:
        self._attached()
        taken = {node.name() for node in self._parent._children if node is not self}
        if name in taken:
            if not uncollide:
                raise ValueError(f"the name {name} is taken")
            stem, number = re.sub(r"\d+$", "", name), 1
            while f"{stem}{number}" in taken:
                number += 1
            name = f"{stem}{number}"
        self._knobs["name"].setValue(name)

    def knob(self, p: str, follow_link: bool = True) -> Knob | None:
        self._attached()
        return self._knobs.get(p)

    def knobs(self) -> dict[str, Knob]:
        self._attached()
        return dict(self._knobs)

    def __getitem__(self, name: str) -> Knob:
        self._attached()
        if name not in self._knobs:
            raise NameError(f"knob {name} does not exist in {self._class}")
        if name in _table.OF_FILE_TYPE and self._knobs["file_type"]._value != "exr":
            raise NameError(f"knob {name} does not exist in a {self._class} without that file type")
        return self._knobs[name]

    def addKnob(self, knob: Knob) -> None:
        self._attached()
        if knob._name in self._knobs:
            raise ValueError(f"there is a knob {knob._name} already")
        if type(knob).__name__ not in _table.USER_TYPES:
            raise Misuse(f"no user knob is a {type(knob).__name__}")
        self._add(knob)
        self._user.append(knob)

    def input(self, index: int) -> Node | None:
        self._attached()
        return self._inputs.get(index)

    def inputs(self) -> int:
        return max(self._inputs, default=-1) + 1

    def setInput(self, i: int, node: Node | None) -> bool:
        self._attached()
        if i >= self._inputs_now() or (node is not None and node._parent is not self._parent):
            raise Misuse(f"input {i} of {self._class}")
        self._inputs.pop(i, None)
        if node is not None:
            node._attached()
            self._inputs[i] = node
        STATE.edited()
        return True

    def _inputs_now(self) -> int:
        return self._most

    def showControlPanel(self, forceFloat: bool = False) -> None:
        self._attached()

    def parent(self) -> Any:
        self._attached()
        return self._parent

    def xpos(self) -> int:
        return self["xpos"].value()

    def ypos(self) -> int:
        return self["ypos"].value()

    def setXYpos(self, x: int, y: int) -> None:
        self["xpos"].setValue(x)
        self["ypos"].setValue(y)

    def setSelected(self, selected: bool) -> None:
        self["selected"].setValue(selected)

    def _range(self) -> tuple[int, int]:
        if self._class == "Read":
            first, last = self["first"].value(), self["last"].value()
            mode, text = self["frame_mode"].value(), self["frame"].value()
            shift = 0
            if mode == "start at" and text:
                shift = int(text) - first
            elif mode == "offset" and text:
                shift = int(text)
            return first + shift, last + shift
        if self._inputs:
            return self._inputs[min(self._inputs)]._range()
        return STATE.root["first_frame"].value(), STATE.root["last_frame"].value()

    def firstFrame(self) -> int:
        self._attached()
        return self._range()[0]

    def lastFrame(self) -> int:
        self._attached()
        return self._range()[1]


class Group(Node):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._children: list[Node] = []

    def _inputs_now(self) -> int:
        """A group has an input for each Input node in it."""
        return sum(node._class == "Input" for node in self._children)

    def begin(self) -> Group:
        self._attached()
        STATE.context.append(self)
        return self

    def end(self) -> None:
        STATE.context.pop()

    def __enter__(self) -> Group:
        return self.begin()

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        self.end()

    def node(self, s: str) -> Node | None:
        self._attached()
        return next((node for node in self._children if node.name() == s), None)

    def nodes(self) -> list[Node]:
        self._attached()
        return list(self._children)


class Root(Group):
    def name(self) -> str:
        return STATE.script or "Root"

    def modified(self) -> bool:
        return STATE.modified

    def setModified(self, modified: bool) -> None:
        STATE.need_main("setModified")
        STATE.modified = modified

    def realFps(self) -> float:
        return 24.0

    def firstFrame(self) -> int:
        return self["first_frame"].value()

    def lastFrame(self) -> int:
        return self["last_frame"].value()


def made(name: str) -> Node:
    """A node of that class in the current group, named as Nuke names it."""
    if name not in _table.CLASSES or name == "Root":
        raise RuntimeError(f"{name}: unknown command")
    node = Group(name) if name == "Group" else Node(name)
    node._parent = STATE.context[-1] if STATE.context else STATE.root
    node._parent._children.append(node)
    node.setName(f"{name}1")
    return node


class NodeConstructor:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        (self._class,) = args

    def __call__(self, *args: Any, **kwargs: Any) -> Node:
        if args:
            raise Misuse("nodes are made with knobs by name")
        node = made(self._class)
        for index, above in enumerate(kwargs.pop("inputs", ())):
            node.setInput(index, above)
        for knob, value in kwargs.items():
            if knob == "name":
                node.setName(value)
            else:
                node[knob].setValue(value)
        return node


class Nodes:
    def __getattr__(self, item: str) -> NodeConstructor:
        return NodeConstructor(item)
