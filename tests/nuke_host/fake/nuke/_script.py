"""Scripts (.nk): written as Nuke writes them, by the notes in issue 7's research, and read back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from . import _knobs, _table
from ._nodes import Node, made
from ._state import STATE

_BY_NUMBER = {number: name for name, number in _table.USER_TYPES.items()}
#: Layers that every script has.
BUILT_IN = ("rgba", "rgb", "alpha")
_ORDER = ("name", "label", "onCreate", "knobChanged", "selected", "xpos", "ypos", "disable")


def quoted(text: str) -> str:
    if re.fullmatch(r"[^\s\"\\{}\[\]$;#]+", text):
        return text
    escaped = re.sub(r'(["\\\[\]$])', r"\\\1", text).replace("\n", "\\n")
    return f'"{escaped}"'


def _word(knob: Any) -> str:
    if knob._expression:
        return "{{" + knob._expression + "}}"
    value = knob._value
    if knob._name == "curves":
        return "{" + value + "}"
    return str(value).lower() if isinstance(value, bool) else quoted(str(value))


def write() -> str:
    lines = ["#! nuke -nx", "version 15.0 v4", *_node(STATE.root, "Root", "")]
    lines += [
        f"add_layer {{{name} {' '.join(channels)}}}" for name, channels in STATE.layers.items() if name not in BUILT_IN
    ]
    lines += _graph(STATE.root._children, "")
    return "\n".join(lines) + "\n"


def _graph(nodes: list[Node], indent: str) -> list[str]:
    """Each node after its inputs; outputs are named, so that any can be pushed again."""
    lines: list[str] = []
    done: dict[int, str] = {}

    def emit(node: Node) -> None:
        if id(node) in done:
            return
        count = node.inputs()
        for above in node._inputs.values():
            emit(above)
        # Input 0 ends up on top of the stack.
        for index in reversed(range(count)):
            above = node._inputs.get(index)
            lines.append("push 0" if above is None else f"push ${done[id(above)]}")
        lines.extend(_node(node, node._class, indent, count))
        if node._class == "Group":
            lines.extend(_graph(node._children, indent + " "))  # type: ignore[attr-defined]
            lines.append(f"{indent}end_group")
        done[id(node)] = f"N{len(indent)}{len(done):04x}"
        lines.append(f"set {done[id(node)]} [stack 0]")

    for node in nodes:
        emit(node)
    return lines


def _node(node: Node, name: str, indent: str, inputs: int = 1) -> list[str]:
    lines = [f"{indent}{name} {{"]
    if inputs != 1:
        lines.append(f"{indent} inputs {inputs}")
    user = {knob._name for knob in node._user}
    own = [knob for knob in node._knobs.values() if knob._name not in user and knob._name not in _ORDER]
    for knob in [*own, *(node._knobs[item] for item in _ORDER)]:
        if knob._value != knob._default or knob._expression:
            lines.append(f"{indent} {knob._name} {_word(knob)}")
    for knob in node._user:
        lines.append(f"{indent} addUserKnob {{{_definition(knob)}}}")
        if knob.Class() not in ("Tab_Knob", "Text_Knob", "PyScript_Knob") and knob._value != knob.default:
            lines.append(f"{indent} {knob._name} {_word(knob)}")
    return [*lines, f"{indent}}}"]


def _definition(knob: Any) -> str:
    parts = [str(_table.USER_TYPES[knob.Class()]), knob._name]
    if knob._label is not None:
        parts.append(f"l {quoted(knob._label)}")
    if knob._tooltip:
        parts.append(f"t {quoted(knob._tooltip)}")
    if knob._flags & _knobs.INVISIBLE or not knob._visible:
        parts.append("+INVISIBLE")
    if knob.Class() in ("Text_Knob", "PyScript_Knob"):
        parts.append(f"T {quoted(knob._value)}")
    if knob.Class() == "Enumeration_Knob":
        parts.append("M {" + " ".join(map(quoted, knob._values)) + "}")
    if getattr(knob, "_range", None):
        parts.append("R {:g} {:g}".format(*knob._range))
    if knob._flags & _knobs.STARTLINE:
        parts.append("+STARTLINE")
    return " ".join(parts)


def read(text: str) -> None:
    """Put a script's nodes into the empty graph, then run their onCreate."""
    stack: list[Any] = []
    names: dict[str, Any] = {}
    groups: list[Any] = []
    created: list[Node] = []
    for line in commands(text):
        head = line[0]
        if head == "version" or head.startswith("#"):
            continue
        if head == "set":
            names[line[1]] = stack[-1] if stack else None
        elif head == "push":
            stack.append(None if line[1] == "0" else names[line[1][1:]])
        elif head == "end_group":
            group, stack = groups.pop()
            STATE.context.pop()
            stack.append(group)
        elif head == "add_layer":
            name, *channels = words(line[1])
            STATE.layers[name] = channels
        elif head == "Root":
            _fill(STATE.root, words(line[1]))
        else:
            node = made(head)
            created.append(node)
            body = words(line[1])
            count = int(body[body.index("inputs") + 1]) if body[:1] == ["inputs"] else 1
            for index in range(count):
                above = stack.pop() if stack else None
                if above is not None:
                    node._inputs[index] = above
            _fill(node, body[2:] if body[:1] == ["inputs"] else body)
            if head == "Group":
                groups.append((node, stack))
                STATE.context.append(node)
                stack = []
            else:
                stack.append(node)
    for node in created:
        if node["onCreate"].value():
            node["onCreate"].execute()  # type: ignore[attr-defined]


