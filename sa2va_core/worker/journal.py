"""Jobs on disk: one folder each, with ``job.json`` (what and how far) and ``events.jsonl`` (all that was told).

A line of the event log is the very message that clients get, and line N is event N. Following a job is reading its log,
so a client that is slow, or comes back tomorrow, costs the worker no memory.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import OutputError, Sa2vaError
from sa2va_plugin.files import replace
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.messages import STATES, JobStatus
from sa2va_plugin.protocol import notification

KEEP = 500
_EVENTS = "events.jsonl"
_CHUNK = 64 * 1024
_ID = re.compile(r"[0-9a-f]{12}")
_logger = logging.getLogger(__name__)


class EventLog:
    """The events of one job. ``watchers`` are called after each append."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.watchers: set[Callable[[], None]] = set()
        self.last = 0
        self._size = 0
        self._unwritten = b""
        self._repair()

    def _repair(self) -> None:
        """Count what is there, and cut off the half line that a killed worker may have left."""
        try:
            with open(self.path, "r+b") as stream:
                for line in stream:
                    if not line.endswith(b"\n"):
                        stream.truncate(self._size)
                        break
                    self.last += 1
                    self._size += len(line)
        except FileNotFoundError:
            pass

    @property
    def failing(self) -> bool:
        """Whether the disk does not take what was appended. It is told to clients all the same."""
        return bool(self._unwritten)

    def append(self, job: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Number events, write them and wake watchers. ``bodies``: fields of an event, with its ``kind``."""
        lines = [self._unwritten]
        for body in bodies:
            self.last += 1
            params = {"job": job, "seq": self.last, "time": round(time.time(), 3), **body}
            lines.append(notification(f"event/{params.pop('kind')}", params) + b"\n")
        self._unwritten = b"".join(lines)
        self._write()
        for wake in tuple(self.watchers):
            wake()

    def _write(self) -> None:
        try:
            with open(self.path, "ab", buffering=0) as stream:
                written = stream.write(self._unwritten) or 0
            self._size += written
            self._unwritten = self._unwritten[written:]
        except OSError as error:
            _logger.error("events cannot be written (%s): %s", error.strerror, self.path)

    def read(self, offset: int) -> bytes:
        """Whole lines from byte ``offset`` on, about 64 KiB at most; empty at the end."""
        wanted = _CHUNK
        while True:
            data = self._bytes(offset, wanted)
            end = data.rfind(b"\n") + 1
            if end or len(data) < wanted:
                return data[:end]
            wanted *= 4

    def _bytes(self, offset: int, count: int) -> bytes:
        data = b""
        if offset < self._size:
            try:
                with open(self.path, "rb") as stream:
                    stream.seek(offset)
                    data = stream.read(min(count, self._size - offset))
            except FileNotFoundError:
                # Pruned while somebody was still reading.
                return b""
        if len(data) < count:
            start = max(0, offset - self._size)
            data += self._unwritten[start : start + count - len(data)]
        return data

    def offset_after(self, seq: int) -> int:
        """Where event ``seq`` + 1 begins."""
        offset, left = 0, min(seq, self.last)
        while left > 0:
            lines = self.read(offset).splitlines(keepends=True)[:left]
            offset += sum(map(len, lines))
            left -= len(lines)
        return offset


@dataclass
class Job:
    """One job as the worker knows it. ``order``: arrival, counted; clocks may jump."""

    log: EventLog
    id: str
    order: int
    spec: dict[str, Any]
    priority: int
    client: str
    submitted: float
    overwrite: bool = False
    state: str = "queued"
    manifest: str = ""
    error: str = ""
    message: str = ""
    hint: str = ""
    done: int = 0
    total: int = 0

    @property
    def over(self) -> bool:
        return self.state not in ("queued", "running")

    def status(self, position: int | None) -> JobStatus:
        return JobStatus(
            job=self.id,
            state=self.state,
            priority=self.priority,
            position=position,
            plate=self.spec["shot"]["path"],
            objects=tuple(item["name"] for item in self.spec["objects"]),
            folder=self.spec["outputs"]["folder"],
            client=self.client,
            submitted=self.submitted,
            done=self.done,
            total=self.total,
            last=self.log.last,
            manifest=self.manifest,
            error=self.error,
            message=self.message,
            hint=self.hint,
        )


class Journal:
    """All jobs of a worker, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, Job] = {}
        self._next = 1
        #: Of the finished ones, in the order of their ends; the order alone counts.
        self._over: dict[str, None] = {}

    def load(self) -> None:
        """Read what an earlier worker left. A job that cannot be read is left alone and logged."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        found = []
        for path in sorted(self.folder.iterdir()):
            if _ID.fullmatch(path.name):
                try:
                    found.append(self._read(path))
                except (OSError, ValueError, TypeError, KeyError, RecursionError, Sa2vaError) as error:
                    _logger.warning("a job cannot be read and is passed over (%s): %s", error, path)
        for job in sorted(found, key=lambda job: job.order):
            self.jobs[job.id] = job
            self._next = job.order + 1
        self.prune()

    def _read(self, folder: Path) -> Job:
        kept = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        job = Job(EventLog(folder / _EVENTS), **kept)
        if job.id != folder.name or job.state not in STATES or type(job.order) is not int:
            raise ValueError("its record is damaged")
        JobSpec.from_dict(job.spec)
        return job

    def new(self, spec: JobSpec, priority: int, client: str, overwrite: bool) -> Job:
        """A job that is not on disk yet: :meth:`add` puts it there."""
        identity = secrets.token_hex(6)
        order, self._next = self._next, self._next + 1
        log = EventLog(self.folder / identity / _EVENTS)
        return Job(log, identity, order, spec.to_dict(), priority, client, round(time.time(), 3), overwrite)

    def add(self, job: Job) -> None:
        """Write a new job down. Raises OutputError: a job that is not on disk is not accepted."""
        folder = self.folder / job.id
        try:
            folder.mkdir(mode=0o700)
            self.save(job)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise OutputError(
                f"The worker cannot write the job down ({error.strerror}): {self.folder}", "Make room on that disk."
            ) from error

    def save(self, job: Job) -> None:
        """Replace ``job.json`` as a whole. Raises OSError."""
        kept = {name: value for name, value in vars(job).items() if name != "log"}
        target = self.folder / job.id / "job.json"
        temporary = target.with_suffix(".tmp")
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(kept, stream)
            stream.flush()
            os.fsync(stream.fileno())
        replace(temporary, target)

    def prune(self) -> None:
        """Forget the finished jobs beyond KEEP that ended first. Results are not touched.

        Call it after each end. Of jobs that ended under an earlier worker their arrival counts.
        """
        for job in self.jobs.values():
            if job.over:
                self._over.setdefault(job.id)
        for identity in list(self._over)[: max(0, len(self._over) - KEEP)]:
            del self._over[identity], self.jobs[identity]
            shutil.rmtree(self.folder / identity, ignore_errors=True)
