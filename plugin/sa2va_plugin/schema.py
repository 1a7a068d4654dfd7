"""JSON Schema (draft 2020-12) of dataclasses, generated from their type hints and from what their fields say.

It describes what :class:`~sa2va_plugin.strict.Reader` takes, for the types that a job is made of: dataclasses, tuples,
``Optional``, int, float, str and bool.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, field
from typing import Any, Union

from . import hints
from .strict import encode


def doc(text: str, default: Any = MISSING) -> Any:
    """A field with a description for people."""
    return field(default=default, metadata={"doc": text})


def one_of(*values: str, doc: str, default: str) -> Any:
    """A field that takes these values only."""
    return field(default=default, metadata={"enum": values, "doc": doc})


def schema_of(kind: Any) -> dict[str, Any]:
    """The schema of a value of that type. The first line of a class's docstring describes it to people, so it is plain
    text."""
    origin, args = hints.parts(kind)
    if origin is Union:
        return {"anyOf": [schema_of(args[0]), {"type": "null"}]}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        kinds = hints.of(kind)
        fields = dataclasses.fields(kind)
        return {
            "type": "object",
            "description": (kind.__doc__ or "").split("\n")[0],
            "properties": {f.name: _field_schema(kinds[f.name], f) for f in fields},
            "required": [f.name for f in fields if f.default is MISSING],
            "additionalProperties": False,
        }
    if origin is tuple:
        if args[-1] is Ellipsis:
            return {"type": "array", "items": schema_of(args[0])}
        return {
            "type": "array",
            "prefixItems": [schema_of(a) for a in args],
            "minItems": len(args),
            "maxItems": len(args),
        }
    return {"type": {int: "integer", float: "number", str: "string", bool: "boolean"}[kind]}


def _field_schema(kind: Any, f: dataclasses.Field[Any]) -> dict[str, Any]:
    made = schema_of(kind)
    if "enum" in f.metadata:
        made["enum"] = list(f.metadata["enum"])
    if f.metadata.get("doc"):
        made["description"] = f.metadata["doc"]
    if f.default is not MISSING:
        made["default"] = encode(f.default)
    return made
