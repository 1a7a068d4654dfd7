"""Rules for the tree as a whole: who imports what, which Python can read it, what must not be in it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp  # import-linter brings it
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


def judged_for(python: str, path: Path) -> tuple[bool, str]:
    """Whether that Python has all that the code under ``path`` uses, by syntax and standard library; what it lacks."""
    options = ["-q", f"-t={python}-", "--no-eval-annotations", "--violations"]
    done = subprocess.run(
        [sys.executable, "-c", "import vermin; vermin.main()", *options, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("folder", "oldest"), [("plugin", "3.7"), ("hosts/nuke", "3.7"), ("hosts/blender", "3.9")], ids=str
)
def test_what_runs_in_hosts_needs_no_newer_python_than_theirs(folder: str, oldest: str) -> None:
    """Nuke 13 has Python 3.7. Other tests run the real ones, where they are installed."""
    ok, lacking = judged_for(oldest, REPOSITORY / folder)
    assert ok, lacking


@pytest.mark.parametrize(
    ("line", "ok"), [("import sys", True), ("(x := 1)", False), ("from typing import get_args", False)]
)
def test_a_newer_python_would_be_seen(tmp_path: Path, line: str, ok: bool) -> None:
    (tmp_path / "new.py").write_text(line + "\n")
    assert judged_for("3.7", tmp_path)[0] is ok


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


@pytest.mark.parametrize("version", ["3.7", "3.9", "3.13"])
def test_one_job_is_the_same_in_a_real_python_of_each_host(version: str) -> None:
    code = (
        "from sa2va_plugin import errors, jobspec, naming\n"
        "job = jobspec.JobSpec(jobspec.Shot('a.mp4'), (jobspec.ObjectSpec('man', 'the man'),), jobspec.Outputs('o'))\n"
        "assert jobspec.JobSpec.from_json(job.to_json()) == job and jobspec.json_schema()\n"
        "print(job.hash())"
    )
    old = real_python(version)
    done = subprocess.run([old, "-c", code], cwd=REPOSITORY / "plugin", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY / "plugin",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == here.stdout, "one job must have one hash in every Python"


def test_imports_go_one_way() -> None:
    """No module imports itself by a detour, not even inside a function."""
    graph = grimp.build_graph("sa2va_core", "sa2va_plugin", "sa2va_nuke", cache_dir=None)
    circles = [
        (module, imported)
        for module in sorted(graph.modules)
        for imported in graph.find_modules_directly_imported_by(module)
        if graph.find_shortest_chain(importer=imported, imported=module)
    ]
    assert len(graph.modules) > 150
    assert not circles


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
