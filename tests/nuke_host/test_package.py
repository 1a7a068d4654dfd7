"""The package as Nuke loads it: by the Pythons of Nuke 14 to 17, with nothing installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from installer import build
from tests.pythons import real_python

from .conftest import FAKE

OWN = "{}.{}".format(*sys.version_info)

PROGRAM = """
import runpy, sys
sys.path[:0] = sys.argv[2:]          # what NUKE_PATH does
before = set(sys.modules)
runpy.run_path(sys.argv[1] + "/init.py")
assert not [m for m in set(sys.modules) - before if m.startswith("sa2va")], "init.py loads nothing"
runpy.run_path(sys.argv[1] + "/menu.py")
import nuke
from sa2va_nuke import actions, batch
(group,) = nuke.menu("Nuke")._items
assert (group._name, [item._name for item in group._items]) == ("Sa2VA Roto", ["Sa2VA"])
(tool,) = nuke.menu("Nodes")._items
assert tool._name == "Draw/Sa2VA"
exec(tool._command)
nuke.delete(nuke.toNode("Sa2VA1"))
exec(group._items[0]._command)
node = nuke.toNode("Sa2VA1")
node["generate"].execute()
assert "Connect the plate" in node["status"].value(), node["status"].value()
node.setInput(0, nuke.nodes.Read(file="/p/a.####.exr", first=1, last=5, colorspace="linear"))
node["objects"].setValue("the man")
node["output"].setValue("/nowhere")
assert actions.prepare(node).shot.range == (1, 5)
foreign = {getattr(m, "__file__", None) or "" for m in sys.modules.values()}
assert not [f for f in foreign if "site-packages" in f], foreign
print("fine")
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built package, unpacked."""
    folder = tmp_path_factory.mktemp("nuke")
    with zipfile.ZipFile(build.nuke(folder)) as archive:
        archive.extractall(folder)
    (made,) = (path for path in folder.iterdir() if path.is_dir())
    return made


def test_the_package_is_whole_and_holds_nothing_else(package: Path) -> None:
    assert sorted(path.name for path in package.iterdir()) == [
        "LICENSE",
        "acceptance.py",
        "init.py",
        "menu.py",
        "sa2va_nuke",
        "sa2va_plugin",
    ]
    assert not (package / "sa2va_plugin" / "conformance").exists()
    assert {path.suffix for path in package.rglob("*") if path.is_file()} == {"", ".py"}


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    assert build.nuke(tmp_path / "a").read_bytes() == build.nuke(tmp_path / "b").read_bytes()


@pytest.mark.parametrize("version", dict.fromkeys(("3.7", "3.9", "3.10", "3.11", "3.13", OWN)))
def test_it_loads_with_nothing_installed(package: Path, version: str) -> None:
    """Nuke 13 has 3.7, 14 3.9, 15 3.10, 16 and 17 3.11; the one that runs the tests is there on any machine. The
    stand-in stands in for Nuke."""
    done = subprocess.run(
        [real_python(version), "-I", "-S", "-c", PROGRAM, str(package), str(package), str(FAKE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_a_broken_package_does_not_keep_nuke_from_starting(package: Path) -> None:
    """menu.py says what is wrong and goes on: here, there is no nuke module at all."""
    done = subprocess.run(
        [real_python(OWN), "-I", "-S", str(package / "menu.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" in done.stderr
