"""One job from spec to results. The command line, the worker and the farm all run jobs through :func:`run_job`.

Frames are read ahead by the clip's threads, go through the engine one after the other on the caller's thread, and are
made into mattes and files by a pool of threads, so that decode, compute and write overlap. What is in flight is
bounded, so memory does not depend on the length of the clip.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sa2va_plugin import __version__
from sa2va_plugin.errors import Cancelled, OutputError
from sa2va_plugin.jobspec import JobSpec

from sa2va_core.engines import registry
from sa2va_core.engines.base import Engine, FrameResult, Verdict
from sa2va_core.mattes.alpha import alpha
from sa2va_core.mattes.qc import result as qc
from sa2va_core.media.atomic import output_error
from sa2va_core.media.clip import Clip, open_clip
from sa2va_core.media.overlay import waiting_picture
from sa2va_core.media.write import SCRATCH

from . import manifest
from .events import Done, FrameReady, Listener, Progress, Started, VerdictReached, Warned
from .journal import FrameRecord, Journal, intact, remove, sha256
from .sinks import MattedFrame, sinks_of

_CHECKPOINT_FRAMES = 20
_RATE_WINDOW = 30


def run_job(
    spec: JobSpec,
    *,
    engine: Engine | None = None,
    on_event: Listener = lambda event: None,
    cancelled: threading.Event | None = None,
    overwrite: bool = False,
) -> Path:
    """Run ``spec`` and return the path of its manifest.

    A job that was stopped goes on from its last checkpoint; a finished one whose inputs and files are unchanged is not
    run again. ``engine``: a loaded engine to use (and leave open); None loads the one the job names. ``on_event`` is
    called on this thread. ``cancelled``: set it from anywhere to stop. ``overwrite``: replace another job's results in
    the same folder, which is an OutputError otherwise.

    Raises the Sa2vaError subclasses; Cancelled when stopped. What was finished by then stays.
    """
    folder = Path(spec.outputs.folder)
    scratch = _make_folders(folder)
    with ExitStack() as stack:
        stack.enter_context(_sole_use(scratch))
        clip = stack.enter_context(open_clip(spec.shot))
        if engine is None:
            on_event(Progress("loading the engine", 0, len(clip.frames), None, None))
            engine = registry.create(spec.engine)
            stack.callback(engine.close)
        engine.check(spec.objects)
        path = _finished(spec, folder, clip, engine, on_event)
        if path is None:
            _clear_other_job(spec, folder, scratch, overwrite)
            run = _Run(spec, folder, scratch, clip, engine, on_event, cancelled or threading.Event())
            path = stack.enter_context(run).execute()
    shutil.rmtree(scratch, ignore_errors=True)
    on_event(Done(path))
    return path


class _Run:
    """The state of one run: what is in flight and what is done."""

    def __init__(
        self,
        spec: JobSpec,
        folder: Path,
        scratch: Path,
        clip: Clip,
        engine: Engine,
        on_event: Listener,
        cancelled: threading.Event,
    ) -> None:
        self._spec, self._folder, self._clip, self._engine = spec, folder, clip, engine
        self._on_event, self._cancelled = on_event, cancelled
        self._journal = Journal(scratch, _header(spec, engine))
        remove(folder, self._journal.stale)
        self._sinks = sinks_of(spec, clip, _provenance(spec, engine), self._step)
        for sink in self._sinks:
            sink.remove_strays(clip.frames)
        workers = min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="matte")
        self._room = 2 * workers
        self._pending: deque[Future[FrameRecord]] = deque()
        self._times: deque[float] = deque(maxlen=_RATE_WINDOW)
        self._done = 0
        self._finishing = 0.0

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def execute(self) -> Path:
        total = len(self._clip.frames)
        state, passed = self._resume()
        self._done = len(passed)
        self._on_event(Started(self._spec.hash(), self._engine.info.label, total, len(passed)))
        session = self._engine.open_shot(self._clip, self._spec.objects, state)
        self._times.append(time.monotonic())
        results = session.run()
        try:
            for count, result in enumerate(results, 1):
                self._submit(result)
                passed.append(result.picture.frame)
                stop = self._cancelled.is_set()
                if stop or count % _CHECKPOINT_FRAMES == 0:
                    self._collect(leave=0)
                    reached = session.state()
                    if reached is not None:
                        self._journal.save_state(reached, passed)
                if stop:
                    raise Cancelled(
                        f"Stopped with {self._done} of {total} frames finished.", "Run the same command to go on."
                    )
            self._collect(leave=0)
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                close()
        return self._finish(session.verdicts())

    def _resume(self) -> tuple[Mapping[str, Any] | None, list[int]]:
        """The engine's state to go on from and the frames it had passed, if all of them still stand."""
        saved = self._journal.load_state()
        if saved is not None:
            state, passed = saved
            records = [self._journal.records.get(frame) for frame in passed]
            if all(record is not None and _unchanged(record, self._clip, self._folder) for record in records):
                self._journal.keep_only(passed)
                return state, passed
        self._journal.keep_only([])
        return None, []

    def _submit(self, result: FrameResult) -> None:
        self._collect(leave=self._room - 1)
        self._pending.append(self._pool.submit(self._make_files, result))

    def _make_files(self, result: FrameResult) -> FrameRecord:
        frame = result.picture.frame
        source = self._clip.source_of(frame)
        size, refine = self._clip.facts.size, self._spec.matte.refine
        mattes = {name: alpha(track, result.picture, size, refine) for name, track in result.objects.items()}
        scores = {
            name: {
                "presence": round(track.presence, 4),
                "quality": None if track.quality is None else round(track.quality, 4),
                "coverage": round(float(mattes[name].mean()), 6),
            }
            for name, track in result.objects.items()
        }
        matted = MattedFrame(source, result.picture, mattes, scores)
        paths = [path for sink in self._sinks for path in sink.write(matted)]
        record = FrameRecord(
            frame=frame,
            plate_frame=source.plate_frame,
            source=source.path.name,
            timecode=source.timecode,
            input=self._clip.fingerprint(frame),
            objects=scores,
            files={path.relative_to(self._folder).as_posix(): sha256(path) for path in paths},
        )
        return record

    def _collect(self, leave: int) -> None:
        """Note finished frames in order; wait until at most ``leave`` are in flight."""
        while self._pending and (len(self._pending) > leave or self._pending[0].done()):
            record = self._pending.popleft().result()
            self._journal.append(record)
            self._done += 1
            self._times.append(time.monotonic())
            paths = [self._folder / name for name in _kept(record.files)]
            self._on_event(FrameReady(record.frame, paths, waiting_picture(self._folder, record.frame)))
            span = self._times[-1] - self._times[0]
            rate = (len(self._times) - 1) / span if span > 0 else None
            left = len(self._clip.frames) - self._done
            self._on_event(Progress("matting", self._done, len(self._clip.frames), rate, left / rate if rate else None))

    def _step(self, stage: str, done: int, total: int) -> None:
        """Progress of what is long in finishing. Raises Cancelled."""
        if self._cancelled.is_set():
            raise Cancelled(f"Stopped while {stage}; all frames are matted.", "Run the same command to go on.")
        spent = time.monotonic() - self._finishing
        self._on_event(Progress(stage, done, total, None, spent * (total - done) / done if done else None))

    def _finish(self, verdicts: Mapping[str, Verdict]) -> Path:
        total = len(self._clip.frames)
        for name, verdict in verdicts.items():
            self._on_event(VerdictReached(name, verdict))
        self._on_event(Progress("finishing", total, total, None, None))
        self._finishing = time.monotonic()
        records = [self._journal.records[frame] for frame in self._clip.frames]
        records = [replace(record, files=_kept(record.files)) for record in records]
        sources = [self._clip.source_of(frame) for frame in self._clip.frames]
        made = [path for sink in self._sinks for path in sink.finish(sources, verdicts)]
        warnings = [*self._clip.warnings, *(message for sink in self._sinks for message in sink.warnings)]
        for message in warnings:
            self._on_event(Warned(message))
        data = manifest.build(
            self._spec,
            self._engine.info,
            self._clip.facts,
            verdicts,
            records,
            {path.relative_to(self._folder).as_posix(): sha256(path) for path in made},
            warnings,
            qc.read(self._folder),
        )
        return manifest.write(self._folder, data)


