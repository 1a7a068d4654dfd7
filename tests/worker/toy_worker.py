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

from sa2va_core.worker import scheduler, service  # noqa: E402


def jump(seconds: float) -> None:
    before = time.time
    time.time = lambda: before() + seconds  # type: ignore[assignment]


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: jump(-86400))
    signal.signal(signal.SIGUSR2, lambda *_: jump(86400))
    child = [sys.executable, str(ROOT / "tests" / "worker" / "toy_child.py")]
    if "CANCEL_GRACE" in os.environ:
        scheduler.CANCEL_GRACE = float(os.environ["CANCEL_GRACE"])
    if "MAX_CLIENTS" in os.environ:
        service.MAX_CLIENTS = int(os.environ["MAX_CLIENTS"])
    engine_idle, worker_idle = (float(os.environ.get(name, 600)) for name in ("ENGINE_IDLE", "WORKER_IDLE"))
    engines = int(os.environ.get("ENGINES", 1))
    sys.exit(service.run_worker(child_command=child, engine_idle=engine_idle, worker_idle=worker_idle, engines=engines))
