"""What the extension keeps outside of .blend files: the job that a saved file waits for, and what engines there are.

Plain JSON in the extension's user folder; a file that is gone or damaged means that nothing was kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional


class Store:
    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def keep_job(self, blend: str, record: Mapping[str, Any]) -> None:
        """Remember the job of a saved file; an empty record forgets it."""
        path = self._job(blend)
        if record:
            self._write(path, {**record, "blend": blend})
        elif path.exists():
            path.unlink()

    def job(self, blend: str) -> Optional[dict[str, Any]]:
        record = self._read(self._job(blend))
        return record if record.get("blend") == blend else None

    def keep_engines(self, engines: Mapping[str, Any]) -> None:
        self._write(self.folder / "engines.json", engines)

    def engines(self) -> dict[str, Any]:
        return self._read(self.folder / "engines.json")

    def _job(self, blend: str) -> Path:
        return (
            self.folder / "jobs" / (hashlib.sha256(blend.encode("utf-8", "surrogateescape")).hexdigest()[:16] + ".json")
        )

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, path: Path, data: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(json.dumps(data), encoding="utf-8")
        part.replace(path)