def _make_folders(folder: Path) -> Path:
    scratch = folder / SCRATCH
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "lock").touch()
    except OSError as error:
        raise output_error(folder, error) from error
    return scratch


@contextmanager
def _sole_use(scratch: Path) -> Iterator[None]:
    """One job at a time in a folder; the system drops the lock when its holder dies."""
    try:
        with FileLock(scratch / "lock", timeout=0):
            yield
    except Timeout:
        raise OutputError(
            f"Another job is writing to this folder: {scratch.parent}",
            "Wait for it, cancel it, or choose another output folder.",
        ) from None


def _header(spec: JobSpec, engine: Engine) -> dict[str, Any]:
    info = engine.info
    return {"job_hash": spec.hash(), "engine": info.name, "version": info.version, "weights": dict(info.weights)}


def _provenance(spec: JobSpec, engine: Engine) -> dict[str, str]:
    info = engine.info
    return {
        "software": f"Sa2VA Roto {__version__}",
        "engine": f"{info.label} {info.version}",
        "model": info.model,
        "weights": ", ".join(f"{name} {digest}" for name, digest in sorted(info.weights.items())),
        "job": spec.hash(),
        "settings": f"refine={spec.matte.refine}",
    }


def _unchanged(record: FrameRecord, clip: Clip, folder: Path) -> bool:
    return record.input == clip.fingerprint(record.frame) and intact(folder, record.files)


