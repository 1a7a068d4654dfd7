"""docs/protocol.md says what the code does. ``python -m tests.protocol.test_docs`` writes its tables anew."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from pathlib import Path

import pytest
from sa2va_plugin import connection, messages, protocol

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
BEGIN, END = "<!-- tables: generated from messages.py by tests/protocol/test_docs.py -->", "<!-- end of tables -->"


def type_name(hint: object) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        return f"{type_name(args[0])} or null"
    if origin is tuple:
        return f"list of {type_name(args[0])}"
    if origin is dict:
        return "object"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return names.get(hint) or f"[{hint.__name__}](#{hint.__name__.lower()})"  # type: ignore[call-overload, attr-defined]


def table(cls: type, without: frozenset[str] = frozenset()) -> str:
    hints = typing.get_type_hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.name not in without]
    if not fields:
        return "No members.\n"
    rows = ["| member | type | default | meaning |", "|---|---|---|---|"]
    for field in fields:
        default = "" if field.default is dataclasses.MISSING else f"`{json.dumps(field.default)}`"
        meaning = field.metadata["doc"].replace("|", "\\|")
        rows.append(f"| `{field.name}` | {type_name(hints[field.name])} | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


def tables() -> str:
    parts, shapes = [BEGIN, "\n## Verbs\n"], {}
    for name, verb in messages.VERBS.items():
        parts += [f"### `{name}`\n", f"{verb.doc}\n", f"Params:\n\n{table(verb.params)}"]
        parts.append(f"Result: [{verb.result.__name__}](#{verb.result.__name__.lower()})\n")
        shapes[verb.result] = None
    parts.append("## Results\n")
    for cls in (*shapes, messages.EngineDescription, messages.ModelDescription):
        parts += [f"### {cls.__name__}\n", table(cls)]
    parts += ["## Events\n", "The method is `event/` and the kind. Every event has:\n", table(messages.Event)]
    common = frozenset(field.name for field in dataclasses.fields(messages.Event))
    for kind, cls in messages.EVENTS.items():
        parts += [f"### `event/{kind}`\n", f"{' '.join((cls.__doc__ or '').split())}\n", table(cls, common)]
    return "\n".join([*parts, END])


def test_the_tables_are_those_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    found = text[text.index(BEGIN) : text.index(END) + len(END)]
    assert found == tables(), "run: python -m tests.protocol.test_docs"


def test_the_numbers_are_those_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    assert f"{protocol.MAX_BODY:,} bytes" in text
    assert f"deeper than {protocol.MAX_DEPTH}" in text
    assert f"up to {protocol.MAX_ID} characters" in text
    assert f"client to worker, {connection.GREETING_SIZE} bytes" in text
    assert f"worker to client, {connection.ANSWER_SIZE} bytes" in text
    assert f"client to worker, {connection.PROOF_SIZE} bytes" in text
    codes = {int(code) for code in re.findall(r"^\| (-\d+) \|", text, re.MULTILINE)}
    ours = {value for name, value in vars(protocol).items() if isinstance(value, int) and value < -30000}
    assert codes == ours
    assert "version\n1." in text
    assert protocol.VERSIONS == (1,)


def test_the_example_is_a_message() -> None:
    text = PAGE.read_text("utf-8")
    match = re.search(r"```\n(Content-Length.*?)\n```", text, re.DOTALL)
    assert match
    stream = match[1].replace("\n", "").replace("\\r", "\r").replace("\\", "").replace("\rn", "\r\n").encode()
    [message] = protocol.Parser().feed(stream)
    assert protocol.classify(message) == protocol.Request(1, "ping", {})


def test_the_connection_file_is_described_whole() -> None:
    text = PAGE.read_text("utf-8")
    match = re.search(r'```json\n(\{"port".*?)\n```', text)
    assert match
    assert set(json.loads(match[1])) == {field.name for field in dataclasses.fields(connection.Connection)}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_folders_are_described(platform: str) -> None:
    home = "%HOME%" if platform == "win32" else "~"
    environ = {"LOCALAPPDATA": "%LOCALAPPDATA%"}
    assert f"`{connection.worker_folder(environ, platform, home, '<machine>')}`" in PAGE.read_text("utf-8")


if __name__ == "__main__":
    page = PAGE.read_text("utf-8")
    PAGE.write_text(page[: page.index(BEGIN)] + tables() + page[page.index(END) + len(END) :], "utf-8")
