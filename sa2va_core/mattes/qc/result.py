"""``qc.json``: scores, reasons and measures as plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import QualityError, ResultError
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.media.contact_sheet import Judged
from sa2va_core.media.frames import PlateFacts
from sa2va_core.media.stored import read_stored

from .score import Judgement, Track

NAME, REPORT = "qc.json", "report.html"
VERSION = 1
_WORST = 100


def build(
    facts: PlateFacts,
    objects: Sequence[ObjectSpec],
    verdicts: Mapping[str, Judged],
    provenance: Mapping[str, str],
    frames: Sequence[int],
    tracks: Sequence[Track],
    judgements: Sequence[Sequence[Judgement]],
    scale: float,
) -> dict[str, Any]:
    """Everything the report says, in plain data; the same job twice gives the same. Lengths are in picture pixels."""
    found = [
        (judgement.points, frames[t], index, judgement)
        for index, judged in enumerate(judgements)
        for t, judgement in enumerate(judged)
        if judgement.reasons
    ]
    found.sort(key=lambda item: (-item[0], item[1], item[2]))
    return {
        "version": VERSION,
        "shot": {
            "name": facts.stem,
            "size": list(facts.size),
            "fps": f"{facts.fps.numerator}/{facts.fps.denominator}",
            "first": frames[0],
            "last": frames[-1],
            "count": len(frames),
        },
        "made_by": dict(provenance),
        "objects": [
            _object(item, verdicts[item.name], frames, track, judged, scale)
            for item, track, judged in zip(objects, tracks, judgements, strict=True)
        ],
        "worst": [
            {
                "frame": frame,
                "object": objects[index].name,
                "score": judgement.score,
                "reasons": list(judgement.reasons),
            }
            for _, frame, index, judgement in found[:_WORST]
        ],
        "frames": list(frames),
    }


def _object(
    item: ObjectSpec,
    verdict: Judged,
    frames: Sequence[int],
    track: Track,
    judged: Sequence[Judgement],
    scale: float,
) -> dict[str, Any]:
    scores = [judgement.score for judgement in judged]
    known = [score for score in scores if score is not None]
    worst = max(range(len(judged)), key=lambda t: (judged[t].points, -t))
    agreements = [link.agreement if link else None for link in track.links]
    return {
        "name": item.name,
        "phrase": item.phrase,
        "verdict": verdict.state,
        "reason": verdict.reason,
        # An object is as good as its worst frame: that is the one somebody will see.
        "score": min(known, default=None),
        "mean_score": round(sum(known) / len(known), 4) if known else None,
        "peak": round(max(track.peak), 4),
        "worst_frame": frames[worst] if known else None,
        "worst_reasons": list(judged[worst].reasons) if known else [],
        "measures": {
            "score": scores,
            "area": _rounded(track.area, 6),
            "presence": _rounded(track.presence, 4),
            "flow_iou": _rounded((a and a.iou for a in agreements), 4),
            "boundary_displacement": _rounded((a and a.displacement * scale for a in agreements), 3),
            "band_width": _rounded(track.band, 2),
        },
    }


def _rounded(values: Iterable[float | None], digits: int) -> list[float | None]:
    return [None if value is None or math.isnan(value) else round(value, digits) for value in values]


def encode(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def read(folder: Path) -> dict[str, Any] | None:
    """The ``qc.json`` in ``folder``, or None when there is none. Raises ResultError for one that makes no sense."""
    return read_stored(folder / NAME, VERSION, {"shot": dict, "objects": list, "worst": list})


@dataclass(frozen=True)
class Below:
    """An object whose score does not reach what was asked for."""

    name: str
    score: float
    frame: int
    reason: str


def below(data: Mapping[str, Any], least: float) -> list[Below]:
    """The objects of a ``qc.json`` that score under ``least``, the worst first. One without a score (never in the
    shot) is not among them: its verdict says so."""
    found = [
        Below(item["name"], item["score"], item["worst_frame"], "; ".join(item["worst_reasons"]))
        for item in data["objects"]
        if item["score"] is not None and item["score"] < least
    ]
    return sorted(found, key=lambda item: item.score)


def lost(data: Mapping[str, Any]) -> dict[str, str]:
    """The objects of a ``qc.json`` that the engine found, and whose matte has no inside on any frame all the same; and
    what became of it, in words."""
    return {
        item["name"]: f"nowhere over one half (at most {item['peak']:.2g})" if item["peak"] else "empty on every frame"
        for item in data["objects"]
        if item["verdict"] != "not in shot" and item["peak"] <= 0.5
    }


def require(folder: Path) -> dict[str, Any]:
    """As :func:`read`. Raises ResultError instead of None."""
    data = read(folder)
    if data is None:
        raise ResultError(
            f"There is no QC in this folder: {folder}", "Name the folder that a finished `sa2va matte` wrote."
        )
    return data


def require_score(data: Mapping[str, Any], folder: Path, least: float) -> None:
    """Raise QualityError unless every object of a ``qc.json`` that was found has a matte with an inside, and scores
    ``least`` or more. The results stay."""
    told = [f"{name!r} was found, but its matte is {what}" for name, what in lost(data).items()]
    told += [
        f"{item.name!r} scores {item.score:.2f}, worst on frame {item.frame} ({item.reason})"
        for item in below(data, least)
    ]
    if told:
        raise QualityError(f"Below {least:g}: {'. '.join(told)}.", f"The results are kept. Look at {folder / REPORT}")
