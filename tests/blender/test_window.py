"""The extension in a real Blender window; gui/gui.sh says how. Left out where nobody asked for it, and said so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "gui" / "gui.sh"


@pytest.mark.parametrize("suite", ["sid", "trixie"])
def test_in_a_window(suite: str) -> None:
    if not os.environ.get("SA2VA_WINDOWS"):
        pytest.skip(
            "a window takes root, Debian and a quarter of an hour: "
            f"{SCRIPT.parent.name}/{SCRIPT.name} setup {suite}, then SA2VA_WINDOWS=1"
        )
    environment = {"SA2VA_TEST_PYTHON": sys.executable, **os.environ}
    done = subprocess.run([str(SCRIPT), "run", suite], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    assert "PASSED" in done.stdout
