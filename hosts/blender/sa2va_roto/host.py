"""The one job of this Blender: from a press of Generate to mattes in the document. Steps come from a timer.

Nothing here keeps Blender data: a job knows its clip by names and a uid, and looks it up when it is done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

import bpy
from sa2va_plugin.errors import JobSpecError, Sa2vaError
from sa2va_plugin.jobspec import EngineSpec, JobSpec, ObjectSpec, Shot
from sa2va_plugin.messages import Preview, VerdictReached
from sa2va_plugin.session import View

from . import attach, machine, order, selection
from .frames import Plan
from .render import Render
from .targets import StripTarget, Target
from .worker import Worker

STEP = 0.1


_CANCELLED = ("INFO", "Cancelled.", "Its finished frames are kept; Generate goes on from there.")


class Request(dict[str, Any]):
    """What was asked for, as JSON: scene, kind, uid, name, form, folder, plan."""


class Host(View):
    """``text`` and ``fraction``: progress. ``notice``: level (INFO, WARNING, ERROR), message, hint, until the next."""

    def __init__(self) -> None:
        self.worker = Worker()
        self._forget()

    def _forget(self) -> None:
        self._render: Optional[Render] = None
        self._spec: Optional[JobSpec] = None
        self._finishing: Optional[Iterator[None]] = None
        self.request: Optional[Request] = None
        self.text, self.fraction = "", None
        self.notice: tuple[str, str, str] = ("", "", "")
        self.warnings: list[str] = []
        self.verdicts: dict[str, tuple[str, str]] = {}
        self.preview_path, self.offers_go_on = "", False
        self._cancelled = False

    # What the user does

    @property
    def busy(self) -> bool:
        waiting = self._render, self._spec, self._finishing
        session = self.worker.session
        return any(part is not None for part in waiting) or bool(session and session.busy) or self.worker.ending

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
        order.check_result(target)
        self._begin(request)
        self._engine = EngineSpec(settings.engine, bpy.path.abspath(settings.model.strip()), machine.device())
        if isinstance(target, StripTarget) and target.rendered:
            folder = order.writable(order.new_folder(target))
            self._objects = objects
            request["folder"] = str(folder)
            self._render = Render(target, folder)
            self.text = "Rendering the strip"
            return
        shot, plan = target.shot()
        self._prepare(shot, plan, objects, target)

    def _begin(self, request: Request) -> None:
        self._forget()
        self.request = request
        self.text = "Reaching the worker"

    def _prepare(self, shot: Shot, plan: Plan, objects: tuple[ObjectSpec, ...], target: Target) -> None:
        assert self.request is not None
        request = self.request
        request["plan"] = plan.to_text()
        spec = JobSpec(shot, objects, order.outputs(target, request["form"]), self._engine)
        request["hash"] = spec.hash()
        folder = request.get("folder") or order.same_run(target.settings, spec.hash()) or order.new_folder(target)
        request["folder"] = str(order.writable(Path(folder)))
        order.note_run(target.settings, request, objects)
        self._spec = dataclasses.replace(spec, outputs=dataclasses.replace(spec.outputs, folder=request["folder"]))
        self.worker.reach(self)
        if self.worker.engines is None:
            self.worker.ask()

    def use_run(self, target: Target, run: Any) -> None:
        """Bring an earlier run back, in steps. Raises JobSpecError."""
        if self.busy:
            raise JobSpecError("A job is running.", "Wait for it, or cancel it.")
        self.notice, self.text, self.fraction = ("", "", ""), "Bringing the mattes in", None
        self._finishing = attach.use_run(target, run)

    def cancel(self) -> None:
        if self._render is not None:
            self._render.stop()
            self._render = None
            self.notice = _CANCELLED
        elif self._spec is not None:
            self._spec = None
            self.notice = _CANCELLED
            self.worker.hang_up()
        elif self.worker.session is not None:
            self.text, self._cancelled = "Stopping", True
            self.worker.session.cancel()

    def go_on(self) -> None:
        self.offers_go_on = False
        self.notice = ("", "", "")
        if self.worker.session is not None:
            self.worker.session.go_on()

    def shut_down_worker(self) -> None:
        """End the worker, in steps; jobs of others wait there for its next start."""
        self._forget()
        self.text = "Ending the worker"
        self.worker.shut_down(self)

    def ask_engines(self) -> None:
        """Start the worker if need be, and learn what it can do, in steps."""
        self.worker.reach(self)
        self.worker.ask()
        self.notice = ("INFO", "Asking the worker what it can do.", "")

    # The timer

    def tick(self) -> None:
        """One small step. Never raises what a user can cause."""
        try:
            self._step()
        except Sa2vaError as error:
            self._render = None
            self.failed(error)

    @property
    def idle(self) -> bool:
        """Nothing to wait for: the timer may stop."""
        return not self.busy and not self.worker.asked

    def _step(self) -> None:
        if self._render is not None:
            self._step_render()
            return
        if self._finishing is not None:
            self._finish()
            return
        if self.worker.session is not None:
            self.worker.session.tick()
        if self.worker.ended():
            self.text, self.notice = "", ("INFO", "The worker has ended.", "The next job starts it again.")
            self.worker.hang_up()
        if self.worker.answer() and not self.busy:
            self.notice = ("INFO", "The worker is ready.", "")
            self.worker.hang_up()
        if self._spec is not None and not self.worker.asked and self.worker.ready():
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
        assert self._spec is not None
        assert self.worker.session is not None
        spec, self._spec = self._spec, None
        if self.worker.engines is not None:
            order.check_engine(spec.engine, self.worker.engines)
        self.worker.session.run(spec, overwrite=True)

    # What the session tells (View)

    def progress(self, text: str, fraction: Optional[float]) -> None:
        self.text, self.fraction = text, fraction

    def finished(self, manifest: str) -> None:
        self.worker.hang_up()
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
        self._spec = None
        self.text, self.fraction, self.preview_path, self.offers_go_on = "", None, "", False
        self.notice = _CANCELLED if self._cancelled else ("ERROR", error.message, error.hint)
        self.worker.hang_up()

    def lost(self, message: str, hint: str) -> None:
        self.offers_go_on = True
        self.text, self.fraction = "", None
        self.notice = ("WARNING", message, f"{hint} The job is safe: press Go On.")

    def remember(self, saved: Mapping[str, Any]) -> None:
        if not saved:
            if self.request is not None:
                self.request.pop("job", None)
                machine.store().keep_job(self.request["blend"], {})
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
            machine.store().keep_job(self.request["blend"], self.request)

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
        self.worker.hang_up()
        self._forget()

    def come_back(self, blend: str) -> bool:
        """Take up the job that a file waits for, if there is one."""
        self.detach()
        record = machine.store().job(blend) if blend else None
        if not record or not record.get("job"):
            return False
        self.request = Request(record)
        self.text = "Coming back to the job"
        self.worker.reach(self, saved={"job": record["job"]})
        return True

    def _target(self) -> Optional[Target]:
        request = self.request
        if request is None:
            return None
        return selection.find(request["scene"], request["kind"], request["uid"], request["name"])


HOST = Host()
