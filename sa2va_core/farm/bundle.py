"""A planned sheet as a job bundle of Open Job Description (specification 2023-09): the farm's scheduler, not ours.

The folder has the layout that AWS Deadline Cloud submits (``deadline bundle submit``) and that ``openjd run`` runs:
``template.json``, ``parameter_values.json``, ``asset_references.json``, with a job for each shot in ``jobs``. A task is
one shot, since tracking needs its own history. A task runs in a session whose worker keeps the engine loaded.

A shot that is longer than ``chunk`` frames becomes a chain of steps. Each goes on from the state that the one before
left in the output folder, so that the seams do not exist: the files are those of an unbroken run.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from sa2va_plugin.jobspec import EngineSpec, JobSpec

from sa2va_core.engines import registry
from sa2va_core.engines.base import Needs
from sa2va_core.media.atomic import write_bytes
from sa2va_core.media.clip import open_clip

from .plan import ShotJob

TEMPLATE = "template.json"
SUBMIT_SLURM = "slurm.sh"
#: What Open Job Description allows in a step's name.
_LONGEST_NAME = 64
_START_WITHIN, _STOP_WITHIN = 600, 120
_NOTICE = 60


@dataclass(frozen=True)
class _Step:
    """Tasks that need the same machine; ``pause``: frames after which a task stops; ``after``: the step before it."""

    name: str
    shots: tuple[str, ...]
    needs: Needs
    pause: int | None = None
    after: str = ""


def write_bundle(jobs: Sequence[ShotJob], folder: Path, name: str, *, chunk: int | None, timeout_hours: float) -> Path:
    """Write the bundle of ``jobs``, whose results go where their specs say; returns its template.

    Raises OutputError, and MediaError where a movie must be opened to count its frames.
    """
    steps = list(_steps(jobs, chunk))
    for job in jobs:
        write_bytes(folder / "jobs" / f"{job.shot}.json", job.spec.to_json().encode())
    out = str(Path(jobs[0].spec.outputs.folder).absolute().parent)
    _write(folder / TEMPLATE, _template(steps, name, round(timeout_hours * 3600)))
    _write(folder / "parameter_values.json", {"parameterValues": [{"name": "OutDir", "value": out}]})
    _write(folder / "asset_references.json", _assets(jobs, out))
    write_bytes(folder / SUBMIT_SLURM, _slurm(steps, out).encode())
    (folder / SUBMIT_SLURM).chmod(0o755)
    return folder / TEMPLATE


def _write(path: Path, data: Any) -> None:
    write_bytes(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())


def _steps(jobs: Sequence[ShotJob], chunk: int | None) -> Iterator[_Step]:
    """Shots that need the same engine share a step, so that a session loads it once."""
    lengths = {job.shot: _length(job.spec) for job in jobs} if chunk else {}
    short = [job for job in jobs if not chunk or lengths[job.shot] <= chunk]
    long = [job for job in jobs if chunk and lengths[job.shot] > chunk]

    def engine(job: ShotJob) -> tuple[str, str, str]:
        spec = job.spec.engine
        return spec.name, spec.model, repr(spec)

    for number, (_, group) in enumerate(groupby(sorted(short, key=engine), engine), 1):
        members = list(group)
        needs = _needs(members[0].spec.engine)
        yield _Step("Mattes" if number == 1 else f"Mattes {number}", tuple(job.shot for job in members), needs)
    for job in long:
        assert chunk is not None
        parts = -(-lengths[job.shot] // chunk)
        names = [f"{job.shot[: _LONGEST_NAME - 20]} {part} of {parts}" for part in range(1, parts + 1)]
        needs = _needs(job.spec.engine)
        for part, step in enumerate(names):
            yield _Step(
                step,
                (job.shot,),
                needs,
                pause=chunk if part + 1 < parts else None,
                after=names[part - 1] if part else "",
            )


def _length(spec: JobSpec) -> int:
    with open_clip(spec.shot) as clip:
        return len(clip.frames)


def _needs(spec: EngineSpec) -> Needs:
    return registry.factory(spec.name).needs(spec)


def _template(steps: Sequence[_Step], name: str, timeout: int) -> dict[str, Any]:
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": name,
        "description": "Mattes by Sa2VA Roto: a task is one shot with all of its objects.",
        "parameterDefinitions": [
            {
                "name": "JobsDir",
                "type": "PATH",
                "objectType": "DIRECTORY",
                "dataFlow": "IN",
                "default": "jobs",
                "description": "The jobs, one for each shot.",
            },
            {
                "name": "OutDir",
                "type": "PATH",
                "objectType": "DIRECTORY",
                "dataFlow": "OUT",
                "description": "Where results go, a folder for each shot.",
            },
            {
                "name": "Sa2va",
                "type": "STRING",
                "default": "sa2va",
                "description": "The command of Sa2VA Roto on the machines that run the tasks.",
            },
        ],
        "steps": [_step(step, timeout) for step in steps],
    }


def _step(step: _Step, timeout: int) -> dict[str, Any]:
    session = "{{Session.WorkingDirectory}}/worker"
    task = ["matte", "{{Param.JobsDir}}/{{Task.Param.Shot}}.json", "-o", "{{Param.OutDir}}/{{Task.Param.Shot}}"]
    task += ["--worker", "--openjd", "--path-map", "{{Session.PathMappingRulesFile}}"]
    if step.pause is not None:
        task += ["--pause-after", str(step.pause)]
    made: dict[str, Any] = {
        "name": step.name,
        "stepEnvironments": [
            {
                "name": "Worker",
                "description": "A worker for this session alone, so that the engine is loaded once.",
                "script": {
                    "actions": {
                        "onEnter": _action(["farm", "enter", session], _START_WITHIN),
                        "onExit": _action(["farm", "leave", session], _STOP_WITHIN),
                    }
                },
            }
        ],
        "parameterSpace": {"taskParameterDefinitions": [{"name": "Shot", "type": "STRING", "range": list(step.shots)}]},
        "hostRequirements": {"amounts": _amounts(step.needs)},
        "script": {"actions": {"onRun": _action(task, timeout)}},
    }
    if step.after:
        made["dependencies"] = [{"dependsOn": step.after}]
    return made


def _action(arguments: Sequence[str], timeout: int) -> dict[str, Any]:
    return {
        "command": "{{Param.Sa2va}}",
        "args": list(arguments),
        "timeout": timeout,
        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": _NOTICE},
    }


def _amounts(needs: Needs) -> list[dict[str, Any]]:
    amounts = [{"name": "amount.worker.memory", "min": needs.memory_mib}]
    if needs.gpu_memory_mib:
        amounts += [
            {"name": "amount.worker.gpu", "min": 1},
            {"name": "amount.worker.gpu.memory", "min": needs.gpu_memory_mib},
        ]
    return amounts


def _assets(jobs: Sequence[ShotJob], out: str) -> dict[str, Any]:
    """Files that a farm without a shared disk must bring along (Deadline Cloud's job attachments)."""
    files: set[str] = set()
    folders: set[str] = set()
    for job in jobs:
        spec = job.spec
        plate = Path(spec.shot.path)
        (files if plate.is_file() else folders).add(str(plate if plate.exists() else plate.parent))
        if spec.shot.ocio_config and "://" not in spec.shot.ocio_config:
            files.add(spec.shot.ocio_config)
        files |= {pin.path for item in spec.objects for pin in item.masks}
    return {
        "assetReferences": {
            "inputs": {"filenames": sorted(files), "directories": sorted(folders)},
            "outputs": {"directories": [out]},
            "referencedPaths": [],
        }
    }


_SLURM = """#!/usr/bin/env bash
# Submits this bundle to Slurm: an array for each step, one task a shot, each run by `openjd run` on its node.
# The folder and its jobs must be on a disk that the nodes share. Words after the script's name go to every sbatch:
#   ./slurm.sh --partition=gpu
# Run one task again:  ./slurm.sh --array=2    (counted from 0, in a bundle of one step)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sa2va=${SA2VA:-sa2va}
openjd=${OPENJD:-openjd}
out=${OUT:-@OUT@}
mkdir -p "$here/logs"

submit() { # STEP MEMORY GPUS AFTER SHOT...
  local step=$1 memory=$2 gpus=$3 after=$4; shift 4
  local shots=("$@") options=(--parsable --array="0-$(($# - 1))" --mem="$memory" --output="$here/logs/%A_%a.log")
  [ "$gpus" = 0 ] || options+=(--gres="gpu:$gpus")
  [ -z "$after" ] || options+=(--dependency="afterok:$after")
  sbatch "${options[@]}" "${extra[@]}" <<TASK
#!/usr/bin/env bash
shots=($(printf '%q ' "${shots[@]}"))
exec $(printf '%q ' "$openjd" run "$here/template.json" --step "$step") \\
  --tasks "[{\\"Shot\\": \\"\\${shots[\\$SLURM_ARRAY_TASK_ID]}\\"}]" \\
  $(printf '%q ' -p "OutDir=$out" -p "Sa2va=$sa2va")
TASK
}

extra=("$@")
@CALLS@
"""


def _slurm(steps: Sequence[_Step], out: str) -> str:
    calls = []
    variables: dict[str, str] = {}
    for number, step in enumerate(steps):
        variables[step.name] = f"job{number}"
        after = f'"${variables[step.after]}"' if step.after else '""'
        words = [step.name, f"{step.needs.memory_mib}M", "1" if step.needs.gpu_memory_mib else "0"]
        shots = " ".join(map(shlex.quote, step.shots))
        calls.append(f"job{number}=$(submit {' '.join(map(shlex.quote, words))} {after} {shots})")
        calls.append(f'echo "$job{number}  {step.name}"')
    return _SLURM.replace("@OUT@", shlex.quote(out)).replace("@CALLS@", "\n".join(calls))
