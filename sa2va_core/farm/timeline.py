"""Shots from an edit: OpenTimelineIO files and CMX 3600 EDLs whose clips know their media."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from .entries import Cell, Entry

EXTENSIONS = frozenset({".otio", ".otioz", ".edl"})


class TimelineError(ValueError):
    """A sentence for the sheet's list of problems."""


def read(path: Path, handles: int, place: str) -> list[Entry]:
    """A shot for every clip, with its plate and the range that the cut shows, ``handles`` frames longer at both ends
    as far as the media goes.

    A clip's name is the shot's. A movie's frames count from 1. Raises TimelineError.
    """
    try:
        import opentimelineio as otio
    except ImportError:
        raise TimelineError("reading timelines takes OpenTimelineIO: pip install 'sa2va-roto[farm]'.") from None
    if path.suffix.lower() not in EXTENSIONS:
        raise TimelineError(f"{path.name} is no timeline; .otio, .otioz and .edl are read.")
    if not path.is_file():
        raise TimelineError(f"there is no timeline {path}.")
    try:
        timeline = otio.adapters.read_from_file(str(path))
        clips = list(timeline.find_clips())
    except Exception as error:  # every adapter raises errors of its own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise TimelineError(f"{path.name} cannot be read: {reason[0]}.") from error
    return [
        _entry(clip, path, handles, f"{place}, clip {number} ({clip.name})") for number, clip in enumerate(clips, 1)
    ]


def _entry(clip: Any, timeline: Path, handles: int, place: str) -> Entry:
    media = clip.media_reference
    if not clip.name:
        raise TimelineError(f"{place}: the clip has no name.")
    if hasattr(media, "target_url_base"):
        hashes = "#" * max(1, media.frame_zero_padding)
        plate = f"{media.target_url_base.rstrip('/')}/{media.name_prefix}{hashes}{media.name_suffix}"
        offset = media.start_frame
    elif getattr(media, "target_url", ""):
        plate, offset = media.target_url, 1
    else:
        raise TimelineError(f"{place}: the clip has no media that it could be matted from.")
    shown = clip.trimmed_range()
    available = media.available_range
    # Media time starts where the media says; plate frames start at the first file, or 1 in a movie.
    start = available.start_time if available is not None else type(shown.start_time)(0, shown.start_time.rate)
    first = offset + round((shown.start_time - start).to_frames())
    last = first + max(1, round(shown.duration.to_frames())) - 1
    low, high = first - handles, last + handles
    if available is not None:
        low, high = max(low, offset), min(high, offset + round(available.duration.to_frames()) - 1)
    fields = {
        "shot.path": Cell(str(_path(plate, timeline)), place),
        "shot.range": Cell([low, high], place),
        "shot.fps": Cell(float(shown.duration.rate), place),
    }
    return Entry(place, (clip.name,), fields, whole=True)


def _path(url: str, timeline: Path) -> Path:
    """A plate's path from a file URL or path, relative to the timeline's folder."""
    parsed = urlparse(url)
    # A drive letter looks like a scheme.
    path = unquote(parsed.path) if parsed.scheme == "file" else url
    if parsed.scheme == "file" and len(path) > 2 and path[0] == "/" and path[2] == ":":
        path = path[1:]
    return timeline.parent / path
