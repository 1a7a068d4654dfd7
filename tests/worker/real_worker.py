"""The worker exactly as it is, run from this checkout rather than from an installed package."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]
os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])

from sa2va_core.worker.service import run_worker  # noqa: E402

if __name__ == "__main__":
    sys.exit(run_worker())
