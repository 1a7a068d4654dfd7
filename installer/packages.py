"""Stages that several commands share: an environment with its packages, PyTorch's size said first, and the models."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from . import place
from .environment import PIP, Environment
from .progress import Stages, clean_environment

SPACE_LIGHT = 2 * place.GIB
SPACE_TORCH = 4 * place.GIB
SPACE_CUDA = 12 * place.GIB


def build(
    env: Environment,
    stages: Stages,
    space: int,
    what: str,
    before_packages: Callable[[Environment, Stages], None] | None = None,
) -> None:
    """Two stages: the environment and its packages, unless a whole one is there."""
    ready = env.ready()
    with stages.stage("Make a private environment"):
        if ready:
            stages.note = "already done"
        else:
            place.require_space(env.folder.parent, space, what)
            env.create(stages)
    with stages.stage("Install the packages"):
        if ready:
            stages.note = "already done"
        else:
            if before_packages is not None:
                before_packages(env, stages)
            env.install(stages)


def fetch_models(env: Environment, stages: Stages) -> None:
    """One stage: the starter models, hashes checked."""
    with stages.stage("Fetch and verify the starter models"):
        stages.run(sa2va(env, "models", "fetch"), "fetching the models", place.REPOSITORY, clean_environment())


def sa2va(env: Environment, *arguments: str) -> list[str]:
    """The environment's own `sa2va`, without its script: that is missing where pip was cut short."""
    return [str(env.python), "-m", "sa2va_core.cli", *arguments]


def warn_of_cuda(env: Environment, stages: Stages, instead: str) -> None:
    """Ask pip, without installing, whether PyTorch comes with NVIDIA's libraries here, and say what they cost.

    ``instead``: the command that leaves PyTorch out.
    """
    report = env.folder / "torch.json"
    command = [str(env.python), *PIP, "install", "--dry-run", "--no-deps", "--report", str(report)]
    if env.constraints is not None:
        command += ["--constraint", str(env.constraints)]
    stages.run([*command, "torch"], "asking for PyTorch", place.REPOSITORY, clean_environment())
    if brings_cuda(json.loads(report.read_text("utf-8"))):
        stages.say("PyTorch for this machine brings CUDA: about 3 GB to fetch, 6 GB of disk.")
        stages.say(f"To leave it out: {instead}")
        place.require_space(env.folder, SPACE_CUDA, "PyTorch with CUDA")


def brings_cuda(report: Any) -> bool:
    """Whether pip's installation report of torch lists NVIDIA's libraries (they are built for Linux alone)."""
    needs = [need for item in report["install"] for need in item["metadata"].get("requires_dist", ())]
    return sys.platform == "linux" and any(need.startswith(("nvidia-", "cuda-")) for need in needs)
