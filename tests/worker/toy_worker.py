"""The worker as it is, with :mod:`tests.worker.toy_child` for its engine process.

SIGUSR1 makes the wall clock jump a day back, SIGUSR2 a day on.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

from sa2va_core.worker.service import run_worker  # noqa: E402

true_time = time.time


def jump(seconds: float) -> None:
    before = time.time
    time.time = lambda: before() + seconds  # type: ignore[assignment]


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: jump(-86400))
    signal.signal(signal.SIGUSR2, lambda *_: jump(86400))
    child = [sys.executable, str(ROOT / "tests" / "worker" / "toy_child.py")]
    idle = {name: float(os.environ[name]) for name in ("engine_idle", "worker_idle") if name in os.environ}
    sys.exit(run_worker(child_command=child, **idle))
