"""The Blender extension's zip."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from installer import build
from installer.problems import Problem

ROOT = Path(build.__file__).resolve().parents[1]


@pytest.fixture
def package(tmp_path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(build.blender(tmp_path))


def test_it_holds_the_plugin_and_imports_it_from_beside_itself(package: zipfile.ZipFile):
    names = package.namelist()
    assert "sa2va_plugin/client.py" in names
    assert not [name for name in names if "conformance" in name or "__pycache__" in name or name.endswith(".so")]
    for name in names:
        if name.endswith(".py"):
            text = package.read(name).decode("utf-8")
            assert not re.search(r"^\s*(from|import) sa2va_plugin", text, re.MULTILINE), name
            assert "sys.path" not in text, name


def test_the_licences_are_inside(package: zipfile.ZipFile):
    manifest = tomllib.loads(package.read("blender_manifest.toml").decode("utf-8"))
    assert manifest["license"][0] == "SPDX:GPL-3.0-or-later"
    assert b"GNU GENERAL PUBLIC LICENSE" in package.read("LICENSE")
    assert b"Apache License" in package.read("sa2va_plugin/LICENSE")
    assert not manifest.get("wheels")
    assert len(manifest["tagline"]) <= 64
    assert manifest["tagline"][-1].isalnum()


def test_its_version_is_the_products(package: zipfile.ZipFile):
    product = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert tomllib.loads(package.read("blender_manifest.toml").decode("utf-8"))["version"] == product


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path):
    first, second = build.blender(tmp_path / "a"), build.blender(tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match="cannot be written"):
        build.blender(tmp_path / "file" / "folder")


def test_the_command(tmp_path: Path):
    command = [sys.executable, "-m", "installer", "build", "blender", "-o", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_file()
