"""``install``: the `sa2va` command, and a worker that Blender, Nuke and every other host find by themselves."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import place
from .environment import Environment
from .packages import SPACE_LIGHT, SPACE_TORCH, build, fetch_models, sa2va, warn_of_cuda
from .progress import Stages, clean_environment

SA2VA = "sa2va"


def environment(folder: Path, with_sa2va: bool = False) -> Environment:
    """The user's environment. One that has PyTorch keeps it: leaving a word out of a command takes nothing away."""
    plain = Environment(folder / "env", place.REPOSITORY)
    stamp = plain.stamp() or {}
    extras = (SA2VA,) if with_sa2va or SA2VA in stamp.get("extras", ()) else ()
    return Environment(plain.folder, plain.project, extras)


def run(folder: Path, with_sa2va: bool) -> int:
    """Make everything that is not there yet, have hosts find it, try the worker, say what to do next."""
    place.prepare(folder)
    with place.alone(folder) as lock:
        stages = Stages(5, folder / "logs" / "install.log", lock)
        env = environment(folder, with_sa2va)
        make(env, stages, "the installation", "python3 -m installer install")
        fetch_models(env, stages)
        with stages.stage("Tell hosts where it is"):
            register(env, stages)
        with stages.stage("Try the worker as hosts start it"):
            said = stages.run(sa2va(env, "worker", "--check"), "trying the worker", folder, clean_environment())
            for line in said.splitlines():
                stages.say(line)
    print()
    print(f'Command line: {env.scripts / "sa2va"} matte SHOT "the man on the left" -o DIR')
    print("Hosts:        start the worker by themselves; `sa2va status`, `jobs` and `logs` show it")
    if SA2VA not in env.extras:
        print("Sa2VA itself: python3 -m installer install --sa2va   (adds PyTorch; you bring the weights)")
    else:
        print("Sa2VA itself: --engine sa2va --model DIR, where DIR holds the published weights")
    print("Gone again:   python3 -m installer uninstall")
    return 0


def make(env: Environment, stages: Stages, what: str, without_torch: str) -> None:
    """Two stages: the environment and its packages. A worker that runs from an outdated one is ended first."""
    if not env.ready():
        stop_worker(env)
    if env.extras:
        build(env, stages, SPACE_TORCH, what, lambda made, told: warn_of_cuda(made, told, without_torch))
    else:
        build(env, stages, SPACE_LIGHT, what)


def register(env: Environment, stages: Stages) -> None:
    """Hosts start the worker of this environment from now on."""
    command = sa2va(env, "worker", "--register")
    stages.run(command, "telling hosts", place.REPOSITORY, clean_environment())


def register_if_free(env: Environment, stages: Stages) -> bool:
    """Register unless hosts know of another installation that is there; whether they know this one now."""
    found = hosts(env)
    if found is not None and found.python != str(env.python) and Path(found.python or "/").is_file():
        return False
    register(env, stages)
    return True


@dataclass(frozen=True)
class Hosts:
    """What this machine's hosts go by: the Python that they start the worker with ("" for none), and two places."""

    python: str
    record: Path
    worker_folder: Path


_ASK = """
from sa2va_plugin import connection, launcher
print(launcher.recorded_python(), launcher.environment_file(), connection.worker_folder(), sep="\\n")
"""


def hosts(env: Environment) -> Hosts | None:
    """None where there is no environment that could tell."""
    command = [str(env.python), "-c", _ASK]
    try:
        answer = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=True)
        python, record, worker_folder = answer.stdout.splitlines()
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return Hosts(python, Path(record), Path(worker_folder))


def stop_worker(env: Environment) -> None:
    """End the worker if it is this environment's; a running job goes on at its next start."""
    found = hosts(env)
    if found is not None and found.python == str(env.python):
        # Fails where none runs, which is as well.
        subprocess.run(sa2va(env, "worker", "--stop"), env=clean_environment(), capture_output=True, check=False)
