"""What the buttons do. All of it runs on Nuke's main thread."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from pathlib import Path
from typing import Any, Optional

import nuke
from sa2va_plugin import connection, launcher
from sa2va_plugin.errors import JobSpecError, Sa2vaError
from sa2va_plugin.jobspec import JobSpec, Shot

from . import knobs, mattes, order, reads, results, scene
from .jobs import Document, Job

#: By the ``sa2va_id`` of their nodes.
running: dict[str, Job] = {}
#: The node that an id belongs to: a pasted copy brings its original's.
_owners: dict[str, nuke.Node] = {}


def create() -> nuke.Group:
    """In the group whose view was clicked last, as Nuke's own menus do where it has such views."""
    clicked: Any = getattr(nuke, "lastHitGroup", lambda: None)()
    with contextlib.nullcontext() if clicked is None else clicked:
        node = knobs.create()
    _owners[knobs.text(node, "sa2va_id")] = node
    return node


def opened(node: nuke.Group) -> None:
    """A node came into the script. One that was saved with a job gets it back."""
    mark = knobs.text(node, "sa2va_id")
    if not mark:
        return
    owner = _owners.get(mark)
    old = running.get(mark)
    if old is not None and (owner is None or not knobs.alive(owner)):
        # The script was closed and opened again in this Nuke: the job's node is this one now.
        del running[mark]
        old.leave()
    if owner is not None and knobs.alive(owner) and owner.fullName() != node.fullName():
        # A copy: the job and what belongs to it stay with the original.
        mark = uuid.uuid4().hex
        node["sa2va_id"].setValue(mark)
        node["job"].setValue("")
        node["pending"].setValue("")
    _owners[mark] = node
    job = knobs.text(node, "job")
    with knobs.quietly():
        node["go_on"].setVisible(False)
    knobs.show_preview(node, "")
    if job and nuke.GUI and mark not in running:
        _start(node, Job(NodeDocument(node), saved=job, label=node.name()))


def generate(node: nuke.Group) -> None:
    """Start a job; in ``nuke -t``, run it to its end."""
    try:
        if knobs.text(node, "sa2va_id") in running:
            raise JobSpecError("A job of this node is running.", "Wait for it, or cancel it.")
        spec = prepare(node)
    except Sa2vaError as error:
        _explain(node, error)
        return
    _start(node, Job(NodeDocument(node), spec, label=node.name() if nuke.GUI else None))


def prepare(node: nuke.Group) -> JobSpec:
    """The node's job; its input is rendered where the worker cannot read it by itself. Raises Sa2vaError."""
    above = scene.source(node)
    first, last = scene.frames(node, above)
    view, override = scene.view(node), knobs.text(node, "input_colour").strip()
    reason = ""
    shot: Optional[Shot] = None
    try:
        shot = scene.read_shot(above, first, last, view, override)
    except reads.NeedsRender as why:
        reason = str(why)
    wanted = order.Order(
        knobs.text(node, "objects"),
        node["engine"].value(),
        knobs.path(node, "model"),
        node["result"].value(),
        float(node["tolerance"].value()),
        "" if shot is not None else node.name(),
    )
    base = _folder(node)

    def made(folder: str) -> JobSpec:
        return order.job(wanted, shot or scene.rendered_shot(folder, first, last, override), folder)

    folder = order.run_folder(base, made, knobs.text(node, "pending"))
    spec = made(folder)
    if shot is None:
        knobs.show(node, f"Rendering the input, because {reason}.")
        scene.render(above, spec.shot, view)
    node["pending"].setValue(spec.hash())
    return spec


def _folder(node: nuke.Group) -> str:
    """Where the node's versions are. Raises JobSpecError."""
    script = nuke.root().name()
    saved = "" if script in ("", "Root") else script
    return order.output_folder(knobs.path(node, "output"), knobs.text(node, "output"), saved, node.name())


def cancel(node: nuke.Group) -> None:
    job = running.get(knobs.text(node, "sa2va_id"))
    if job is None:
        knobs.show(node, "There is no job to cancel.")
    else:
        knobs.show(node, "Stopping")
        job.cancel()


def go_on(node: nuke.Group) -> None:
    job = running.get(knobs.text(node, "sa2va_id"))
    with knobs.quietly():
        node["go_on"].setVisible(False)
    if job is not None:
        job.go_on()


def use_run(node: nuke.Group) -> None:
    try:
        folder = knobs.path(node, "run")
        if not folder:
            raise JobSpecError("No run is chosen.", "Choose the folder of a finished run.")
        order.check_folder(folder, knobs.text(node, "run"))
        _use(node, folder)
    except Sa2vaError as error:
        _explain(node, error)


def history(node: nuke.Group) -> None:
    try:
        runs = mattes.history(_folder(node))
        if not runs:
            raise JobSpecError("The node has no finished run yet.", "Press Generate.")
        names = [f"{Path(run.folder).name}: {', '.join(run.layers)}, {run.first}-{run.last}" for run in runs]
        chosen = nuke.choice("Sa2VA Roto", "Finished runs", names, 0)
        if chosen is not None:
            _use(node, runs[chosen].folder)
    except Sa2vaError as error:
        _explain(node, error)


def log() -> None:
    path = connection.log_file(connection.worker_folder())
    last = launcher.tail(path, 20) or "Nothing is written there yet."
    # A message that looks like HTML would be drawn as such.
    nuke.message(f"{path}\n\n{last}".replace("<", "(").replace(">", ")"))


def _use(node: nuke.Group, path: str) -> None:
    run = mattes.read(path)
    results.use(node, run)
    lines = [f"Done: frames {run.first}-{run.last}.", *run.said, *run.warnings]
    if run.missing:
        lines.insert(1, f"{run.missing} frames of it were missing in the plate and are black.")
    knobs.show(node, "\n".join(lines))


def _start(node: nuke.Group, job: Job) -> None:
    running[knobs.text(node, "sa2va_id")] = job
    if nuke.GUI:
        job.start()
    else:
        job.run_here()


def _explain(node: nuke.Group, error: Sa2vaError) -> None:
    """What a button could not do: in the node, and where there is a window, in front of the user."""
    knobs.show(node, str(error))
    if nuke.GUI:
        nuke.message(str(error))


class NodeDocument(Document):
    """A Sa2VA node as its job knows it. The node may be renamed or deleted meanwhile: then nothing is done to it."""

    def __init__(self, node: nuke.Group) -> None:
        self._node, self._mark = node, knobs.text(node, "sa2va_id")

    def show(self, text: str) -> None:
        if knobs.alive(self._node):
            knobs.show(self._node, text)

    def remember(self, job: str) -> None:
        if knobs.alive(self._node):
            self._node["job"].setValue(job)

    def offer(self, go_on: bool) -> None:
        if knobs.alive(self._node):
            with knobs.quietly():
                self._node["go_on"].setVisible(go_on)

    def finished(self, manifest: str) -> None:
        if not knobs.alive(self._node):
            nuke.warning(f"The Sa2VA node is gone; its mattes are in {Path(manifest).parent.as_posix()}")
            return
        self._node["pending"].setValue("")
        shutil.rmtree(Path(manifest).parent / "plate", ignore_errors=True)  # what we rendered for the worker
        try:
            _use(self._node, manifest)
        except Sa2vaError as error:
            self.failed(error)

    def preview(self, path: str) -> None:
        if knobs.alive(self._node):
            knobs.show_preview(self._node, path)

    def failed(self, error: Sa2vaError) -> None:
        self.show(str(error))

    def ended(self, job: Job) -> None:
        self.preview("")
        if running.get(self._mark) is job:
            del running[self._mark]
