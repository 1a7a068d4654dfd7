"""Dataclasses to plain JSON data and back, strictly: what is unknown, missing or ill-typed is an error that says where.

One walk over the type hints serves every file of ours that people or programs may write by hand. It knows dataclasses,
named tuples of numbers, tuples, ``Optional``, int, float, str and bool; a field's metadata may hold ``enum``.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Optional, Union

from . import hints
from .errors import Sa2vaError

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def encode(value: Any, lean: bool = False) -> Any:
    """``lean``: without fields that have their default."""
    if dataclasses.is_dataclass(value):
        items = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {f.name: encode(item, lean) for f, item in items if not (lean and item == f.default)}
    if isinstance(value, tuple):
        return [encode(item, lean) for item in value]
    return value


@dataclass(frozen=True)
class Reader:
    """Reads one kind of file. ``thing`` is what messages call it; ``error`` what is raised; ``form`` and ``mend`` the
    hints for a field that is missing and for one that is ill-typed."""

    thing: str
    error: type[Sa2vaError]
    form: str
    mend: str

    def read(self, kind: Any, value: Any, path: str = "", enum: Optional[tuple[str, ...]] = None) -> Any:
        """``value`` as a ``kind``; ``path`` is its place in the file. Parts that were read before stay as they are."""
        origin, args = hints.parts(kind)
        if origin is Union:
            return None if value is None else self.read(args[0], value, path, enum)
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            return value if isinstance(value, kind) else self._read_class(kind, value, path)
        if origin is tuple:
            return self._read_tuple(args, value, path)
        if isinstance(kind, type) and issubclass(kind, tuple):
            return self._read_numbers(kind, value, path)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self._mistyped(path, value, _WORDS[kind])
        if enum is not None and value not in enum:
            raise self._mistyped(path, value, "one of " + ", ".join(enum))
        return value

    def _read_tuple(self, args: tuple[Any, ...], value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise self._mistyped(path, value, "a list")
        if args[-1] is Ellipsis:
            return tuple(self.read(args[0], item, f"{path}[{i}]") for i, item in enumerate(value))
        if len(value) != len(args):
            raise self._mistyped(path, value, f"a list of {len(args)}")
        return tuple(self.read(a, item, f"{path}[{i}]") for i, (a, item) in enumerate(zip(args, value)))

    def _read_numbers(self, kind: Any, value: Any, path: str) -> Any:
        size = len(kind._fields)
        if not isinstance(value, list) or len(value) != size:
            raise self._mistyped(path, value, f"a list of {size} numbers")
        if not all(type(item) in (int, float) and math.isfinite(item) for item in value):
            raise self._mistyped(path, value, f"a list of {size} numbers")
        return kind(*map(float, value))

    def _read_class(self, kind: type, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise self._mistyped(path or self.thing, value, "an object")
        kinds, known = hints.of(kind), {f.name: f for f in dataclasses.fields(kind)}
        prefix = f"{path}." if path else ""
        for name in value:
            if name not in known:
                raise self.error(
                    f"The {self.thing} has no field {prefix}{name}.", "Known here: " + ", ".join(known) + "."
                )
        for name, f in known.items():
            if f.default is dataclasses.MISSING and name not in value:
                raise self.error(f"The {self.thing} lacks the field {prefix}{name}.", self.form)
        return kind(**{n: self.read(kinds[n], v, prefix + n, known[n].metadata.get("enum")) for n, v in value.items()})

    def _mistyped(self, path: str, value: Any, wanted: str) -> Sa2vaError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return self.error(f"{path} must be {wanted}, not {shown}.", self.mend)
