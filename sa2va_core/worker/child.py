"""The engine's own process: reads jobs from stdin, runs them, tells of them on stdout, a JSON object a line.

Whatever happens to it (a lost GPU, no memory, a kill) happens to one job. It ends when its worker does: stdin closes.
In: ``{"run": id, "spec": {...}, "overwrite": false}``, ``{"cancel": id}``. Out: fields of an event with its ``kind``;
a ``done`` or ``failed`` closes each job.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from sa2va_plugin.connection import worker_folder
from sa2va_plugin.errors import EngineError, Sa2vaError
from sa2va_plugin.jobspec import EngineSpec, JobSpec
from sa2va_plugin.messages import EngineList, ModelDescription

from sa2va_core.engines import registry
from sa2va_core.engines.base import Engine
from sa2va_core.jobs import events
from sa2va_core.jobs.runner import run_job
from sa2va_core.media.clip import open_clip
from sa2va_core.models import store

from .lock import ProcessLock
from .preview import Previews

PREDECESSOR_ENDS_WITHIN = 15.0


class Channel:
    """The way to the worker. What libraries print goes to stderr, which the worker logs."""

    def __init__(self) -> None:
        self._out: IO[bytes] = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def send(self, body: dict[str, Any]) -> None:
        with self._lock:
            self._out.write(json.dumps(body, allow_nan=False).encode("ascii") + b"\n")
            self._out.flush()


def bodies(event: events.Event) -> list[dict[str, Any]]:
    """An event of the job runner as the protocol has it."""
    match event:
        case events.Started():
            return [{"kind": "started", "engine": event.engine, "total": event.total, "kept": event.kept}]
        case events.Progress():
            return [{"kind": "progress", **asdict(event)}]
        case events.FrameReady():
            return [{"kind": "frame_ready", "frame": event.frame, "paths": [str(path) for path in event.paths]}]
        case events.VerdictReached():
            verdict = {"state": event.verdict.state, "reason": event.verdict.reason}
            frames = [int(frame) for frame in event.verdict.frames]
            return [{"kind": "verdict", "object_name": event.object_name, **verdict, "frames": frames}]
        case events.Warned():
            return [{"kind": "warning", "message": event.message}]
        case events.Done():
            return [{"kind": "done", "manifest": str(event.manifest)}]


class Warm:
    """The engine that was used last, kept loaded. ``device``: the GPU that ``auto`` means in this lane, or ``auto``."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._spec: EngineSpec | None = None
        self._engine: Engine | None = None

    def get(self, spec: EngineSpec) -> Engine | None:
        return self._engine if self._spec == spec else None

    def load(self, spec: EngineSpec) -> Engine:
        if self._engine is not None:
            self._engine.close()
            self._engine = self._spec = None
        self._engine, self._spec = registry.create(self._placed(spec)), spec
        return self._engine

    def _placed(self, spec: EngineSpec) -> EngineSpec:
        if spec.device == "auto" and registry.factory(spec.name).needs(spec).gpu_memory_mib:
            return replace(spec, device=self._device)
        return spec


def run(channel: Channel, warm: Warm, message: dict[str, Any], cancelled: threading.Event) -> None:
    """One job, from its spec to the line that closes it."""
    previews = Previews()

    def tell(event: events.Event) -> None:
        # The closing line is sent below, when the runner has let go of everything.
        if not isinstance(event, events.Done):
            for body in bodies(event):
                channel.send(body)
        if isinstance(event, events.FrameReady) and event.preview is not None:
            preview = previews.make(event.preview, event.frame)
            if preview is not None:
                channel.send({"kind": "preview", "frame": event.frame, "path": str(preview)})

    try:
        spec = JobSpec.from_dict(message["spec"])
        tell(events.Progress("opening the plate", 0, 0, None, None))
        engine = warm.get(spec.engine)
        if engine is None:
            # Loading may take long: a plate that is not there should be known before.
            open_clip(spec.shot).close()
            tell(events.Progress("loading the engine", 0, 0, None, None))
            engine = warm.load(spec.engine)
        manifest = run_job(spec, engine=engine, on_event=tell, cancelled=cancelled, overwrite=message["overwrite"])
        closing = {"kind": "done", "manifest": str(manifest)}
    except Sa2vaError as error:
        closing = _failed(error)
    except Exception as error:  # noqa: BLE001 - an engine may raise anything, and it must cost one job only
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}".strip(": ").partition("\n")[0]
        hint = "Out of memory: use a smaller model or device. " if isinstance(error, MemoryError) else ""
        closing = _failed(EngineError(f"The engine failed: {what}.", f"{hint}The worker's log has the details."))
    channel.send(closing)


def _failed(error: Sa2vaError) -> dict[str, Any]:
    return {"kind": "failed", "error": type(error).__name__, "message": error.message, "hint": error.hint}


def describe() -> EngineList:
    """What the verb ``engines`` answers."""
    models = [
        ModelDescription(row.weight.name, row.weight.role, row.state, row.weight.licence, row.weight.size)
        for row in store.installed()
    ]
    return EngineList(registry.describe(), tuple(models))


def _listen(stream: IO[bytes], jobs: queue.SimpleQueue[tuple[dict[str, Any], threading.Event]]) -> None:
    current: dict[str, threading.Event] = {}
    for line in stream:
        message = json.loads(line)
        if "run" in message:
            cancelled = threading.Event()
            current = {message["run"]: cancelled}
            jobs.put((message, cancelled))
        elif message.get("cancel") in current:
            current[message["cancel"]].set()
    # The worker is gone, or has no more use for this process. Files appear whole, so nothing is lost by leaving now.
    os._exit(0)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--describe", action="store_true")
    parser.add_argument("--lane", type=int, default=0)
    parser.add_argument("--device", default="auto")
    return parser


def main(arguments: Sequence[str] = ()) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
    channel = Channel()
    options = _options().parse_args(arguments)
    if options.describe:
        channel.send(asdict(describe()))
        return 0
    # What a terminal or a log-out sends to all processes is the worker's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    lock = ProcessLock(Path(worker_folder()) / (f"engine-{options.lane}.lock" if options.lane else "engine.lock"))
    deadline = time.monotonic() + PREDECESSOR_ENDS_WITHIN
    while not lock.acquire():
        if time.monotonic() > deadline:
            print(f"another engine process ({lock.owner()}) does not end", file=sys.stderr)  # noqa: T201
            return 1
        time.sleep(0.02)
    jobs: queue.SimpleQueue[tuple[dict[str, Any], threading.Event]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, jobs), daemon=True).start()
    warm = Warm(options.device)
    with contextlib.suppress(BrokenPipeError):
        while True:
            message, cancelled = jobs.get()
            run(channel, warm, message, cancelled)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
