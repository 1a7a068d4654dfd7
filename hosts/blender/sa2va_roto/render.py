"""Frames that only Blender can make: a second Blender renders them from a saved copy, while this one stays free."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional

import bpy
from sa2va_plugin import launcher
from sa2va_plugin.errors import MediaError, OutputError
from sa2va_plugin.jobspec import Shot
from sa2va_plugin.naming import FramePattern

from . import compat
from .frames import Plan
from .properties import PREFIX
from .targets import StripTarget

_FOLDER = "rendered"


def first_picture(folder: Path) -> str:
    """The first frame that was rendered for the run in ``folder``. Raises MediaError."""
    path = _pattern(folder).path(1)
    if not Path(path).is_file():
        raise MediaError(f"The frames that were rendered for this run are gone: {folder}", "Run it again.")
    return path


def _pattern(folder: Path) -> FramePattern:
    return FramePattern(str(folder / _FOLDER / "frame."), 6, ".png")


class Render:
    """One strip's frames on their way. ``total`` of them; ``pattern`` numbers them from 1."""

    def __init__(self, target: StripTarget, folder: Path) -> None:
        """Saves a copy and starts. Raises JobSpecError for no frames, OutputError."""
        frames = target.timeline()
        self.total = len(frames)
        self.folder = folder / _FOLDER
        self.pattern = _pattern(folder)
        self.plan = Plan(rendered=True, origin=frames[0] - target.facts.start, numbers=tuple(range(1, self.total + 1)))
        self._fps = target.scene.render.fps / target.scene.render.fps_base
        self._log = folder / "render.log"
        self._copy = folder / "copy.blend"
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            bpy.ops.wm.save_as_mainfile(filepath=str(self._copy), copy=True, compress=False, check_existing=False)
            order = {
                "scene": target.scene.name,
                "strip": target.owner.name,
                "first": frames[0],
                "last": frames[-1],
                "without": PREFIX,
                "pattern": str(self.folder / "frame."),
            }
            script = Path(__file__).with_name("render_child.py")
            command = [*compat.blender_command(), str(script), "--", str(self._copy), json.dumps(order)]
            with open(self._log, "wb") as log:
                self._process: Optional[subprocess.Popen[bytes]] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    creationflags=launcher.creation_flags(),
                    env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                )
            launcher.give_way(self._process.pid)
        except (OSError, RuntimeError) as error:
            raise OutputError(
                f"The strip cannot be rendered first ({str(error).strip()}): {folder}",
                "Save the .blend where you may write, or set a scratch folder in the preferences.",
            ) from error

    @property
    def done(self) -> int:
        with os.scandir(self.folder) as entries:
            return sum(1 for entry in entries if entry.name.endswith(".png"))

    def step(self) -> bool:
        """Whether it is finished. Raises MediaError when it failed."""
        if self._process is None or self._process.poll() is None:
            return False
        code, self._process = self._process.returncode, None
        self._copy.unlink(missing_ok=True)
        if code or self.done < self.total:
            last = launcher.tail(self._log, 1)
            raise MediaError(f"The second Blender failed (code {code}). {last}".strip(), f"Its output: {self._log}")
        return True

    def shot(self) -> Shot:
        return Shot(str(self.pattern), frames=self.plan.numbers, fps=self._fps)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._copy.unlink(missing_ok=True)
