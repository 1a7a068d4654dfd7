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
#: Parameters; the defaults of the last of them, as written; whether any other arguments go.
Signature = tuple[list[str], dict[str, str], bool]
#: In Foundry's reference, of later versions than the stubs; the adapter does without where it is not there.
ALLOWED = frozenset({"lastHitGroup"})
#: What a stub writes where it says no more than that there is a default.
UNSAID = "..."
#: types-nuke states no default's value. These are what Nuke 15.0's own help texts say of the same functions, read in
#: github.com/sisoe24/nuke-python-stubs (MIT), a dump of them; Foundry calls setExpression's second argument channel.
HELP = {
    "choice": {"default": "0"},
    "Knob.setExpression": {"index": "-1", "view": "None"},
    "Node.knob": {"follow_link": "True"},
    "Node.setName": {"uncollide": "True", "updateExpressions": "False"},
    "Node.showControlPanel": {"forceFloat": "False"},
    "execute": {"continueOnError": "False"},
    "executeInMainThread": {"args": "()", "kwargs": "{}"},
    "layers": {"node": "None"},
    "scriptSaveAs": {"filename": "None", "overwrite": "-1"},
}
#: "Optional", say the help texts of these, and no value: what an adapter gets that leaves them out is not known.
UNKNOWN = {
    "EvalString_Knob.value": {"oc"},
    "Knob.setValue": {"chan"},
    "Knob.toScript": {"quote", "context"},
    "Knob.value": {"index"},
    "String_Knob.getText": {"oc"},
    "execute": {"incr", "views"},
    "executing": {"f"},
    "filename": {"i"},
    "scriptOpen": {"filename"},
}


@pytest.fixture(scope="module")
def stubs() -> dict[str, list[Signature | None]]:
    """``name`` or ``Class.method`` -> what the stubs say of it."""
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
    defaults = [ast.unparse(value) for value in item.args.defaults]
    return names, dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)), item.args.vararg is not None


def _agree(ours: Signature, published: Signature) -> bool:
    """Ours may be stricter: lack parameters at the end, or want one that may be left out. What may be left out in ours
    may be in Nuke, with the same default."""
    same_default = all(published[1].get(name) in (UNSAID, value) for name, value in ours[1].items())
    return ours[0] == published[0][: len(ours[0])] and same_default


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
        if not any(_agree(signature, s) for s in published):
            wrong.append((name, signature, published))
    assert wrong == []
    assert checked > 40


def test_default_values_are_those_of_nukes_own_help() -> None:
    given = {name: signature[1] for name, signature in _ours() if signature is not None and signature[1]}
    assert {name: set(values) for name, values in given.items()} == {
        name: HELP.get(name, {}).keys() | UNKNOWN.get(name, set()) for name in HELP.keys() | UNKNOWN.keys()
    }, "each default is stated or listed as unknown"
    differing = {
        n: (given[n][p], value) for n, stated in HELP.items() for p, value in stated.items() if given[n][p] != value
    }
    assert differing == {}


def test_the_adapter_uses_only_published_names_of_the_module(stubs: dict[str, list[Signature | None]]) -> None:
    used = set()
    for path in HOST.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nuke":
                used.add(node.attr)
    assert used - set(stubs) == set()
    assert len(used) > 30


@pytest.mark.parametrize(
    ("ours", "agrees"),
    [
        ((["s", "n"], {"n": "1"}, False), True),
        ((["s"], {}, False), True),
        ((["s", "n"], {"n": "2"}, False), False),
        ((["s", "n"], {"s": "''", "n": "1"}, False), False),
        ((["n"], {}, False), False),
        ((["s", "n", "more"], {}, False), False),
    ],
)
def test_a_wrong_parameter_or_default_would_be_seen(ours: Signature, agrees: bool) -> None:
    assert _agree(ours, (["s", "n"], {"n": "1"}, False)) is agrees


def test_a_wrong_name_would_be_seen(stubs: dict[str, list[Signature | None]]) -> None:
    said = {value for signatures in stubs.values() for s in signatures if s for value in s[1].values()}
    assert said == {UNSAID}, "these stubs state no value; were one stated, it would be compared"
    assert "createNode" in stubs
    assert "createNod" not in stubs
    assert "Group.setInput" in stubs, "inherited methods count"
