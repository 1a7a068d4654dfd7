"""Fetching the Pythons of Nuke and Blender for tests: what is there is used, and a machine without network goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pythons


def test_a_fetched_python_is_found_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SA2VA_PYTHONS", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    for variable in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "none"))
    major, minor, *_ = sys.version_info
    own, lying = f"{major}.{minor}", f"{major}.{minor + 1}"
    for version in (own, lying):
        place = tmp_path / f"cpython-{version}.1-linux-x86_64-gnu" / "bin"
        place.mkdir(parents=True)
        (place / f"python{version}").symlink_to(sys.executable)
    assert pythons.find(own) == str(tmp_path / f"cpython-{own}.1-linux-x86_64-gnu" / "bin" / f"python{own}")
    assert pythons.find(lying) is None, "what it says of itself counts"


def test_without_network_it_says_what_is_left_out(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(pythons.__file__))],
        env={
            **{name: os.environ[name] for name in ("HOME", "PYTHONPATH") if name in os.environ},
            "PATH": "",
            "PYENV_ROOT": str(tmp_path / "none"),
            "UV_PYTHON_INSTALL_DIR": str(tmp_path / "none"),
            "UV_CACHE_DIR": str(tmp_path / "cache"),
            "UV_OFFLINE": "1",
            "SA2VA_PYTHONS": str(tmp_path / "pythons"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Pythons of the hosts: left out: 3.9, 3.10, 3.11, 3.13 cannot be fetched here (see above)\n"
