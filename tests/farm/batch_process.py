"""``sa2va batch SHEET -o DIR`` with the toy worker and its engine, as a process that tests can kill."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

from sa2va_core.cli import main  # noqa: E402
from sa2va_core.worker import remote  # noqa: E402
from tests.worker import toy_child  # noqa: E402, F401 - registers its engine

if __name__ == "__main__":
    remote.COMMAND = (sys.executable, str(ROOT / "tests" / "worker" / "toy_worker.py"))
    sys.exit(main(["batch", *sys.argv[1:]]))
