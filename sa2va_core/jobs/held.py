"""Frames that an engine has passed but that wait for a neighbour, as arrays beside the engine's own state.

Their mattes are not kept: they are made again from the same logits and picture, and so are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sa2va_core.engines.base import Detail, FrameResult, ObjectTrack
from sa2va_core.media.clip import Clip

_PREFIX = "held/"
_FRAMES = f"{_PREFIX}frames"
_INPUTS = f"{_PREFIX}inputs"

Arrays = dict[str, NDArray[np.generic]]


def pack(results: Sequence[FrameResult], clip: Clip) -> Arrays:
    """All of ``results`` but their pictures."""
    frames = [result.picture.frame for result in results]
    arrays: Arrays = {
        _FRAMES: np.array(frames, np.int64),
        _INPUTS: np.array([clip.fingerprint(frame) for frame in frames], np.str_),
    }
    for result in results:
        key = f"{_PREFIX}{result.picture.frame}"
        arrays[f"{key}/names"] = np.array(list(result.objects), np.str_)
        for index, track in enumerate(result.objects.values()):
            quality = np.nan if track.quality is None else track.quality
            arrays[f"{key}/{index}/logits"] = track.logits
            arrays[f"{key}/{index}/scores"] = np.array([track.presence, quality], np.float64)
            if track.pin is not None:
                arrays[f"{key}/{index}/pin"] = track.pin
            for number, detail in enumerate(track.details):
                arrays[f"{key}/{index}/detail/{number}"] = detail.logits
                arrays[f"{key}/{index}/detail/{number}/box"] = np.array(detail.box, np.float64)
    return arrays


def unpack(state: Mapping[str, NDArray[np.generic]], clip: Clip) -> tuple[Arrays, list[FrameResult] | None]:
    """The engine's own state, and the results that :func:`pack` was given, with pictures read from the plate; None in
    place of them where the plate has changed. Raises MediaError."""
    own = {key: value for key, value in state.items() if not key.startswith(_PREFIX)}
    frames = [int(frame) for frame in np.asarray(state[_FRAMES], np.int64)]
    if [clip.fingerprint(frame) for frame in frames] != [str(text) for text in state[_INPUTS]]:
        return own, None
    return own, [_result(state, frame, clip) for frame in frames]


def _result(state: Mapping[str, NDArray[np.generic]], frame: int, clip: Clip) -> FrameResult:
    key = f"{_PREFIX}{frame}"
    names = [str(name) for name in state[f"{key}/names"]]
    tracks = {name: _track(state, f"{key}/{index}") for index, name in enumerate(names)}
    return FrameResult(clip.read(frame), tracks)


def _track(state: Mapping[str, NDArray[np.generic]], key: str) -> ObjectTrack:
    presence, quality = (float(value) for value in np.asarray(state[f"{key}/scores"], np.float64))
    pin = state.get(f"{key}/pin")
    return ObjectTrack(
        np.asarray(state[f"{key}/logits"], np.float32),
        presence,
        None if np.isnan(quality) else quality,
        None if pin is None else np.asarray(pin, np.float32),
        tuple(_details(state, f"{key}/detail")),
    )


def _details(state: Mapping[str, NDArray[np.generic]], key: str) -> Iterator[Detail]:
    number = 0
    while (logits := state.get(f"{key}/{number}")) is not None:
        x0, y0, x1, y1 = (float(share) for share in np.asarray(state[f"{key}/{number}/box"], np.float64))
        yield Detail(np.asarray(logits, np.float32), (x0, y0, x1, y1))
        number += 1
