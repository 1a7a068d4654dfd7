"""A project that installs in a second, without a network and with real pip."""

from __future__ import annotations

from pathlib import Path

import pytest

_PYPROJECT = """
[build-system]
requires = [{requires}]
build-backend = "backend"
backend-path = ["."]

[project]
name = "toy"
version = "1.0"

[tool.linter]
width = 1
"""

_BACKEND = """
import pathlib, time, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    pathlib.Path("building").write_text("now")
    while pathlib.Path("hold").exists():
        time.sleep(0.05)
    name = "toy-1.0-py3-none-any.whl"
    files = {
        "toy.py": "made = True\\n",
        "toy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\n",
        "toy-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        record = "".join(f"{path},,\\n" for path in files)
        wheel.writestr("toy-1.0.dist-info/RECORD", record + "toy-1.0.dist-info/RECORD,,\\n")
    return name

build_wheel = build_editable
"""


def write_project(folder: Path, requires: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(_PYPROJECT.format(requires=requires), "utf-8")
    (folder / "backend.py").write_text(_BACKEND, "utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


@pytest.fixture(autouse=True)
def _unreachable_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches further than this machine."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
