"""A script of Nuke (.nk) as a graph, by two readers of Tcl that know nothing of us: scripts are Tcl.

``by_tcl`` lets Tcl itself run the script, as Nuke does. ``by_tclint`` takes the words from tclint, a parser in Python
that pip installs, for machines whose Python came without Tcl.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


class Graph:
    """What a script's commands do: nodes push and pop a stack, as Foundry's format has it. ``split``: a Tcl list to its
    words. Connections are names of nodes, "0" for none."""

    def __init__(self, split: Callable[[str], list[str]]) -> None:
        self._split = split
        self.nodes: dict[str, dict[str, str]] = {}
        self.inputs: dict[str, list[str]] = {}
        self.users: dict[str, dict[str, list[str]]] = {}
        self.layers: list[list[str]] = []
        self._stack: list[str] = []
        self._groups: list[tuple[str, list[str]]] = []

    def push(self, name: str) -> None:
        self._stack.append(name)

    def top(self, index: str) -> str:
        return [*self._stack[::-1], "0"][int(index)]

    def add_layer(self, body: str) -> None:
        self.layers.append(self._split(body))

    def end_group(self) -> None:
        _, self._stack = self._groups.pop()

    def node(self, name: str, body: str) -> None:
        words = self._split(body)
        assert len(words) % 2 == 0
        shown: dict[str, str] = {"Class": name}
        user: dict[str, list[str]] = {}
        for key, value in zip(words[::2], words[1::2], strict=True):
            if key == "addUserKnob":
                parts = self._split(value)
                user[parts[1]] = parts
            else:
                shown[key] = value
        path = ".".join([*(group for group, _ in self._groups), shown.get("name", name)])
        self.nodes[path], self.users[path] = shown, user
        if name == "Root":
            return
        self.inputs[path] = [self._stack.pop() if self._stack else "0" for _ in range(int(shown.get("inputs", "1")))]
        self._stack.append(path)
        if name == "Group":
            self._groups.append((shown["name"], self._stack))
            self._stack = []

    def done(self) -> Graph:
        assert self._groups == [], "a group does not end"
        return self


def by_tcl(text: str) -> Graph:
    tkinter = pytest.importorskip("tkinter", reason="this Python comes without Tcl")
    tcl: Any = tkinter.Tcl()
    graph = Graph(lambda body: [str(word) for word in tcl.splitlist(body)])
    commands: dict[str, Callable[..., Any]] = {
        "version": lambda *number: None,
        "add_layer": graph.add_layer,
        "push": graph.push,
        "stack": graph.top,
        "end_group": graph.end_group,
        "unknown": graph.node,
    }
    for name, call in commands.items():
        tcl.createcommand(name, lambda *words, call=call: call(*words) or "")
    tcl.eval(text)
    return graph.done()


def by_tclint(text: str) -> Graph:
    from tclint.parser import Parser
    from tclint.syntax_tree import BracedWord, Command, CommandSub, QuotedWord, VarSub

    parser: Any = Parser()

    def plain(word: Any) -> str:
        """What Tcl makes of a word: in braces nothing, in quotes and bare it takes escapes away."""
        assert isinstance(word.contents, str), f"{word} is no plain word"
        if isinstance(word, BracedWord):
            return word.contents
        return re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], word.contents)

    def split(body: str) -> list[str]:
        ((command,),) = (parser.parse(f"list {{{body}}}").children,)
        return [plain(word) for word in parser.parse_list(command.children[1]).children]

    graph = Graph(split)
    names: dict[str, str] = {}
    for command in parser.parse(text).children:
        if not isinstance(command, Command):
            continue  # a comment
        name, *words = command.children
        if name.contents == "set":
            variable, value = words
            assert isinstance(value, CommandSub)
            names[plain(variable)] = graph.top(plain(value.children[0].children[1]))
        elif name.contents == "push":
            (value,) = words
            graph.push(names[value.value] if isinstance(value, VarSub) else plain(value))
        elif name.contents == "end_group":
            graph.end_group()
        elif name.contents == "add_layer":
            graph.add_layer(plain(words[0]))
        elif name.contents != "version":
            assert not isinstance(words[0], QuotedWord)
            graph.node(plain(name), plain(words[0]))
    assert parser.violations == []
    return graph.done()


READERS = {"Tcl": by_tcl, "tclint": by_tclint}
