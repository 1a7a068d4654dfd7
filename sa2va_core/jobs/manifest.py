"""``manifest.json``: what a job made, from what, and with what. The last file a job writes; its presence means done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sa2va_plugin import __version__
from sa2va_plugin.jobspec import JobSpec, ObjectSpec
from sa2va_plugin.naming import layer_name

from sa2va_core.engines.base import EngineInfo, Verdict
from sa2va_core.media.atomic import write_bytes
from sa2va_core.media.frames import PlateFacts
from sa2va_core.media.stored import read_stored

from .journal import FrameRecord, sha256

NAME = "manifest.json"
VERSION = 1
_FIELDS = {
    "job_hash": str,
    "job": dict,
    "made_by": dict,
    "plate": dict,
    "objects": list,
    "warnings": list,
    "files": dict,
    "frames": list,
}


def build(
    spec: JobSpec,
    objects: Sequence[ObjectSpec],
    part_of: Mapping[str, str],
    engine: EngineInfo,
    facts: PlateFacts,
    verdicts: Mapping[str, Verdict],
    records: Iterable[FrameRecord],
    files: Mapping[str, str],
    warnings: Sequence[str],
    qc: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The manifest as plain data. It holds no times and no machine names: the same job twice gives the same text.

    ``objects``: those of the job and their parts; ``part_of``: the object's name by the part's. ``qc``: what
    ``qc.json`` holds.
    """
    records = list(records)
    return {
        "version": VERSION,
        "job_hash": spec.hash(),
        "job": spec.to_dict(),
        "made_by": {"sa2va_roto": __version__, "engine": {**asdict(engine), "weights": dict(engine.weights)}},
        "plate": {
            "name": facts.stem,
            "size": list(facts.size),
            "pixel_aspect": facts.pixel_aspect,
            "fps": f"{facts.fps.numerator}/{facts.fps.denominator}",
            "colour_space": facts.colour_space,
            "colour_source": facts.colour_source,
        },
        "objects": [
            {
                "name": item.name,
                "phrase": item.phrase,
                "part_of": part_of.get(item.name),
                "layer": layer_name(item.name),
                "verdict": verdicts[item.name].state,
                "reason": verdicts[item.name].reason,
                "frames": ranges(verdicts[item.name].frames),
                **({"second_looks": _second_looks(item.name, records)} if spec.matte.second_look else {}),
                **_qc_of(item.name, qc),
            }
            for item in objects
        ],
        "pins": pins(spec),
        "warnings": list(warnings),
        "files": dict(files),
        "frames": [asdict(record) for record in records],
    }


def pins(spec: JobSpec) -> dict[str, str]:
    """SHA-256 (hex) of the mattes that the user made for the job, by path. What is missing has none."""
    paths = {pin.path for item in spec.objects for pin in item.masks}
    return {path: sha256(Path(path)) for path in sorted(paths) if Path(path).is_file()}


def _second_looks(name: str, records: Sequence[FrameRecord]) -> int:
    """On how many frames an object's matte is made of a second look."""
    return sum(bool(record.objects[name].get("second_look")) for record in records)


def _qc_of(name: str, qc: Mapping[str, Any] | None) -> dict[str, Any]:
    """The QC's last word on an object: its score and worst frame; both None where there was nothing to judge."""
    for item in (qc or {}).get("objects", ()):
        if item["name"] == name:
            return {"score": item["score"], "worst_frame": item["worst_frame"]}
    return {"score": None, "worst_frame": None}


def write(folder: Path, data: Mapping[str, Any]) -> Path:
    """Put it in its place, whole; returns the file. Raises OutputError."""
    path = folder / NAME
    write_bytes(path, (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest in ``folder``, or None when there is none. Raises ResultError for one that cannot be understood."""
    return read_stored(folder / NAME, VERSION, _FIELDS)


def ranges(frames: Iterable[int]) -> str:
    """``[1, 2, 3, 7]`` -> ``"1-3, 7"``."""
    spans: list[list[int]] = []
    for frame in sorted(frames):
        if spans and frame == spans[-1][1] + 1:
            spans[-1][1] = frame
        else:
            spans.append([frame, frame])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def parse_ranges(text: str) -> list[int]:
    """The inverse of :func:`ranges`."""
    frames: list[int] = []
    for span in filter(None, text.split(", ")):
        match = re.fullmatch(r"(-?\d+)(?:-(-?\d+))?", span)
        if match:
            frames.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frames
