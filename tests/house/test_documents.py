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


def drawn() -> list[Path]:
    """What the architecture page draws, as paths without a suffix."""
    house = (REPOSITORY / "ARCHITECTURE.md").read_text("utf-8").split("```")[1]
    folders, found = {-1: REPOSITORY}, []  # folders by indent
    for line in house.strip("\n").splitlines():
        indent = len(line) - len(line.lstrip())
        parent = folders[max(depth for depth in folders if depth < indent)]
        for name in re.split(r"\s\s+", line.strip())[0].split(", "):
            path = parent / name
            found.append(path)
            folders = {depth: folder for depth, folder in folders.items() if depth < indent} | {indent: path}
    return found


def test_all_that_the_architecture_page_draws_is_there_once() -> None:
    paths = drawn()
    assert not [path for path in paths if not (path.is_dir() or path.with_suffix(".py").is_file())]
    assert len(paths) == len(set(paths))


def test_a_folder_whose_modules_are_drawn_has_all_of_them_drawn() -> None:
    paths = {path for path in drawn() if path.with_suffix(".py").is_file()}
    modules = {path for folder in {path.parent for path in paths} for path in folder.glob("[!_]*.py")}
    assert not [path for path in modules if path.with_suffix("") not in paths]


def test_every_dependency_has_its_line_and_every_line_its_dependency() -> None:
    """Each under the heading of the extra that brings it."""
    page = (REPOSITORY / "docs" / "dependencies.md").read_text("utf-8")
    project = PYPROJECT["project"]
    wanted = {"Base": project["dependencies"]}
    wanted |= {f"Extra `{extra}`": brought for extra, brought in project["optional-dependencies"].items()}
    listed = {}
    for section in page.split("\n## ")[1:]:
        heading = section.splitlines()[0].partition(":")[0]
        if "\n| package |" in section:
            listed[heading] = sorted(re.findall(r"^\| ([a-z0-9-]+) \|", section, re.MULTILINE))
    for packages in listed.values():
        packages.remove("package")
    assert listed == {
        heading: sorted(re.split(r"[^A-Za-z0-9-]", requirement)[0].lower() for requirement in brought)
        for heading, brought in wanted.items()
    }


def test_both_statements_of_the_version_agree() -> None:
    import sa2va_plugin

    assert PYPROJECT["project"]["version"] == sa2va_plugin.__version__
