"""What a job has finished, on disk, so that the same job goes on from there after any kind of stop.

Two things lie in ``<folder>/.sa2va`` while a job is unfinished: ``journal.jsonl``, a header and then one line for each
finished frame, and ``state.npz``, the engine's state after some of those frames. A line that a crash tore off is
ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sa2va_core.media.atomic import output_error, write_bytes, writing

_NAME = "journal.jsonl"
#: Of records as this version writes them: frames of another form are looked at again.
_FORM = 2
_PASSED = "passed_frames"
_PLATE = "plate"


@dataclass(frozen=True)
class FrameRecord:
    """One finished frame. ``input``: fingerprint of the plate frame; ``objects``: scores by object name; ``files``:
    SHA-256 (hex) by path relative to the output folder."""

    frame: int
    plate_frame: int
    source: str
    timecode: str | None
    input: str
    objects: Mapping[str, Mapping[str, float | None]]
    files: Mapping[str, str]


def sha256(path: Path) -> str:
    """Of a file's content, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def intact(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether every file is there with the content it was written with."""
    try:
        return all(sha256(folder / name) == digest for name, digest in files.items())
    except OSError:
        return False


def remove(folder: Path, names: Iterable[str]) -> None:
    """Delete files that a manifest or journal in ``folder`` names; names that lead out of the folder are ignored."""
    for name in names:
        path = folder / name
        if path.resolve().is_relative_to(folder.resolve()):
            path.unlink(missing_ok=True)


def read_journal(scratch: Path) -> tuple[dict[str, Any], dict[int, FrameRecord]]:
    """The header of the journal in ``scratch``, and its records by frame, up to the first line that makes no sense:
    torn off, or another version's. Both are empty where there is none."""
    header: dict[str, Any] = {}
    records: dict[int, FrameRecord] = {}
    try:
        first, *lines = (scratch / _NAME).read_text("utf-8", errors="replace").splitlines()
        header = dict(json.loads(first))
        for line in lines:
            record = FrameRecord(**json.loads(line))
            records[record.frame] = record
    except (FileNotFoundError, ValueError, TypeError):
        pass
    return header, records


class Journal:
    """The journal of one output folder. ``header`` says which job and weights it belongs to; ``plate`` is a fingerprint
    of all that the job looks at, None where it cannot be had."""

    def __init__(self, scratch: Path, header: Mapping[str, Any], plate: str | None) -> None:
        self._path = scratch / _NAME
        self._state = scratch / "state.npz"
        self._header = {**json.loads(json.dumps(header)), "form": _FORM}
        self._plate = plate
        header, records = read_journal(scratch)
        known = header.pop(_PLATE, None)
        same = header == self._header
        self.records: dict[int, FrameRecord] = records if same else {}
        #: Whether the whole plate is as it was when these records were made.
        self.same_plate = plate is not None and plate == known
        #: Files of another, unfinished job, relative to the output folder.
        self.stale = [] if same else [name for record in records.values() for name in record.files]
        if not same:
            self._state.unlink(missing_ok=True)
        # Written anew: a torn last line must not swallow the next one.
        self._rewrite()

    def _rewrite(self) -> None:
        lines = [{**self._header, _PLATE: self._plate}, *(asdict(record) for record in self.records.values())]
        write_bytes(self._path, *(_line(item).encode() for item in lines))

    def append(self, record: FrameRecord) -> None:
        """Note a finished frame. Raises OutputError; the frame then counts as not finished."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(asdict(record)))
        except OSError as error:
            raise output_error(self._path, error) from error
        self.records[record.frame] = record

    def keep_only(self, frames: Iterable[int]) -> None:
        """Forget every record but those of ``frames``."""
        self.records = {frame: self.records[frame] for frame in frames}
        self._rewrite()

    def save_state(self, state: Mapping[str, NDArray[np.generic]], passed: Iterable[int]) -> None:
        """Keep ``state``, reached after the frames ``passed``, whose records must be in the journal already."""
        with writing(self._state) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = {**state, _PASSED: np.fromiter(passed, np.int64)}
            np.savez(file, **arrays)

    def load_state(self) -> tuple[dict[str, NDArray[np.generic]], list[int]] | None:
        """The last state and the frames it had passed; None when there is none that can be read."""
        try:
            with np.load(self._state, allow_pickle=False) as data:
                state = dict(data)
        except (OSError, ValueError, EOFError, BadZipFile):
            return None
        return state, [int(frame) for frame in state.pop(_PASSED)]


def _line(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False) + "\n"
