"""A bundle's shots as a job of OpenCue: ``python opencue_mattes.py BUNDLE RESULTS --show SHOW [--print]``.

Runs in a Python that has ``opencue-pyoutline``; the bundle is what ``sa2va farm export`` writes. A layer is a shot and
asks for what the bundle says that it needs. ``--print`` shows the job's specification instead of launching it.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from pathlib import Path

from outline import Outline, cuerun
from outline.backend import cue
from outline.modules.shell import ShellCommand


def outline(arguments: argparse.Namespace) -> Outline:
    template = json.loads((arguments.bundle / "template.json").read_text("utf-8"))
    job = Outline("mattes", show=arguments.show, shot=arguments.shot)
    seen = set()
    for step in template["steps"]:
        needs = {item["name"]: item["min"] for item in step["hostRequirements"]["amounts"]}
        asked = {"memory": f"{needs['amount.worker.memory']}m"}
        if "amount.worker.gpu" in needs:
            asked |= {"gpus": needs["amount.worker.gpu"], "gpu_memory": f"{needs['amount.worker.gpu.memory']}m"}
        for shot in step["parameterSpace"]["taskParameterDefinitions"][0]["range"]:
            if shot in seen:  # a chain of chunks: here the shot is run in one
                continue
            seen.add(shot)
            words = [
                arguments.sa2va,
                "matte",
                f"{arguments.bundle}/jobs/{shot}.json",
                "-o",
                f"{arguments.results}/{shot}",
            ]
            job.add_layer(ShellCommand(re.sub(r"\W", "_", shot), command=shlex.join(words), **asked))
    return job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=lambda text: Path(text).absolute())
    parser.add_argument("results", type=lambda text: Path(text).absolute())
    parser.add_argument("--show", required=True, help="a show that OpenCue knows")
    parser.add_argument("--shot", default="mattes")
    parser.add_argument("--sa2va", default="sa2va", help="the command on the machines")
    parser.add_argument("--print", action="store_true")
    arguments = parser.parse_args()
    job = outline(arguments)
    if arguments.print:
        sys.stdout.write(cue.serialize_simple(cuerun.OutlineLauncher(job)) + "\n")
    else:
        cuerun.launch(job, use_pycuerun=False)


if __name__ == "__main__":
    main()
