"""One job from spec to results. The command line, the worker and the farm all run jobs through :func:`run_job`.

Frames are read ahead by the clip's threads, go through the engine one after the other on the caller's thread, and are
made into mattes and files by a pool of threads, so that decode, compute and write overlap. What is in flight is
bounded, so memory does not depend on the length of the clip.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sa2va_plugin import __version__
from sa2va_plugin.errors import Cancelled
from sa2va_plugin.jobspec import JobSpec, ObjectSpec

from sa2va_core.engines import registry
from sa2va_core.engines.base import Engine, FrameResult, ShotSession, Verdict
from sa2va_core.mattes.neighbours import Neighbours, Step
from sa2va_core.mattes.qc import result as qc
from sa2va_core.mattes.stage import Look, MatteStage
from sa2va_core.media.clip import Clip, open_clip
from sa2va_core.media.overlay import waiting_picture
from sa2va_core.media.write import SCRATCH, keep_apart, result_stem

from . import held, manifest
from .events import Done, FrameReady, Listener, Progress, Started, VerdictReached, Warned
from .folder import (
    clear,
    finished,
    keep_pins,
    kept,
    plate_fingerprint,
    refuse_other_job,
    remove_scratch,
    sole_use,
    unchanged,
)
from .journal import FrameRecord, Journal, remove, sha256
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
    the same folder, which is a ResultError otherwise.

    Raises the Sa2vaError subclasses; Cancelled when stopped. What was finished by then stays.
    """
    folder = Path(spec.outputs.folder)
    with ExitStack() as stack:
        clip = stack.enter_context(open_clip(spec.shot))
        keep_apart(clip.source_of(clip.frames[0]).path, folder)
        keep_pins(spec, folder)
        result_stem(spec.outputs, clip.facts)  # raises for what cannot be a name
        stack.enter_context(sole_use(folder))
        if not overwrite:
            refuse_other_job(spec, folder)
        if engine is None:
            on_event(Progress("loading the engine", 0, len(clip.frames), None, None))
            engine = registry.create(spec.engine)
            stack.callback(engine.close)
        engine.check(spec.objects, spec.matte.second_look)
        path = finished(spec, folder, clip, engine, on_event)
        if path is None:
            clear(folder)
            with _Run(spec, folder, clip, engine, on_event, cancelled or threading.Event()) as run:
                path = run.execute()
        remove_scratch(folder)
    on_event(Done(path))
    return path


@dataclass(frozen=True)
class _Looked:
    """What the engine gave for a frame, and its mattes by that frame alone, being made; None until they are wanted."""

    result: FrameResult
    look: Future[Look] | None


