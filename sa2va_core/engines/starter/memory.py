"""All that a session carries from frame to frame, and its form as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import EngineError

from sa2va_core.engines.base import VerdictState

from .cast import Cast, Choice
from .skin import Skin
from .track import Track

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass
class Memory:
    """``grey``: the last frame as optical flow sees it. ``done``: frames given so far. ``seen``: for each object, the
    frames that show it."""

    cast: Cast | None = None
    tracks: list[Track] = field(default_factory=list)
    grey: NDArray[np.uint8] | None = None
    done: int = 0
    seen: list[list[int]] = field(default_factory=list)


# What lives for one frame only is not carried.
_TRACK_FIELDS = [f.name for f in fields(Track) if f.name not in ("detection", "whole")]


def pack(memory: Memory) -> dict[str, NDArray[np.generic]]:
    """``memory`` as arrays of numbers and fixed-length text, without any Python object in them."""
    assert memory.cast is not None
    cast = memory.cast
    out: dict[str, NDArray[np.generic]] = {
        "done": np.array(memory.done),
        "groups": np.array(len(cast.looks)),
        "tracks": np.array(len(memory.tracks)),
        "choice_states": np.array([c.state for c in cast.choices]),
        "choice_reasons": np.array([c.reason for c in cast.choices]),
    }
    for i, looks in enumerate(cast.looks):
        out[f"looks.{i}"] = looks
    for i, choice in enumerate(cast.choices):
        if choice.members is not None:
            out[f"choice.{i}"] = np.array(choice.members, np.int64)
    if cast.skin is not None:
        out["skin.mean"], out["skin.inverse"] = cast.skin.mean, cast.skin.inverse
    for i, track in enumerate(memory.tracks):
        out.update({f"track.{i}.{name}": np.array(getattr(track, name)) for name in _TRACK_FIELDS})
    for i, frames in enumerate(memory.seen):
        out[f"seen.{i}"] = np.array(frames, np.int64)
    if memory.grey is not None:
        out["grey"] = memory.grey
    return out


def unpack(arrays: Arrays, objects: int) -> Memory:
    """The memory that :func:`pack` wrote for a job of ``objects`` objects. Raises EngineError for anything else."""
    try:
        choices = tuple(
            Choice(
                tuple(int(m) for m in arrays[f"choice.{i}"]) if f"choice.{i}" in arrays else None,
                _state(str(state)),
                str(reason),
            )
            for i, (state, reason) in enumerate(zip(arrays["choice_states"], arrays["choice_reasons"], strict=True))
        )
        tone = Skin(_f8(arrays["skin.mean"]), _f8(arrays["skin.inverse"])) if "skin.mean" in arrays else None
        looks = tuple(np.asarray(arrays[f"looks.{i}"], np.float32) for i in range(int(arrays["groups"])))
        tracks = [_track(arrays, i) for i in range(int(arrays["tracks"]))]
        grey = np.asarray(arrays["grey"], np.uint8) if "grey" in arrays else None
        seen = [[int(f) for f in arrays[f"seen.{i}"]] for i in range(objects)]
        return Memory(Cast(looks, choices, tone), tracks, grey, int(arrays["done"]), seen)
    except (KeyError, ValueError, TypeError) as error:
        raise EngineError(
            f"The saved state does not fit this job ({error!r}).", "Start the job over; its finished frames are kept."
        ) from error


def _f8(array: NDArray) -> NDArray[np.float64]:
    return np.asarray(array, np.float64)


def _state(text: str) -> VerdictState:
    for state in get_args(VerdictState):
        if text == state:
            return state
    raise ValueError(text)


def _track(arrays: Arrays, number: int) -> Track:
    values: dict[str, Any] = {}
    for name in _TRACK_FIELDS:
        value = arrays[f"track.{number}.{name}"]
        values[name] = value.item() if value.ndim == 0 else value.copy()
    return Track(**values)
