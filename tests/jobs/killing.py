"""Jobs in a process of their own that is killed with -9 in mid-run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from sa2va_plugin.jobspec import JobSpec


def run_until_killed(script: str, spec: JobSpec, lines: int) -> None:
    """Run ``script``, which finds the job as JSON in ``sys.argv[1]`` and prints a line for each finished frame, and
    kill it after so many lines; a job that has fewer frames left is over."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, spec.to_json()],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    for number, _ in enumerate(process.stdout, 1):
        if number == lines:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()
