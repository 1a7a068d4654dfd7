"""What a finished run holds, read from its manifest. No Nuke in here."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from sa2va_plugin.errors import MediaError

from . import order

_HINT = "Choose the folder of a finished run: it holds manifest.json."


@dataclass(frozen=True)
class Run:
    """``mattes``: the pattern of the EXR files, with ####. ``layers``: of the objects, in the job's order. ``said``: a
    line an object: its verdict. ``missing``: frames of the range that have no file."""

    folder: str
    mattes: str
    layers: tuple[str, ...]
    first: int
    last: int
    missing: int
    said: tuple[str, ...]
    warnings: tuple[str, ...]
    cryptomatte: Optional[str] = None
    splines: Optional[str] = None


def read(path: str) -> Run:
    """``path``: a run's folder, or its manifest. Raises MediaError."""
    place = Path(path)
    manifest = place if place.name == "manifest.json" else place / "manifest.json"
    try:
        data = json.loads(manifest.read_text("utf-8"))
        frames = [record["frame"] for record in data["frames"]]
        folder, names = manifest.parent, data["frames"][0]["files"]
        splines = folder / "splines.json"
        return Run(
            folder=folder.as_posix(),
            mattes=_pattern(folder, names, "mattes/", frames[0]),
            layers=tuple(item["layer"] for item in data["objects"]),
            first=min(frames),
            last=max(frames),
            missing=max(frames) - min(frames) + 1 - len(frames),
            said=tuple(said(item["name"], item["verdict"], item["reason"]) for item in data["objects"]),
            warnings=tuple(data["warnings"]),
            cryptomatte=_pattern(folder, names, "cryptomatte/", frames[0]) or None,
            splines=splines.as_posix() if splines.is_file() else None,
        )
    except FileNotFoundError:
        raise MediaError(f"There is no finished run: {manifest.parent}", _HINT) from None
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise MediaError(f"The run's manifest cannot be read: {manifest}", _HINT) from error


def history(base: str) -> list[Run]:
    """The finished runs in a folder of versions, newest first."""
    found = []
    for version in sorted(order.versions(base), reverse=True):
        with contextlib.suppress(MediaError):
            found.append(read(f"{base}/v{version:03d}"))
    return found


def said(name: str, verdict: str, reason: str) -> str:
    """An object's verdict as a line for people."""
    return f"{name}: {verdict}." if verdict == "found" else f"{name}: {verdict}. {reason}".rstrip()


def _pattern(folder: Path, names: list[str], start: str, frame: int) -> str:
    """The first of ``names`` in that folder, its frame number opened; empty when there is none."""
    for name in names:
        if name.startswith(start) and name.endswith(".exr"):
            sign = "-" if frame < 0 else ""
            number = f".{sign}{abs(frame):04d}."
            head, found, tail = name.rpartition(number)
            if found:
                return (folder / f"{head}.####.{tail}").as_posix()
    return ""
