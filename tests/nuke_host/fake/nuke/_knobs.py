"""Knobs: they refuse values that theirs would not take, and every call off the main thread."""

from __future__ import annotations

import re
from typing import Any

from ._state import STATE, Misuse

INVISIBLE, STARTLINE, DO_NOT_WRITE = 0x400, 0x1000, 0x200


class Knob:
    kind: type = str
    default: Any = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        STATE.need_main("a knob was made")
        if kwargs or not args or not re.fullmatch(r"[A-Za-z_]\w*", args[0]):
            raise Misuse(f"a knob made of {args} {kwargs}")
        self._name: str = args[0]
        self._label: str | None = args[1] if len(args) > 1 else None
        self._tooltip, self._visible, self._flags = "", True, 0
        self._node: Any = None
        self._expression = ""
        self._value = self._default = self.default

    def Class(self) -> str:
        return type(self).__name__

    def name(self) -> str:
        return self._name

    def value(self, index: int = 0) -> Any:
        self._touch()
        return self._value

    def setValue(self, val: Any, chan: int = 0) -> bool:
        self._touch()
        self._check(val)
        self._value = self._kept(val)
        self._changed()
        return True

    def setExpression(self, expression: str, index: int = -1, view: str | None = None) -> bool:
        self._touch()
        self._expression = expression
        self._changed()
        return True

    def fromScript(self, script: str) -> None:
        self.setValue(script)

    def toScript(self, quote: bool = True, context: Any = None) -> str:
        return str(self._value)

    def setTooltip(self, tooltip: str) -> None:
        self._tooltip = tooltip

    def setFlag(self, flag: int) -> None:
        self._flags |= flag

    def clearFlag(self, flag: int) -> None:
        self._flags &= ~flag

    def getFlag(self, flag: int) -> bool:
        return bool(self._flags & flag)

    def setVisible(self, visible: bool) -> None:
        self._touch()
        self._visible = visible

    def visible(self) -> bool:
        return self._visible

    def _touch(self) -> None:
        STATE.need_main(f"the knob {self._name}")
        if self._node is not None:
            self._node._attached()

    def _changed(self) -> None:
        if self._node is not None:
            STATE.edited()

    def _check(self, val: Any) -> None:
        if type(val) is not self.kind:
            raise TypeError(f"{self._name} takes {self.kind.__name__}, not {val!r}")

    def _kept(self, val: Any) -> Any:
        return val


class Array_Knob(Knob):
    _range: tuple[float, float] | None = None

    def setRange(self, *args: Any, **kwargs: Any) -> None:
        least, most = args
        if not least < most:
            raise ValueError(f"a range of {args}")
        self._range = (least, most)


class Unsigned_Knob(Array_Knob):
    pass


class Int_Knob(Array_Knob):
    kind, default = int, 0


class Double_Knob(Array_Knob):
    kind, default = float, 0.0


class Boolean_Knob(Array_Knob):
    kind, default = bool, False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(args) > 2:
            self._value = args[2]


class Enumeration_Knob(Unsigned_Knob):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._values = list(args[2])
        self._value = self._default = self._values[0]

    def values(self) -> list[str]:
        return list(self._values)

    def setValues(self, *args: Any, **kwargs: Any) -> None:
        self._touch()
        self._values = list(args[0])

    def _check(self, val: Any) -> None:
        if val not in self._values:
            raise ValueError(f"{self._name} has no value {val!r}: {self._values}")


class String_Knob(Knob):
    def getText(self, oc: Any = None) -> str:
        self._touch()
        return self._value


class EvalString_Knob(String_Knob):
    def evaluate(self, *args: Any, **kwargs: Any) -> str | None:
        self._touch()
        return evaluated(self._value) or None

    def value(self, oc: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The evaluated text, says Foundry's reference; getText() is what was typed."""
        self._touch()
        return evaluated(self._value)


class Multiline_Eval_String_Knob(EvalString_Knob):
    pass


class File_Knob(EvalString_Knob):
    def evaluate(self, *args: Any, **kwargs: Any) -> str | None:
        text = super().evaluate()
        return text and re.sub(r"#+|%0?\d*d", "1", re.sub("%[vV]", STATE.views[0], text))

    def value(self, *args: Any, **kwargs: Any) -> Any:
        self._touch()
        return self._value

    def _check(self, val: Any) -> None:
        super()._check(val)
        if "\\" in re.sub(r"\\[\[\]$]", "", val):
            raise Misuse(f"a backslash in the path {val}")


class Script_Knob(String_Knob):
    def execute(self) -> None:
        self._touch()
        before, STATE.this = STATE.this, self._node
        STATE.context.append(self._node)
        try:
            import nuke

            exec(self._value, {"nuke": nuke, "__name__": "__main__"})
        finally:
            STATE.context.pop()
            STATE.this = before


class PyScript_Knob(Script_Knob):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(args) > 2:
            self._value = args[2]


class Text_Knob(Knob):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(args) > 2:
            self._value = args[2]


class Tab_Knob(Knob):
    pass


class CurveKnob(Knob):
    """Of Roto. Scripts that ran in Nuke 14 hand fromScript() the text without the braces that quote it in a script:
    github.com/bratgot/PaintFromRef and others."""

    def _check(self, val: Any) -> None:
        super()._check(val)
        if not re.match(r"\{\{v x3f99999a\}", val):
            raise Misuse(f"no curves: {val[:40]}")

    @property
    def rootLayer(self) -> list[str]:
        """The names of what is in it."""
        return re.findall(r"\{curvegroup (\S+)", self._value)


class MultiView_Knob(Knob):
    def _check(self, val: Any) -> None:
        super()._check(val)
        if not set(val.split()) <= set(STATE.views):
            raise ValueError(f"{self._name}: no such view {val!r}")


class Channel_Knob(Knob):
    default = "none"

    def _check(self, val: Any) -> None:
        known = {channel for channels in STATE.layers.values() for channel in channels}
        if val not in known | {"none"}:
            raise ValueError(f"{self._name}: there is no channel {val!r}")


def evaluated(text: str) -> str:
    """The TCL that our tests use: ``[getenv NAME]``, ``[file dirname [value root.name]]``, and escapes."""
    # Of a script that is not saved the name is empty, and Tcl's dirname of that is a dot.
    text = text.replace("[file dirname [value root.name]]", STATE.script.rpartition("/")[0] or ".")
    # Variables of Nuke 16 and later, by Foundry's NDK header GraphScope.h. One that is not known stays what it is.
    text = re.sub(r"%(?:\{(\w+)\}|(\w+))", lambda m: STATE.variables.get(m[1] or m[2], m[0]), text)
    text = re.sub(r"(?<!\\)\[getenv (\w+)\]", lambda m: STATE.environment.get(m[1], ""), text)
    if re.search(r"(?<!\\)[\[$]", text):
        raise RuntimeError(f"TCL error in {text!r}")
    return re.sub(r"\\([\[\]$])", r"\1", text)


def built_in(name: str, kind: str, default: Any, values: tuple[str, ...]) -> Knob:
    """A knob that a node class brings."""
    kinds: dict[str, type[Knob]] = {
        "string": String_Knob,
        "multiline": Multiline_Eval_String_Knob,
        "bool": Boolean_Knob,
        "int": Int_Knob,
        "file": File_Knob,
        "script": PyScript_Knob,
        "channel": Channel_Knob,
        "curves": CurveKnob,
        "views": MultiView_Knob,
        "enum": Enumeration_Knob,
    }
    knob = Enumeration_Knob(name, name, list(values)) if kind == "enum" else kinds[kind](name)
    knob._value = knob._default = default
    return knob