def _kept(files: Mapping[str, str]) -> dict[str, str]:
    """Those of a frame's files that stay when the job is over."""
    return {name: digest for name, digest in files.items() if not name.startswith(SCRATCH + "/")}


def _finished(spec: JobSpec, folder: Path, clip: Clip, engine: Engine, on_event: Listener) -> Path | None:
    """The manifest of the same job, if it was finished here and nothing has changed since."""
    data = manifest.read(folder)
    if data is None or data["job_hash"] != spec.hash():
        return None
    made_by = data["made_by"]["engine"]
    if made_by["version"] != engine.info.version or made_by["weights"] != dict(engine.info.weights):
        return None
    records = [FrameRecord(**record) for record in data["frames"]]
    if [record.frame for record in records] != list(clip.frames) or not intact(folder, data["files"]):
        return None
    if not all(_unchanged(record, clip, folder) for record in records):
        return None
    on_event(Started(spec.hash(), engine.info.label, len(records), len(records)))
    for item in data["objects"]:
        frames = manifest.parse_ranges(item["frames"])
        on_event(VerdictReached(item["name"], Verdict(item["verdict"], item["reason"], frames)))
    return folder / manifest.NAME


def _clear_other_job(spec: JobSpec, folder: Path, scratch: Path, overwrite: bool) -> None:
    """Remove what an earlier, different job left here, if that is wanted; only files that its manifest names."""
    data = manifest.read(folder)
    if data is None:
        return
    if data["job_hash"] != spec.hash() and not overwrite:
        phrases = ", ".join(f'"{item["phrase"]}"' for item in data["objects"])
        raise OutputError(
            f"The folder holds the results of another job ({phrases}): {folder}",
            "Choose another folder, or say --overwrite to replace them.",
        )
    (folder / manifest.NAME).unlink()
    remove(folder, [*data["files"], *(name for record in data["frames"] for name in record["files"])])
