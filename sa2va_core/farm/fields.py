"""The columns of a prompt sheet: which field of the job each one sets, and how its text is read.

Every field of a job's shot, engine, matte and outputs is a column under its dotted name (``matte.refine``); common ones
have a short name too. The table is made from the job's own JSON Schema, so it cannot disagree with it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from sa2va_plugin.jobspec import json_schema

_SHORT = {
    "plate": "shot.path",
    "range": "shot.range",
    "frames": "shot.frames",
    "output_first": "shot.output_first",
    "first_frame": "shot.movie_first",
    "fps": "shot.fps",
    "missing": "shot.missing",
    "view": "shot.view",
    "plate_layer": "shot.layer",
    "colour_space": "shot.colour_space",
    "color_space": "shot.colour_space",
    "ocio": "shot.ocio_config",
    "engine": "engine.name",
    "model": "engine.model",
    "device": "engine.device",
    "format": "outputs.format",
    "rgb": "outputs.rgb",
}
#: What a row says of the shot and the object themselves.
OWN = ("shot", "name", "phrase", "negative")
PLATE = "shot.path"


def _schemas() -> dict[str, Mapping[str, Any]]:
    properties = json_schema()["properties"]
    return {
        f"{part}.{name}": schema
        for part in ("shot", "engine", "matte", "outputs")
        for name, schema in properties[part]["properties"].items()
        if (part, name) != ("outputs", "folder")  # the batch decides that
    }


SCHEMAS = _schemas()
COLUMNS = (*OWN, *_SHORT, *(path for path in SCHEMAS if path != PLATE))


def column(text: str) -> str:
    """The own column or the job's field that a heading means. Raises ValueError with a sentence for one that is
    unknown."""
    name = re.sub(r"[\s-]+", "_", text.strip().lower())
    if name in OWN or name in SCHEMAS:
        return name
    if name in _SHORT:
        return _SHORT[name]
    near = difflib.get_close_matches(name, COLUMNS, n=3)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"known are {', '.join((*OWN, *_SHORT))} and the job's fields."
    )
    raise ValueError(f"there is no column {text.strip()[:40]!r}: {hint}")


def read_text(path: str, text: str) -> Any:
    """The JSON value that ``text`` means in the job's field ``path``. Raises ValueError with a sentence."""
    schema = SCHEMAS[path]
    for option in schema.get("anyOf", ()):
        if option["type"] != "null":
            schema = option
    if "prefixItems" in schema:
        return list(frame_range(text))
    kind = schema["type"]
    if kind == "array":
        return frame_list(text)
    if kind == "boolean":
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.strip().lower() in words:
            return words[text.strip().lower()]
        raise ValueError(f"must be yes or no, not {_shown(text)}.")
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            raise ValueError(
                f"must be a {'whole number' if kind == 'integer' else 'number'}, not {_shown(text)}."
            ) from None
    return text


def frame_range(text: str) -> tuple[int, int]:
    """``"1001-1100"`` or ``"1001"`` -> first and last. Raises ValueError with a sentence."""
    match = re.fullmatch(r"\s*(-?\d+)\s*(?:[-:]\s*(-?\d+)\s*)?", text)
    if not match:
        raise ValueError(f"must be a frame range such as 1001-1100, not {_shown(text)}.")
    return int(match[1]), int(match[2] if match[2] is not None else match[1])


def frame_list(text: str) -> list[int]:
    """``"1-3, 7"`` -> [1, 2, 3, 7]. Raises ValueError with a sentence."""
    frames: list[int] = []
    for part in filter(str.strip, text.split(",")):
        first, last = frame_range(part)
        frames += range(first, last + 1)
    return frames


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
