"""The one job of this Blender: from a press of Generate to mattes in the document. Steps come from a timer.

Nothing here keeps Blender data: a job knows its clip by names and a uid, and looks it up when it is done.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import bpy

from sa2va_plugin import __version__
from sa2va_plugin.client import Client, Reply
from sa2va_plugin.errors import EngineError, JobSpecError, ModelError, OutputError, Sa2vaError, WorkerError
from sa2va_plugin.jobspec import EngineSpec, JobSpec, ObjectSpec, Outputs, Shot
from sa2va_plugin.messages import EngineList, FrameReady, Preview, VerdictReached
from sa2va_plugin.session import Session, View

from . import attach, preferences, properties, targets
from .frames import Plan
from .render import Render
from .store import Store
from .targets import StripTarget, Target

STEP = 0.1
_LONGEST_PHRASE = 1000


class Request(dict[str, Any]):
    """What was asked for, as JSON: scene, kind, uid, name, form, folder, plan."""


class Host(View):
    """``text`` and ``fraction``: progress. ``notice``: level (INFO, WARNING, ERROR), message, hint; shown until the next."""

    def __init__(self) -> None:
        self.command: Optional[Sequence[str]] = None
        self.worker_folder = ""
        self._forget()
        self.engines: Optional[EngineList] = None

    def _forget(self) -> None:
        self._client: Optional[Client] = None
        self._session: Optional[Session] = None
        self._render: Optional[Render] = None
        self._asked: Optional[Reply[EngineList]] = None
        self._spec: Optional[JobSpec] = None
        self._overwrite = False
        self.request: Optional[Request] = None
        self.text, self.fraction = "", None
        self.notice: tuple[str, str, str] = ("", "", "")
        self.warnings: list[str] = []
        self.verdicts: dict[str, tuple[str, str]] = {}
        self.preview_path, self.offers_go_on = "", False
        self.longest_step = 0.0

    # What the user does

    @property
    def busy(self) -> bool:
        return self._render is not None or self._spec is not None or bool(self._session and self._session.busy)

    @property
    def stage(self) -> str:
        return f"{self.text}" if self.fraction is None else f"{self.text} ({self.fraction:.0%})"

    def start(self, target: Target) -> None:
        """Matte what the target's panel says. Raises Sa2vaError for what is wrong with it."""
        if self.busy:
            raise JobSpecError("A job is running.", "Wait for it, or cancel it.")
        settings = target.claim()
        objects = _objects(settings)
        request = Request(
            scene=target.scene.name,
            kind=target.kind,
            uid=settings.uid,
            name=target.name,
            form=settings.form,
            blend=bpy.data.filepath,
        )
        self._begin(request)
        self._engine = EngineSpec(settings.engine, settings.model.strip(), preferences.device())
        if isinstance(target, StripTarget) and target.rendered:
            if target.owner.type == "SOUND":
                raise JobSpecError("A sound strip has no picture.", "Select a movie or image strip.")
            if settings.form in ("MODIFIER", "NODES", "CRYPTO"):
                raise JobSpecError(
                    "This strip must be rendered first, which the compositor cannot follow.",
                    "Choose the result Matte Strip.",
                )
            folder = _new_folder(target)
            self._objects = objects
            self.request["folder"] = str(folder)
            self._render = Render(target, _writable(folder))
            self.text = "Rendering the strip"
            return
        shot, plan = target.shot()
        self._prepare(shot, plan, objects, target)

    def _begin(self, request: Request) -> None:
        engines = self.engines
        client, session = self._client, self._session
        self._forget()
        self.engines, self._client, self._session = engines, client, session
        self.request = request
        self.text = "Reaching the worker"

    def _prepare(self, shot: Shot, plan: Plan, objects: tuple[ObjectSpec, ...], target: Target) -> None:
        assert self.request is not None
        request = self.request
        request["plan"] = targets.plan_to_text(plan)
        outputs = Outputs(
            request.get("folder") or "?",
            rgb="matte",
            plate_name=_file_name(target.name),
            per_object=target.kind == "STRIP",
            **({"cryptomatte": True} if request["form"] == "CRYPTO" and hasattr(Outputs, "cryptomatte") else {}),
        )
        spec = JobSpec(shot, objects, outputs, self._engine)
        if not request.get("folder"):
            known = _same_run(target.settings, spec.hash())
            request["folder"] = known or str(_new_folder(target))
        request["hash"] = spec.hash()
        _writable(Path(request["folder"]))
        _note_run(target.settings, request, objects)
        self._spec = JobSpec(shot, objects, _in_folder(outputs, request["folder"]), self._engine)
        self._connect()
        assert self._client is not None
        if self._client.state in ("lost", "closed"):
            self._client.reconnect()
        self._asked = None if self.engines is not None else self._client.engines()

    def cancel(self) -> None:
        if self._render is not None:
            self._render.stop()
            self._render = None
            self._end_run("cancelled")
            self.notice = ("INFO", "Cancelled.", "Generate starts again.")
        elif self._spec is not None:
            self._spec, self._asked = None, None
            self._end_run("cancelled")
            self.notice = ("INFO", "Cancelled.", "Generate starts again.")
            self._rest()
        elif self._session is not None:
            self.text = "Stopping"
            self._session.cancel()

    def go_on(self) -> None:
        self.offers_go_on = False
        self.notice = ("", "", "")
        if self._session is not None:
            self._session.go_on()

    def shut_down_worker(self) -> None:
        """End the worker; a running job waits there for its next start."""
        self._connect(start=False)
        assert self._client is not None
        if self._client.state in ("lost", "closed"):
            self._client.reconnect()
        self._client.call(self._client.shut_down_worker(), 3.0)
        self._drop()

    def ask_engines(self) -> None:
        """Start the worker if need be, and learn what it can do."""
        self._connect()
        assert self._client is not None
        if self._client.state in ("lost", "closed"):
            self._client.reconnect()
        self._asked = self._client.engines()
        self.notice = ("INFO", "Asking the worker what it can do.", "")

    # The timer

    def tick(self) -> None:
        """One small step. Never raises what a user can cause."""
        began = time.perf_counter()
        try:
            self._step()
        except Sa2vaError as error:
            self._render = None
            self.failed(error.message, error.hint)
        self.longest_step = max(self.longest_step, time.perf_counter() - began)

    @property
    def idle(self) -> bool:
        """Nothing to wait for: the timer may stop."""
        return not self.busy and self._asked is None

    def _step(self) -> None:
        if self._render is not None:
            self._step_render()
            return
        if self._session is not None:
            self._session.tick()
        if self._asked is not None and self._asked.done:
            asked, self._asked = self._asked, None
            self.engines = asked.get()
            learn_engines(self.engines)
            if self._spec is None and not self.busy:
                self.notice = ("INFO", "The worker is ready.", "")
                self._rest()
        if self._spec is not None and self._asked is None:
            self._submit()

    def _step_render(self) -> None:
        assert self._render is not None and self.request is not None
        if not self._render.step():
            self.text = f"Rendering the strip: {self._render.done} of {self._render.total} frames"
            self.fraction = self._render.done / self._render.total
            return
        render, self._render = self._render, None
        target = self._target()
        if target is None:
            raise JobSpecError("The strip is gone.", "Undo its removal, then generate again.")
        self._prepare(render.shot(), render.plan, self._objects, target)

    def _submit(self) -> None:
        """The worker is there and told what it can do: check, then hand over."""
        assert self._client is not None and self._session is not None and self._spec is not None
        worker = self._client.worker
        if worker is None:
            return
        spec, self._spec = self._spec, None
        if worker.version != __version__:
            raise WorkerError(
                f"The worker is Sa2VA Roto {worker.version}, this extension {__version__}.",
                "Stop the worker in the preferences; if it comes back the same, update both.",
            )
        if self.engines is not None:
            _check_engine(spec.engine, self.engines)
        self._session.run(spec, overwrite=True)

    # What the session tells (View)

    def progress(self, text: str, fraction: Optional[float]) -> None:
        self.text, self.fraction = text, fraction

    def finished(self, manifest: str) -> None:
        request = self.request
        self._rest()
        self.text, self.fraction, self.preview_path = "", None, ""
        if request is None:
            return
        try:
            attach.finish(request, manifest)
        except Sa2vaError as error:
            self.notice = ("ERROR", error.message, error.hint)
        else:
            self.notice = ("INFO", "Done.", "")

    def failed(self, message: str, hint: str) -> None:
        self._spec = self._asked = None
        self._end_run("stopped")
        self.text, self.fraction, self.preview_path, self.offers_go_on = "", None, "", False
        self.notice = ("ERROR", message, hint)
        self._rest()

    def lost(self, message: str, hint: str) -> None:
        self.offers_go_on = True
        self.text, self.fraction = "", None
        self.notice = ("WARNING", message, f"{hint} The job is safe: press Go On.")

    def remember(self, saved: Mapping[str, Any]) -> None:
        if not saved:
            if self.request is not None:
                store().keep_job(self.request["blend"], {})
            return
        if self.request is not None:
            self.request["job"] = saved["job"]
            self.keep()

    def keep(self, blend: str = "") -> None:
        """Write down the running job for its .blend file; one that was never saved has nobody to come back to it."""
        if self.request is None or "job" not in self.request:
            return
        if blend and blend != self.request["blend"]:
            self.request["blend"] = blend
        if self.request["blend"]:
            store().keep_job(self.request["blend"], self.request)

    def frame(self, event: FrameReady) -> None:
        pass

    def preview(self, event: Preview) -> None:
        self.preview_path = event.path

    def verdict(self, event: VerdictReached) -> None:
        self.verdicts[event.object_name] = (event.state, event.reason)

    def warning(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    # The document comes and goes

    def detach(self) -> None:
        """Leave the job to the worker: another file is about to be opened, or Blender ends."""
        if self._render is not None:
            self._render.stop()
        self._drop()

    def come_back(self, blend: str) -> bool:
        """Take up the job that a file waits for, if there is one."""
        self.detach()
        record = store().job(blend) if blend else None
        if not record or not record.get("job"):
            return False
        self.request = Request(record)
        self.text = "Coming back to the job"
        self._client = self._new_client(True)
        self._session = Session(self._client, self, {"job": record["job"]})
        return True

    def _connect(self, start: bool = True) -> None:
        if self._client is None:
            self._client = self._new_client(start)
            self._session = Session(self._client, self)

    def _new_client(self, start: bool) -> Client:
        command = self.command if self.command is not None else preferences.worker_command()
        return Client(f"Blender {bpy.app.version_string}", self.worker_folder, command, start)

    def _rest(self) -> None:
        """Hang up between jobs; the worker stays."""
        if self._client is not None:
            self._client.close()
        self._client = self._session = None

    def _drop(self) -> None:
        engines = self.engines
        self._rest()
        self._forget()
        self.engines = engines

    def _target(self) -> Optional[Target]:
        request = self.request
        if request is None:
            return None
        return targets.find(request["scene"], request["kind"], request["uid"], request["name"])

    def _end_run(self, state: str) -> None:
        target = self._target()
        if target is not None and self.request is not None and self.request.get("folder"):
            for run in target.settings.runs:
                if run.folder == self.request["folder"]:
                    run.state = state


HOST = Host()


def store() -> Store:
    return Store(bpy.utils.extension_path_user(preferences.PACKAGE, create=True))


def learn_engines(engines: EngineList) -> None:
    known = [(e.name, e.label, e.unavailable or "") for e in engines.engines]
    properties.set_engines(known)
    store().keep_engines({"engines": known})


def _check_engine(spec: EngineSpec, engines: EngineList) -> None:
    engine = next((e for e in engines.engines if e.name == spec.name), None)
    if engine is None:
        raise EngineError(f"The worker has no engine {spec.name!r}.", "Choose another engine.")
    if engine.unavailable:
        raise EngineError(f"The engine {engine.label} cannot run on this computer.", engine.unavailable)
    if spec.name != "starter":
        return
    missing = [m.name for m in engines.models if m.state == "missing"]
    if missing and not bpy.app.online_access:
        raise ModelError(
            f"Models are missing ({', '.join(missing)}), and Blender is set to stay offline.",
            "Allow Online Access in Preferences > System, or run `sa2va models fetch` once.",
        )


def _objects(settings: Any) -> tuple[ObjectSpec, ...]:
    """Raises JobSpecError for what cannot be a job, before anything is made."""
    used = [item for item in settings.objects if item.use]
    if not used:
        raise JobSpecError("There is nothing to matte yet.", "Type what the matte is of: the man on the left.")
    for item in used:
        if not item.phrase.strip():
            raise JobSpecError("A phrase is empty.", "Say in words what the matte is of.")
        if len(item.phrase) > _LONGEST_PHRASE:
            raise JobSpecError(
                f"The phrase has {len(item.phrase)} letters.", f"Say it in a sentence of up to {_LONGEST_PHRASE}."
            )
    return tuple(ObjectSpec(item.name.strip() or f"object_{n}", item.phrase.strip()) for n, item in enumerate(used, 1))


# Folders


def results_root(blend: str) -> Path:
    """Where results go: beside the .blend file, or the scratch folder while it is not saved."""
    return Path(blend).parent / "sa2va" if blend else preferences.scratch_folder()


def _file_name(name: str) -> str:
    """A clip's name as the beginning of file names."""
    return re.sub(r"[^\w\-]+", "_", Path(name).stem or name).strip("_")[:60] or "clip"


def _new_folder(target: Target) -> Path:
    base = results_root(bpy.data.filepath) / f"{_file_name(target.name)}-{target.settings.uid}"
    used = [int(m[1]) for run in target.settings.runs if (m := re.search(r"run(\d+)[\\/]?$", run.folder))]
    number = max(used, default=0) + 1
    while (base / f"run{number:03d}").exists():
        number += 1
    return base / f"run{number:03d}"


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".sa2va-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"Results cannot be written ({error.strerror}): {folder}",
            "Save the .blend where you may write, or set a scratch folder in the preferences.",
        ) from error
    return folder


def _in_folder(outputs: Outputs, folder: str) -> Outputs:
    return dataclasses.replace(outputs, folder=folder)


def _same_run(settings: Any, digest: str) -> str:
    """The folder of an earlier run of the very same job: what is finished there is not done again."""
    return next((run.folder for run in settings.runs if run.hash == digest), "")


def _note_run(settings: Any, request: Request, objects: tuple[ObjectSpec, ...]) -> None:
    run = next((r for r in settings.runs if r.folder == request["folder"]), None)
    if run is None:
        run = settings.runs.add()
    run.folder, run.hash, run.plan, run.state = request["folder"], request["hash"], request["plan"], "running"
    run.name = ", ".join(item.phrase for item in objects)[:120]
    run.summary = ""
