"""The one job of this Blender: from a press of Generate to mattes in the document. Steps come from a timer.

Nothing here keeps Blender data: a job knows its clip by names and a uid, and looks it up when it is done.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import bpy
from sa2va_plugin import __version__
from sa2va_plugin.client import Client, Reply
from sa2va_plugin.errors import JobSpecError, Sa2vaError, WorkerError
from sa2va_plugin.jobspec import EngineSpec, JobSpec, ObjectSpec, Shot
from sa2va_plugin.messages import EngineList, FrameReady, Preview, VerdictReached
from sa2va_plugin.session import Session, View

from . import attach, compat, order, preferences, properties, targets
from .frames import Plan
from .render import Render
from .store import Store
from .targets import StripTarget, Target

STEP = 0.1


_CANCELLED = ("INFO", "Cancelled.", "Its finished frames are kept; Generate goes on from there.")


class Request(dict[str, Any]):
    """What was asked for, as JSON: scene, kind, uid, name, form, folder, plan."""


class Host(View):
    """``text`` and ``fraction``: progress. ``notice``: level (INFO, WARNING, ERROR), message, hint, until the next."""

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
        self._finishing: Optional[Iterator[None]] = None
        self.request: Optional[Request] = None
        self.text, self.fraction = "", None
        self.notice: tuple[str, str, str] = ("", "", "")
        self.warnings: list[str] = []
        self.verdicts: dict[str, tuple[str, str]] = {}
        self.preview_path, self.offers_go_on = "", False
        self._cancelled = False
        self.longest_step = 0.0

    # What the user does

    @property
    def busy(self) -> bool:
        waiting = self._render, self._spec, self._finishing
        return any(part is not None for part in waiting) or bool(self._session and self._session.busy)

    def start(self, target: Target) -> None:
        """Matte what the target's panel says. Raises Sa2vaError for what is wrong with it."""
        if self.busy:
            raise JobSpecError("A job is running.", "Wait for it, or cancel it.")
        settings = target.claim()
        objects = order.objects(settings)
        request = Request(
            scene=target.scene.name,
            kind=target.kind,
            uid=settings.uid,
            name=target.name,
            form=settings.form,
            blend=bpy.data.filepath,
        )
        if isinstance(target, StripTarget) and target.owner.parent_meta() and settings.form == "STRIP":
            raise JobSpecError(
                f"{target.name} lies in a meta strip, where a matte strip cannot reach it.",
                "Matte the meta strip itself, or choose another result.",
            )
        self._begin(request)
        self._engine = EngineSpec(settings.engine, bpy.path.abspath(settings.model.strip()), preferences.device())
        if isinstance(target, StripTarget) and target.rendered:
            if target.owner.type == "SOUND":
                raise JobSpecError("A sound strip has no picture.", "Select a movie or image strip.")
            if settings.form in ("MODIFIER", "NODES", "CRYPTO", "MASK"):
                raise JobSpecError(
                    "This strip must be rendered first, which the compositor cannot follow.",
                    "Choose the result Matte Strip.",
                )
            folder = order.writable(order.new_folder(target))
            self._objects = objects
            request["folder"] = str(folder)
            self._render = Render(target, folder)
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
        spec = JobSpec(shot, objects, order.outputs(target, request["form"]), self._engine)
        request["hash"] = spec.hash()
        folder = request.get("folder") or order.same_run(target.settings, spec.hash()) or order.new_folder(target)
        request["folder"] = str(order.writable(Path(folder)))
        order.note_run(target.settings, request, objects)
        self._spec = dataclasses.replace(spec, outputs=dataclasses.replace(spec.outputs, folder=request["folder"]))
        client = self._reach()
        self._asked = None if self.engines is not None else client.engines()

    def cancel(self) -> None:
        if self._render is not None:
            self._render.stop()
            self._render = None
            self._end_run("cancelled")
            self.notice = _CANCELLED
        elif self._spec is not None:
            self._spec, self._asked = None, None
            self._end_run("cancelled")
            self.notice = _CANCELLED
            self._rest()
        elif self._session is not None:
            self.text, self._cancelled = "Stopping", True
            self._session.cancel()

    def go_on(self) -> None:
        self.offers_go_on = False
        self.notice = ("", "", "")
        if self._session is not None:
            self._session.go_on()

    def shut_down_worker(self) -> None:
        """End the worker; a running job waits there for its next start."""
        client = self._reach(start=False)
        try:
            client.call(client.shut_down_worker(), 3.0)
        finally:
            self._drop()

    def ask_engines(self) -> None:
        """Start the worker if need be, and learn what it can do."""
        self._asked = self._reach().engines()
        self.notice = ("INFO", "Asking the worker what it can do.", "")

    # The timer

    def tick(self) -> None:
        """One small step. Never raises what a user can cause."""
        began = time.perf_counter()
        try:
            self._step()
        except Sa2vaError as error:
            self._render = None
            self.failed(error)
        self.longest_step = max(self.longest_step, time.perf_counter() - began)

    @property
    def idle(self) -> bool:
        """Nothing to wait for: the timer may stop."""
        return not self.busy and self._asked is None

    def _step(self) -> None:
        if self._render is not None:
            self._step_render()
            return
        if self._finishing is not None:
            self._finish()
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
        assert self._render is not None
        assert self.request is not None
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
        assert self._client is not None
        assert self._session is not None
        assert self._spec is not None
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
            order.check_engine(spec.engine, self.engines)
        self._session.run(spec, overwrite=True)

    # What the session tells (View)

    def progress(self, text: str, fraction: Optional[float]) -> None:
        self.text, self.fraction = text, fraction

    def finished(self, manifest: str) -> None:
        self._rest()
        self.text, self.fraction, self.preview_path = "Bringing the mattes in", None, ""
        if self.request is not None:
            self._finishing = attach.finish(self.request, manifest)

    def _finish(self) -> None:
        assert self._finishing is not None
        try:
            next(self._finishing)
        except StopIteration:
            self.text, self._finishing = "", None
            self.notice = ("INFO", "Done.", "")
        except Sa2vaError as error:
            self.text, self._finishing = "", None
            self.notice = ("ERROR", error.message, error.hint)

    def failed(self, error: Sa2vaError) -> None:
        self._spec = self._asked = None
        self._end_run("stopped")
        self.text, self.fraction, self.preview_path, self.offers_go_on = "", None, "", False
        self.notice = _CANCELLED if self._cancelled else ("ERROR", error.message, error.hint)
        self._rest()

    def lost(self, message: str, hint: str) -> None:
        self.offers_go_on = True
        self.text, self.fraction = "", None
        self.notice = ("WARNING", message, f"{hint} The job is safe: press Go On.")

    def remember(self, saved: Mapping[str, Any]) -> None:
        if not saved:
            if self.request is not None:
                self.request.pop("job", None)
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

    def _reach(self, start: bool = True) -> Client:
        """The worker's client, connected or on its way to be."""
        if self._client is None:
            self._client = self._new_client(start)
            self._session = Session(self._client, self)
        elif self._client.state in ("lost", "closed"):
            self._client.reconnect()
        return self._client

    def _new_client(self, start: bool) -> Client:
        command = self.command if self.command is not None else preferences.worker_command()
        return Client(f"Blender {bpy.app.version_string}", self.worker_folder, command, start, compat.user_ocio())

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
                if order.folder_of(run) == self.request["folder"]:
                    run.state = state


HOST = Host()


def store() -> Store:
    return Store(bpy.utils.extension_path_user(preferences.PACKAGE, create=True))


def learn_engines(engines: EngineList) -> None:
    known = [(e.name, e.label, e.unavailable or "") for e in engines.engines]
    properties.set_engines(known)
    store().keep_engines({"engines": known})
