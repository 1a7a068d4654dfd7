"""``test``: the development environment and every check, each with its own line and time."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import place
from .demo import build, fetch_models
from .environment import PIP, Environment
from .progress import Stages, clean_environment, seconds

_CONSTRAINTS = Path(__file__).with_name("constraints-test.txt")
_SPACE_LIGHT = 2 * place.GIB
_SPACE_TORCH = 4 * place.GIB
_SPACE_CUDA = 12 * place.GIB

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
            build(env, stages, _SPACE_LIGHT, "the test environment")
        else:
            build(env, stages, _SPACE_TORCH, "the test environment", before_packages=_warn_of_cuda)
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


def _warn_of_cuda(env: Environment, stages: Stages) -> None:
    """Ask pip, without installing, whether PyTorch comes with NVIDIA's libraries here, and say what they cost."""
    report = env.folder / "torch.json"
    command = [str(env.python), *PIP, "install", "--dry-run", "--no-deps", "--report", str(report)]
    command += ["--constraint", str(_CONSTRAINTS), "torch"]
    stages.run(command, "asking for PyTorch", place.REPOSITORY, clean_environment())
    if brings_cuda(json.loads(report.read_text("utf-8"))):
        stages.say("PyTorch for this machine brings CUDA: about 3 GB to fetch, 6 GB of disk.")
        stages.say("To leave it out: python3 -m installer test --without sa2va")
        place.require_space(env.folder, _SPACE_CUDA, "PyTorch with CUDA")


def brings_cuda(report: Any) -> bool:
    """Whether pip's installation report of torch lists NVIDIA's libraries (they are built for Linux alone)."""
    needs = [need for item in report["install"] for need in item["metadata"].get("requires_dist", ())]
    return sys.platform == "linux" and any(need.startswith(("nvidia-", "cuda-")) for need in needs)


def _environment_of_checks(env: Environment) -> Mapping[str, str]:
    """As in an activated environment: tools that start others find those beside them."""
    path = os.pathsep.join([str(env.scripts), os.environ.get("PATH", "")])
    # pyright would ask the network whether there is a newer pyright.
    return clean_environment(PATH=path, VIRTUAL_ENV=str(env.folder), PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
