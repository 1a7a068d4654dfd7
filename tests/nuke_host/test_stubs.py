"""The stand-in has no name, parameter or default that the published type stubs of Nuke's module lack."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake") / "nuke"
HOST = Path(__file__).resolve().parents[2] / "hosts" / "nuke" / "sa2va_nuke"
Signature = tuple[list[str], int, bool]
#: Given by Foundry's guide, absent from the stubs: none so far.
ALLOWED: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def stubs() -> dict[str, list[Signature | None]]:
    """``name`` or ``Class.method`` -> what the stubs say of it: parameters, how many need a value, whether any go."""
    files = [path for path in metadata.files("types-nuke") or [] if path.suffix == ".pyi"]
    assert files
    known: dict[str, list[Signature | None]] = {}
    bases: dict[str, list[str]] = {}
    for file in files:
        _collect(ast.parse(Path(str(file.locate())).read_text("utf-8")).body, "", known, bases)
    for name, parents in bases.items():
        for parent in _ancestors(parents, bases):
            for key in [k for k in known if k.startswith(f"{parent}.")]:
                known.setdefault(f"{name}.{key.partition('.')[2]}", known[key])
    return known


def _ancestors(parents: list[str], bases: dict[str, list[str]]) -> Iterator[str]:
    for parent in parents:
        yield parent
        yield from _ancestors(bases.get(parent, []), bases)


def _collect(
    body: list[ast.stmt], prefix: str, known: dict[str, list[Signature | None]], bases: dict[str, list[str]]
) -> None:
    for item in body:
        if isinstance(item, ast.FunctionDef):
            known.setdefault(prefix + item.name, []).append(_signature(item, bool(prefix)))
        elif isinstance(item, ast.ClassDef):
            known.setdefault(item.name, []).append(None)
            bases[item.name] = [base.id for base in item.bases if isinstance(base, ast.Name)]
            _collect(item.body, f"{item.name}.", known, bases)
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            known.setdefault(prefix + item.target.id, []).append(None)


def _signature(item: ast.FunctionDef, method: bool) -> Signature:
    names = [a.arg for a in item.args.args]
    if method and names[:1] in (["self"], ["cls"]):
        names = names[1:]
    return names, len(names) - len(item.args.defaults), item.args.vararg is not None


def _ours() -> Iterator[tuple[str, Signature | None]]:
    for path in sorted(FAKE.glob("*.py")):
        if path.name in ("_table.py", "_state.py", "_script.py"):
            continue
        known: dict[str, list[Signature | None]] = {}
        _collect(ast.parse(path.read_text("utf-8")).body, "", known, {})
        for name, signatures in known.items():
            last = name.rpartition(".")[2]
            helper = path.name == "_knobs.py" and name in ("evaluated", "built_in")
            helper = helper or (path.name == "_nodes.py" and name == "made")
            if not helper and (not last.startswith("_") or re.fullmatch(r"__(enter|exit|getitem)__", last)):
                for signature in signatures:
                    yield name, signature


def test_every_name_of_the_stand_in_is_published(stubs: dict[str, list[Signature | None]]) -> None:
    inner = {"Knob.kind", "Knob.default"}
    unknown = {name for name, _ in _ours()} - set(stubs) - inner - ALLOWED
    assert unknown == set()


def test_parameters_and_defaults_are_the_published_ones(stubs: dict[str, list[Signature | None]]) -> None:
    wrong = []
    checked = 0
    for name, signature in _ours():
        published = [s for s in stubs.get(name, []) if s is not None]
        if signature is None or not published or any(s[2] for s in published):
            continue
        checked += 1
        if not any(signature[0] == s[0][: len(signature[0])] and signature[1] <= max(s[1], 0) for s in published):
            wrong.append((name, signature, published))
    assert wrong == []
    assert checked > 40


def test_the_adapter_uses_only_published_names_of_the_module(stubs: dict[str, list[Signature | None]]) -> None:
    used = set()
    for path in HOST.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nuke":
                used.add(node.attr)
    assert used - set(stubs) == set()
    assert len(used) > 30


def test_a_wrong_name_would_be_seen(stubs: dict[str, list[Signature | None]]) -> None:
    assert "createNode" in stubs
    assert "createNod" not in stubs
    assert "Group.setInput" in stubs, "inherited methods count"
