"""A private Python environment that is either whole or made again.

A stamp, written last, says what the environment holds. Without one it was cut short and is made anew (pip keeps what
it has downloaded); with the right one pip is not even started.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import place, pythons
from .problems import Problem
from .progress import Stages, clean_environment

STAMP = "sa2va-stamp.json"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--retries", "3")


@dataclass(frozen=True)
class Environment:
    """``project`` installed with ``extras`` in ``folder``, bound by a pip ``constraints`` file."""

    folder: Path
    project: Path
    extras: tuple[str, ...] = ()
    constraints: Path | None = None

    @property
    def scripts(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        return self.scripts / ("python.exe" if os.name == "nt" else "python")

    def wanted(self) -> dict[str, Any]:
        """What the stamp of a whole environment says."""
        settings = tomllib.loads((self.project / "pyproject.toml").read_text("utf-8"))
        # Settings of linters and the like may change without a new environment.
        parts = [settings.get("build-system"), settings.get("project"), settings.get("tool", {}).get("hatch")]
        if self.constraints is not None:
            parts.append(self.constraints.read_text("utf-8"))
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8"))
        return {
            "python": sys.version,
            "folder": str(self.folder),
            "project": str(self.project),
            "extras": list(self.extras),
            "requirements": digest.hexdigest(),
        }

    def stamp(self) -> dict[str, Any] | None:
        """What this folder's stamp says, or None when there is no whole environment."""
        try:
            found = json.loads((self.folder / STAMP).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def ready(self) -> bool:
        return self.stamp() == self.wanted() and self._runs()

    def _runs(self) -> bool:
        """False where the Python that the environment was made from is gone."""
        try:
            return subprocess.run([str(self.python), "-c", ""], env=clean_environment(), check=False).returncode == 0
        except OSError:
            return False

    def create(self, stages: Stages) -> None:
        """An environment with pip and nothing else, in place of whatever is there."""
        require_venv()
        place.remove(self.folder)
        command = [sys.executable, "-m", "venv", str(self.folder)]
        stages.run(command, "making the environment", self.project, clean_environment())

    def install(self, stages: Stages) -> None:
        """The project and its packages, then the stamp."""
        scratch = self.folder / "tmp"
        scratch.mkdir(exist_ok=True)
        requirement = str(self.project) + (f"[{','.join(self.extras)}]" if self.extras else "")
        command: list[str] = [str(self.python), *PIP, "install", "--progress-bar", "off"]
        if self.constraints is not None:
            command += ["--constraint", str(self.constraints)]
        # pip unpacks in its temporary folder first: one disk to check, and nothing left elsewhere by a kill.
        temporary = clean_environment(TMPDIR=str(scratch), TEMP=str(scratch), TMP=str(scratch))
        stages.run([*command, "--editable", requirement], "installing the packages", self.project, temporary)
        place.remove(scratch)
        part = self.folder / (STAMP + ".part")
        part.write_text(json.dumps(self.wanted(), indent=2) + "\n", "utf-8")
        part.replace(self.folder / STAMP)


def require_venv() -> None:
    """Raise Problem where this Python lacks what environments are made with."""
    try:
        import venv  # noqa: F401

        # Debian may leave an empty folder of that name, which imports.
        from ensurepip import bootstrap  # noqa: F401
    except ImportError as error:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        hint = pythons.remedy()
        if Path("/etc/debian_version").exists():
            hint = f"Run `sudo apt install python{version}-venv`, then run this again."
        raise Problem(f"This Python {version} cannot make environments (no module {error.name}).", hint) from error
