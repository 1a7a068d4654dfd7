"""What the documents promise is there: commands, options, files, dependencies."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))


def commands(text: str, start: str) -> list[str]:
    """Command lines of fenced blocks, and inline code, that begin with ``start``."""
    blocks = [line for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    inline = re.findall(r"`([^`\n]+)`", text)
    return [line.strip() for line in [*blocks, *inline] if line.strip().startswith(start)]


README = (REPOSITORY / "README.md").read_text("utf-8")


@pytest.mark.parametrize("command", sorted(set(commands(README, "sa2va "))))
def test_every_sa2va_command_of_the_readme_is_understood(command: str) -> None:
    subcommand, *rest = shlex.split(command)[1:]
    known = help_of("sa2va_core.cli", subcommand)
    for option in (word for word in rest if re.fullmatch(r"--?[a-z][a-z-]*", word)):
        assert re.search(rf"(?<![\w-]){re.escape(option)}\b", known), f"{subcommand} has no {option}"


@pytest.mark.parametrize("command", sorted(set(commands(README, "python3 -m installer"))))
def test_every_installer_command_of_the_readme_is_understood(command: str) -> None:
    help_of("installer", shlex.split(command)[3])


def help_of(module: str, subcommand: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, subcommand, "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_shows_both_commands_and_ci_runs_the_second() -> None:
    shown = commands(README, "python3 -m installer")
    assert {"python3 -m installer demo", "python3 -m installer test"} <= set(shown)
    script = (REPOSITORY / ".ci" / "run").read_text("utf-8")
    assert script.splitlines()[-1] == "python3 -m installer test"
    assert os.access(REPOSITORY / ".ci" / "run", os.X_OK), "the run bit is not set"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_all_that_the_architecture_page_draws_is_there() -> None:
    house = (REPOSITORY / "ARCHITECTURE.md").read_text("utf-8").split("```")[1]
    folders = {-1: REPOSITORY}  # by indent
    for line in house.strip("\n").splitlines():
        indent = len(line) - len(line.lstrip())
        parent = folders[max(depth for depth in folders if depth < indent)]
        for name in re.split(r"\s\s+", line.strip())[0].split(", "):
            path = parent / name
            assert path.is_dir() or path.with_suffix(".py").is_file(), f"{name} in {parent}"
            folders = {depth: folder for depth, folder in folders.items() if depth < indent} | {indent: path}


def test_every_dependency_has_its_line() -> None:
    page = (REPOSITORY / "docs" / "dependencies.md").read_text("utf-8").lower()
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name is not None
        assert f"| {name[0].lower()} |" in page, f"{name[0]} is not in docs/dependencies.md"


def test_both_statements_of_the_version_agree() -> None:
    import sa2va_plugin

    assert PYPROJECT["project"]["version"] == sa2va_plugin.__version__
