"""``test``: the development environment and every check, each with its own line and time."""

from __future__ import annotations

import functools
import os
import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from . import place
from .environment import Environment
from .packages import SPACE_LIGHT, SPACE_TORCH, build, fetch_models, warn_of_cuda
from .progress import Stages, clean_environment, seconds

_CONSTRAINTS = Path(__file__).with_name("constraints-test.txt")
_WITHOUT = "python3 -m installer test --without sa2va"
#: Makes the environments of Blender as a module; its own page says which and why.
_BLENDERS = place.REPOSITORY / "tests" / "blender" / "environments.py"
_SPACE_BLENDERS = 8 * place.GIB
#: Makes the environment of the farm managers' packages.
_MANAGERS = place.REPOSITORY / "tests" / "farm" / "managers.py"
#: Fetches the Pythons of Nuke and Blender.
_PYTHONS = place.REPOSITORY / "tests" / "pythons.py"
#: What ``--without`` takes.
OPTIONAL = ("sa2va", "blender")

#: Name and command; run in the repository's root.
CHECKS = (
    ("format", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("types", ("pyright",)),
    ("imports", ("lint-imports",)),
    ("tests", ("pytest",)),
)


def environment(folder: Path, without_sa2va: bool = False) -> Environment:
    extras = ("dev", "farm") if without_sa2va else ("dev", "farm", "sa2va")
    return Environment(folder / "test-env", place.REPOSITORY, extras, _CONSTRAINTS)


def run(folder: Path, without: Collection[str] = ()) -> int:
    """Make the environment unless it is there, then run all checks but ``without``. Returns 1 when one fails."""
    place.prepare(folder)
    without_sa2va = "sa2va" in without
    with place.alone(folder) as lock:
        stages = Stages(7, folder / "logs" / "test.log", lock)
        env = environment(folder, without_sa2va)
        if without_sa2va:
            build(env, stages, SPACE_LIGHT, "the test environment")
        else:
            warn = functools.partial(warn_of_cuda, instead=_WITHOUT)
            build(env, stages, SPACE_TORCH, "the test environment", before_packages=warn)
        fetch_models(env, stages)
        fetched = {
            "SA2VA_BLENDERS": folder / "blenders",
            "SA2VA_MANAGERS": folder / "farm-managers",
            "SA2VA_PYTHONS": folder / "pythons",
        }
        with stages.stage("Fetch the Pythons of Nuke and Blender"):
            stages.note = _fetch(env, stages, _PYTHONS, "fetching the Pythons", fetched)
        with stages.stage("Fetch Blender as a module, five versions"):
            stages.note = "left out" if "blender" in without else _fetch_blenders(env, stages, fetched)
        with stages.stage("Fetch the farm managers' packages"):
            stages.note = _fetch(env, stages, _MANAGERS, "fetching the packages", fetched)
        # Types cannot be checked against packages that are not there.
        checks = [check for check in CHECKS if not (without_sa2va and check[0] == "types")]
        outcome: list[tuple[str, bool, float]] = []
        with stages.stage("Run the checks", live=True):
            for name, (tool, *arguments) in checks:
                started = time.monotonic()
                print(f"\n--- {name}: {' '.join([tool, *arguments])}", flush=True)
                command = [str(env.scripts / tool), *arguments]
                code = stages.show(command, place.REPOSITORY, _environment_of_checks(env, fetched))
                outcome.append((name, code == 0, time.monotonic() - started))
    print()
    if without_sa2va:
        print("left out  types (needs the sa2va extra)")
    for name, passed, taken in outcome:
        print(f"{'ok' if passed else 'FAILED':9} {name:8} {seconds(taken):>12}")
    return 0 if all(passed for _, passed, _ in outcome) else 1


def _fetch_blenders(env: Environment, stages: Stages, fetched: Mapping[str, Path]) -> str:
    """Best effort: tests of a version that cannot be had are skipped, with the reason."""
    folder = fetched["SA2VA_BLENDERS"]
    folder.mkdir(exist_ok=True)
    if not any(folder.iterdir()) and shutil.disk_usage(str(folder)).free < _SPACE_BLENDERS:
        return f"left out: it takes {place.size_text(_SPACE_BLENDERS)} of disk"
    environment = clean_environment(**_named(fetched))
    said = stages.run([str(env.python), str(_BLENDERS)], "fetching Blender", place.REPOSITORY, environment)
    for line in said.splitlines():
        if line.startswith("Blender"):
            stages.say(line)
    return ""


def _fetch(env: Environment, stages: Stages, script: Path, doing: str, fetched: Mapping[str, Path]) -> str:
    """Best effort: without it, tests that want it are skipped, with the reason."""
    environment = clean_environment(**_named(fetched))
    said = stages.run([str(env.python), str(script)], doing, place.REPOSITORY, environment)
    outcome = said.strip().splitlines()[-1].partition(": ")[2]
    return "" if outcome == "made" else outcome


def _named(fetched: Mapping[str, Path]) -> dict[str, str]:
    return {variable: str(folder) for variable, folder in fetched.items()}


def _environment_of_checks(env: Environment, fetched: Mapping[str, Path]) -> Mapping[str, str]:
    """As in an activated environment: tools that start others find those beside them."""
    path = os.pathsep.join([str(env.scripts), os.environ.get("PATH", "")])
    # pyright would ask the network whether there is a newer pyright.
    return clean_environment(
        PATH=path,
        VIRTUAL_ENV=str(env.folder),
        PYRIGHT_PYTHON_IGNORE_WARNINGS="1",
        **_named(fetched),
    )
