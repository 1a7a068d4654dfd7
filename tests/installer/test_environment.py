"""Environments are whole or made again; pip is real, the project is a toy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from installer import place
from installer.environment import STAMP, Environment, require_venv
from installer.problems import Problem
from installer.progress import Stages

from .conftest import write_project

REPOSITORY = Path(__file__).resolve().parents[2]

_MAKE = """
import sys
from pathlib import Path
from installer import place
from installer.packages import build
from installer.environment import Environment
from installer.progress import Stages

home, project = Path(sys.argv[1]), Path(sys.argv[2])
place.prepare(home)
with place.alone(home) as lock:
    build(Environment(home / "env", project), Stages(2, home / "logs" / "log", lock), 1, "this")
"""


def make(home: Path, project: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _MAKE, str(home), str(project)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def test_made_once_then_left_alone_then_made_again_when_requirements_change(tmp_path: Path, project: Path) -> None:
    home = tmp_path / "home"
    env = Environment(home / "env", project)
    first, _ = make(home, project).communicate(timeout=120)
    assert "[2/2] Install the packages" in first
    assert env.ready()
    assert subprocess.run([env.python, "-c", "import toy; assert toy.made"], check=False).returncode == 0
    assert not (env.folder / "tmp").exists()

    stamped = (env.folder / STAMP).stat().st_mtime_ns
    second, _ = make(home, project).communicate(timeout=60)
    assert second.count("already done") == 2
    assert (env.folder / STAMP).stat().st_mtime_ns == stamped

    settings = project / "pyproject.toml"
    settings.write_text(settings.read_text("utf-8").replace("width = 1", "width = 2"), "utf-8")
    assert env.ready(), "a linter's setting is no requirement"
    settings.write_text(settings.read_text("utf-8").replace("1.0", "1.1"), "utf-8")
    assert not env.ready()

    env.python.unlink()
    assert not Environment(home / "env", project).ready()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_half_way_is_made_again_after_its_pip_has_ended(tmp_path: Path, project: Path) -> None:
    home = tmp_path / "home"
    hold = project / "hold"
    hold.touch()
    killed = make(home, project)
    wait_for(project / "building")
    killed.send_signal(signal.SIGKILL)
    killed.wait(timeout=60)
    env = Environment(home / "env", project)
    assert env.folder.exists()
    assert not env.ready()

    again = make(home, project)
    assert again.stdout is not None
    assert "waiting for it" in again.stdout.readline(), "the killed run's pip still holds the folder"
    hold.unlink()
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert env.ready()


def test_no_network_is_said_with_what_was_fetched_and_where_the_log_is(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", requires='"surely-needed>=1"')
    home = tmp_path / "home"
    env = Environment(home / "env", project)
    place.prepare(home)
    stages = Stages(1, home / "logs" / "log")
    env.create(stages)
    with pytest.raises(Problem) as caught:
        env.install(stages)
    assert "No network: installing the packages stopped (last asked for: surely-needed" in caught.value.message
    assert "again" in caught.value.hint
    assert str(home / "logs" / "log") in caught.value.hint
    assert not env.ready()


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_a_python_without_venv_names_the_package_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Problem) as caught:
        require_venv()
    assert module in caught.value.message
    if Path("/etc/debian_version").exists():
        assert f"python{sys.version_info[0]}.{sys.version_info[1]}-venv" in caught.value.hint


def test_settings_that_lead_pip_elsewhere_do_not_reach_it(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "venv.py").write_text("raise SystemExit('shadowed')", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    env = Environment(tmp_path / "env", project)
    stages = Stages(1, tmp_path / "log")
    env.create(stages)
    env.install(stages)
    assert env.ready()
    assert not (tmp_path / "elsewhere" / "toy.py").exists()