class _Run:
    """The state of one run: what is in flight and what is done."""

    def __init__(
        self,
        spec: JobSpec,
        folder: Path,
        clip: Clip,
        engine: Engine,
        on_event: Listener,
        cancelled: threading.Event,
    ) -> None:
        self._spec, self._folder, self._clip, self._engine = spec, folder, clip, engine
        self._on_event, self._cancelled = on_event, cancelled
        self._journal = Journal(folder / SCRATCH, _header(spec, engine), plate_fingerprint(clip))
        remove(folder, self._journal.stale)
        self._stage = MatteStage(spec.matte, clip.facts.size, engine.info.device)
        self._walk = Neighbours[_Looked]({frame: place for place, frame in enumerate(clip.frames)})
        workers = min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="matte")
        self._room = 2 * workers
        self._pending: deque[Future[FrameRecord]] = deque()
        self._passed: list[int] = []
        self._times: deque[float] = deque(maxlen=_RATE_WINDOW)
        self._done = 0
        self._stage_began = ("", 0.0)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def execute(self) -> Path:
        total = len(self._clip.frames)
        state = self._resume()
        self._done = len(self._journal.records)
        self._on_event(Started(self._spec.hash(), self._engine.info.label, total, self._done))
        session = self._engine.open_shot(self._clip, self._spec.objects, state, self._spec.matte.second_look)
        self._on_event(Progress("looking the shot over", self._done, total, None, None))
        self._prepare_files(session.parts())
        self._times.append(time.monotonic())
        results = session.run()
        try:
            for count, result in enumerate(results, 1):
                self._take(result)
                stop = self._cancelled.is_set()
                if stop or count % _CHECKPOINT_FRAMES == 0:
                    self._checkpoint(session)
                if stop:
                    raise Cancelled(
                        f"Stopped with {self._done} of {total} frames finished.", "Run the same command to go on."
                    )
            for step in self._walk.rest():
                self._submit(step)
            self._collect(leave=0)
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                close()
        return self._finish(session.verdicts())

    def _prepare_files(self, parts: Mapping[str, Sequence[str]]) -> None:
        """Make the sinks. A part follows its object and is written as an object is."""
        self._objects = [
            layer
            for item in self._spec.objects
            for layer in (item, *(ObjectSpec(name, item.phrase) for name in parts.get(item.name, ())))
        ]
        self._part_of = {part: whole for whole, names in parts.items() for part in names}
        provenance = _provenance(self._spec, self._engine)
        self._sinks = sinks_of(self._spec, self._objects, self._part_of, self._clip, provenance, self._step)
        for sink in self._sinks:
            sink.remove_strays(self._clip.frames)

    def _resume(self) -> Mapping[str, Any] | None:
        """The engine's state to go on from, if the frames before it still stand; they are then passed.

        Frames that were finished after that state was saved are kept as well, where nothing has changed: the engine
        must see them again to remember them, but their mattes are not made again.
        """
        records = self._journal.records
        stand = {frame for frame, record in records.items() if unchanged(record, self._clip, self._folder)}
        saved = self._journal.load_state()
        state, results = None, None
        if saved is not None and stand.issuperset(saved[1]):
            state, results = held.unpack(saved[0], self._clip)
            self._passed = saved[1] if results is not None else []
        self._journal.keep_only(records if self._journal.same_plate and stand == set(records) else self._passed)
        for result in results or ():
            self._walk.add(result.picture.frame, self._looked(result))
        return state if results is not None else None

    def _checkpoint(self, session: ShotSession) -> None:
        self._collect(leave=0)
        state = session.state()
        if state is not None:
            results = [looked.result for looked in self._walk.held.values()]
            self._journal.save_state({**state, **held.pack(results, self._clip)}, self._passed)

    def _take(self, result: FrameResult) -> None:
        """A frame from the engine: its mattes are begun; those of the frame before it can be finished."""
        self._collect(leave=self._room - 1)
        for step in self._walk.add(result.picture.frame, self._looked(result)):
            self._submit(step)

    def _looked(self, result: FrameResult) -> _Looked:
        finished = result.picture.frame in self._journal.records
        return _Looked(result, None if finished else self._pool.submit(self._stage.look, result))

    def _submit(self, step: Step[_Looked]) -> None:
        self._passed.append(step.frame)
        if step.frame in self._journal.records:
            return
        # Submitted before what waits for them, so a thread has them or has done them.
        looks = [
            looked.look or self._pool.submit(self._stage.look, looked.result) for looked in (step.item, *step.beside)
        ]
        self._pending.append(self._pool.submit(self._make_files, step, looks))

    def _make_files(self, step: Step[_Looked], looks: Sequence[Future[Look]]) -> FrameRecord:
        frame, result = step.frame, step.item.result
        source = self._clip.source_of(frame)
        own, *beside = (look.result() for look in looks)
        mattes = self._stage.finish(own, beside)
        scores = {
            name: {
                "presence": round(track.presence, 4),
                "quality": None if track.quality is None else round(track.quality, 4),
                "coverage": round(float(mattes[name].mean()), 6),
                "peak": round(float(mattes[name].max()), 6),
                **({"second_look": bool(track.details)} if self._spec.matte.second_look else {}),
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
            paths = [self._folder / name for name in kept(record.files)]
            self._on_event(FrameReady(record.frame, paths, waiting_picture(self._folder, record.frame)))
            span = self._times[-1] - self._times[0]
            rate = (len(self._times) - 1) / span if span > 0 else None
            left = len(self._clip.frames) - self._done
            self._on_event(Progress("matting", self._done, len(self._clip.frames), rate, left / rate if rate else None))

    def _step(self, stage: str, done: int, total: int) -> None:
        """Progress of what is long in finishing. Raises Cancelled."""
        if self._cancelled.is_set():
            raise Cancelled(f"Stopped while {stage}; all frames are matted.", "Run the same command to go on.")
        if self._stage_began[0] != stage:
            self._stage_began = (stage, time.monotonic())
        spent = time.monotonic() - self._stage_began[1]
        self._on_event(Progress(stage, done, total, None, spent * (total - done) / done if done else None))

    def _finish(self, verdicts: Mapping[str, Verdict]) -> Path:
        total = len(self._clip.frames)
        records = [self._journal.records[frame] for frame in self._clip.frames]
        verdicts = {name: replace(verdict, frames=_inside(name, records)) for name, verdict in verdicts.items()}
        for name, verdict in verdicts.items():
            self._on_event(VerdictReached(name, verdict))
        self._on_event(Progress("finishing", total, total, None, None))
        records = [replace(record, files=kept(record.files)) for record in records]
        sources = [self._clip.source_of(frame) for frame in self._clip.frames]
        made = [path for sink in self._sinks for path in sink.finish(sources, verdicts)]
        warnings = [*self._clip.warnings, *(message for sink in self._sinks for message in sink.warnings)]
        for message in warnings:
            self._on_event(Warned(message))
        self._on_event(Progress("writing the manifest", total, total, None, None))
        data = manifest.build(
            self._spec,
            self._objects,
            self._part_of,
            self._engine.info,
            self._clip.facts,
            verdicts,
            records,
            {path.relative_to(self._folder).as_posix(): sha256(path) for path in made},
            warnings,
            qc.read(self._folder),
        )
        return manifest.write(self._folder, data)


def _inside(name: str, records: Sequence[FrameRecord]) -> tuple[int, ...]:
    """The frames on which an object's matte has an inside. An engine may bridge frames on which it does not see the
    object, the user may pin some, and settings may take all of it; what is told must be what the files hold."""
    return tuple(record.frame for record in records if (record.objects[name]["peak"] or 0.0) > 0.5)


def _header(spec: JobSpec, engine: Engine) -> dict[str, Any]:
    info = engine.info
    made_by = {"engine": info.name, "version": info.version, "weights": dict(info.weights)}
    return {"job_hash": spec.hash(), **made_by, "pins": manifest.pins(spec)}


def _provenance(spec: JobSpec, engine: Engine) -> dict[str, str]:
    info = engine.info
    return {
        "software": f"Sa2VA Roto {__version__}",
        "engine": f"{info.label} {info.version}",
        "model": info.model,
        "weights": ", ".join(f"{name} {digest}" for name, digest in sorted(info.weights.items())),
        "job": spec.hash(),
        "settings": " ".join(f"{name}={value}" for name, value in asdict(spec.matte).items()),
    }
