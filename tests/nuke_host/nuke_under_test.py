"""The adapter in the stand-in Nuke, as its user knows it. Standard library only: it also runs in Nuke's Pythons."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nuke
from sa2va_nuke import actions, jobs, knobs
from sa2va_plugin.client import Client
from sa2va_plugin.conformance import HostUnderTest

fake: Any = nuke


class NukeUnderTest(HostUnderTest):
    """A script with a Read and a Sa2VA node. ``document``: the text of a saved script."""

    def __init__(self, folder: str, command: Sequence[str], document: str | None = None) -> None:
        fake._reset()
        actions.running.clear()
        actions._owners.clear()
        jobs.new_client = lambda: Client("Nuke test", folder, command)
        self._script = Path(tempfile.mkdtemp()) / "shot.nk"
        if document is None:
            self.read = nuke.nodes.Read(name="Plate")
            self.read.setSelected(True)
            self.node = actions.create()
            nuke.scriptSaveAs(str(self._script))
        else:
            self._script.write_text(document, "utf-8")
            self.open()

    def open(self) -> None:
        nuke.scriptOpen(str(self._script))
        self.read, self.node = fake.toNode("Plate"), fake.toNode("Sa2VA1")

    def fill_in(self, plate: str, name: str, phrase: str, folder: str, engine: str) -> None:
        self.read["file"].setValue(plate)
        count = len(list(Path(plate).parent.glob("*.png"))) or 4
        self.read["first"].setValue(1001)
        self.read["last"].setValue(1000 + count)
        self.read["colorspace"].setValue("sRGB")
        self.node["objects"].setValue(f"{name}={phrase}")
        self.node["output"].setValue(folder)
        choice: Any = self.node["engine"]
        if engine not in choice.values():
            choice.setValues([*choice.values(), engine])
        choice.setValue(engine)

    def press(self, button: str) -> None:
        knob: Any = self.node[button]
        knob.execute()

    def press_run(self) -> None:
        self.press("generate")

    def press_cancel(self) -> None:
        self.press("cancel")

    def press_go_on(self) -> None:
        self.press("go_on")

    def tick(self) -> None:
        fake._STATE.pump()

    def close(self) -> str:
        for job in list(actions.running.values()):
            job.leave()
        actions.running.clear()
        nuke.scriptSaveAs(str(self._script), 1)
        return self._script.read_text("utf-8")

    @property
    def busy(self) -> bool:
        return bool(actions.running)

    @property
    def offers_go_on(self) -> bool:
        return bool(self.node["go_on"].visible())

    @property
    def shown(self) -> str:
        return knobs.text(self.node, "status")

    @property
    def mattes(self) -> Sequence[str]:
        inside = self.node.node("Mattes")
        return [plain(knobs.text(inside, "file"))] if inside is not None else []


def plain(text: str) -> str:
    """A file knob's text without the escapes that keep Nuke from evaluating it."""
    return re.sub(r"\\([\[\]$])", r"\1", text)


def until(host: NukeUnderTest, reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, host.shown
        host.tick()
        time.sleep(0.01)


def run(host: NukeUnderTest) -> None:
    host.press_run()
    until(host, lambda: not host.busy)


def job_of(host: NukeUnderTest, version: str = "v001") -> dict[str, Any]:
    return json.loads((Path(knobs.path(host.node, "output")) / version / "manifest.json").read_text("utf-8"))["job"]


def run_and_hold(host: NukeUnderTest, tmp_path: Path) -> None:
    """Press Generate; the job is under way, and its engine waits before the third of its frames for :func:`release`."""
    hold = tmp_path / "control" / "at-2"
    hold.write_text("hold")
    host.press_run()
    until(host, lambda: " of 4" in host.shown and not hold.exists())


def release(tmp_path: Path) -> None:
    (tmp_path / "control" / "release").touch()
