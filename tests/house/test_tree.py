"""Rules for the tree as a whole: who imports what, which Python can read it, what must not be in it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pythons import real_python

REPOSITORY = Path(__file__).resolve().parents[2]
HOST_SIDE = sorted((REPOSITORY / "plugin").rglob("*.py"))
HOSTS = sorted((REPOSITORY / "hosts").rglob("*.py"))
HOST_MODULES = ("sa2va_plugin", "bpy", "nuke", "sa2va_nuke")
INSTALLER = sorted((REPOSITORY / "installer").rglob("*.py"))


def tracked() -> list[Path]:
    """Files of the repository, from git; an unpacked archive has none to ask."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is not a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := REPOSITORY / name).is_file()]


def named(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", [*HOST_SIDE, *HOSTS], ids=named)
def test_what_runs_in_hosts_can_be_read_by_python_3_9(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize("path", [*HOST_SIDE, *INSTALLER], ids=named)
def test_plugin_and_installer_import_the_standard_library_only(path: Path) -> None:
    own = path.relative_to(REPOSITORY).parts[1 if path in HOST_SIDE else 0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            modules = [] if node.level else [node.module or ""]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            assert module.partition(".")[0] in {*sys.stdlib_module_names, own}, f"{module} in line {node.lineno}"


@pytest.mark.parametrize("path", HOSTS, ids=named)
def test_hosts_import_the_plugin_their_host_and_the_standard_library(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        for module in modules:
            assert module.partition(".")[0] in {*sys.stdlib_module_names, *HOST_MODULES}, module


def test_the_plugin_runs_in_a_real_python_3_9() -> None:
    code = (
        "import sys; assert sys.version_info[:2] == (3, 9)\n"
        "from sa2va_plugin import errors, jobspec, naming\n"
        "job = jobspec.JobSpec(jobspec.Shot('a.mp4'), (jobspec.ObjectSpec('man', 'the man'),), jobspec.Outputs('o'))\n"
        "assert jobspec.JobSpec.from_json(job.to_json()) == job and jobspec.json_schema()\n"
        "print(job.hash())"
    )
    old = real_python("3.9")
    done = subprocess.run([old, "-c", code], cwd=REPOSITORY / "plugin", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = subprocess.run(
        [sys.executable, "-c", code.partition("\n")[2]],
        cwd=REPOSITORY / "plugin",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == here.stdout, "one job must have one hash in every Python"


# Spelt in two halves, so that this file does not find itself.
FORBIDDEN = [
    "/wo" + "rk/",
    "/ro" + "ot/",
    "C:\\Us" + "ers",
    "pypi." + "org",
    "files.python" + "hosted",
    "npmjs." + "org",
]


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8")
        found += [f"{path.relative_to(REPOSITORY)}: {word}" for word in FORBIDDEN if word in text]
    assert not found


def test_modules_stay_small() -> None:
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for path in tracked()
        if path.suffix == ".py" and (lines := path.read_text("utf-8").count("\n")) > 600
    }
    assert not long


def test_nothing_big_is_tracked() -> None:
    big = {str(path.relative_to(REPOSITORY)): size for path in tracked() if (size := path.stat().st_size) > 2_000_000}
    assert not big


def test_no_weights_come_as_pickles() -> None:
    assert not [path for path in tracked() if path.suffix in {".pkl", ".pt", ".pth", ".ckpt", ".bin"}]