def _fill(node: Node, body: list[str]) -> None:
    for name, value in zip(body[::2], body[1::2]):
        if name == "addUserKnob":
            node.addKnob(_user_knob(words(value)))
            continue
        knob = node[name]
        if name == "curves":
            knob.setValue(value)
        elif value.startswith("{"):
            knob._expression = value.strip("{}")
        elif isinstance(knob, _knobs.Boolean_Knob):
            knob.setValue(value == "true")
        elif isinstance(knob, _knobs.Double_Knob):
            knob.setValue(float(value))
        elif isinstance(knob, _knobs.Int_Knob):
            knob.setValue(int(value))
        else:
            knob.setValue(value)


def _user_knob(parts: list[str]) -> Any:
    kind, name, rest = _BY_NUMBER[int(parts[0])], parts[1], parts[2:]
    given: dict[str, str] = {}
    while rest:
        if rest[0][0] in "+-":
            given[rest.pop(0)] = ""
        elif rest[0] == "R":
            _, least, most = rest.pop(0), rest.pop(0), rest.pop(0)
            given["R"] = f"{least} {most}"
        else:
            key = rest.pop(0)
            given[key] = rest.pop(0)
    arguments: list[Any] = [name, given.get("l", name)]
    if "T" in given:
        arguments.append(given["T"])
    if "M" in given:
        arguments.append(words(given["M"]))
    knob = getattr(_knobs, kind)(*arguments)
    if "t" in given:
        knob.setTooltip(given["t"])
    if "R" in given:
        knob.setRange(*map(float, given["R"].split()))
    knob._visible = "+INVISIBLE" not in given
    if "+STARTLINE" in given:
        knob.setFlag(_knobs.STARTLINE)
    return knob


def commands(text: str) -> Iterator[list[str]]:
    """Each command of a script as its words."""
    line: list[str] = []
    for kind, word in _tokens(text):
        if kind == "end":
            if line:
                yield line
            line = []
        else:
            line.append(word)
    if line:
        yield line


def words(text: str) -> list[str]:
    return [word for kind, word in _tokens(text) if kind == "word"]


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "#" and text.startswith("#!", at):
            at = text.index("\n", at)
        elif letter == "\n":
            yield "end", ""
            at += 1
        elif letter.isspace():
            at += 1
        elif letter == "{":
            depth, start = 0, at
            while True:
                depth += (text[at] == "{") - (text[at] == "}")
                at += 2 if text[at] == "\\" else 1
                if not depth:
                    break
            yield "word", text[start + 1 : at - 1]
        elif letter == '"':
            start = at = at + 1
            while text[at] != '"':
                at += 2 if text[at] == "\\" else 1
            inner = text[start:at]
            yield "word", re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], inner)
            at += 1
        else:
            start = at
            while at < len(text) and not text[at].isspace():
                at += 1
            yield "word", text[start:at]
