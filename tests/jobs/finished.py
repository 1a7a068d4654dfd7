"""Which files a job has finished, and whether they were written again since, be it with the same content."""

from __future__ import annotations

import json
from pathlib import Path

Stamps = dict[Path, tuple[int, int]]


def stamps_of(folder: Path) -> Stamps:
    """By path, the inode and time of every file that a job in ``folder`` is through with.

    Those of its journal while it is unfinished; all of the folder once there is a manifest.
    """
    try:
        lines = (folder / ".sa2va" / "journal.jsonl").read_text().splitlines()[1:]
    except FileNotFoundError:
        lines = []
    if (folder / "manifest.json").exists():
        files = [path for path in folder.rglob("*") if path.is_file() and not _passing(path)]
        return {path: _stamp(path) for path in files}
    # The last line may be torn.
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return {folder / name: _stamp(folder / name) for record in records for name in record["files"]}


def written_again(before: Stamps) -> list[Path]:
    """Those of ``before`` that are not the same files any more; what a job needs only while it runs may be gone."""
    return [path for path, stamp in before.items() if (_stamp(path) != stamp if path.exists() else not _passing(path))]


def _passing(path: Path) -> bool:
    """Whether a job needs it only while it runs."""
    return not {".sa2va", ".sa2va.lock"}.isdisjoint(path.parts)


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns
