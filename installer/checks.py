"""``test``: the development environment and every check, each with its own line and time."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping
from pathlib import Path

from . import place
from .environment import Environment
from .packages import SPACE_LIGHT, SPACE_TORCH, build, fetch_models, warn_of_cuda
from .progress import Stages, clean_environment, seconds

_CONSTRAINTS = Path(__file__).with_name("constraints-test.txt")
_WITHOUT = "python3 -m installer test --without sa2va"

#: Name and command; run in the repository's root.
CHECKS = (
    ("format", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("types", ("pyright",)),
    ("imports", ("lint-imports",)),
    ("tests", ("pytest",)),
)


def environment(folder: Path, without_sa2va: bool = False) -> Environment:
    extras = ("dev",) if without_sa2va else ("dev", "sa2va")
    return Environment(folder / "test-env", place.REPOSITORY, extras, _CONSTRAINTS)


def run(folder: Path, without_sa2va: bool) -> int:
    """Make the environment unless it is there, then run all checks. Returns 1 when one fails."""
    place.prepare(folder)
    with place.alone(folder) as lock:
        stages = Stages(4, folder / "logs" / "test.log", lock)
        env = environment(folder, without_sa2va)
        if without_sa2va:
            build(env, stages, SPACE_LIGHT, "the test environment")
        else:
            warn = functools.partial(warn_of_cuda, instead=_WITHOUT)
            build(env, stages, SPACE_TORCH, "the test environment", before_packages=warn)
        fetch_models(env, stages)
        # Types cannot be checked against packages that are not there.
        checks = [check for check in CHECKS if not (without_sa2va and check[0] == "types")]
        outcome: list[tuple[str, bool, float]] = []
        with stages.stage("Run the checks", live=True):
            for name, (tool, *arguments) in checks:
                started = time.monotonic()
                print(f"\n--- {name}: {' '.join([tool, *arguments])}", flush=True)
                code = stages.show([str(env.scripts / tool), *arguments], place.REPOSITORY, _environment_of_checks(env))
                outcome.append((name, code == 0, time.monotonic() - started))
    print()
    if without_sa2va:
        print("left out  types (needs the sa2va extra)")
    for name, passed, taken in outcome:
        print(f"{'ok' if passed else 'FAILED':9} {name:8} {seconds(taken):>12}")
    return 0 if all(passed for _, passed, _ in outcome) else 1


def _environment_of_checks(env: Environment) -> Mapping[str, str]:
    """As in an activated environment: tools that start others find those beside them."""
    path = os.pathsep.join([str(env.scripts), os.environ.get("PATH", "")])
    # pyright would ask the network whether there is a newer pyright.
    return clean_environment(PATH=path, VIRTUAL_ENV=str(env.folder), PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
