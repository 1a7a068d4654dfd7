"""The suite that every adapter must pass, on ours in the stand-in Nuke: a program for the bare Python of any Nuke.

``python -I -S conform.py WORKER-COMMAND...``; the worker has a Python of its own.
"""

from __future__ import annotations

import sys
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(place) for place in (HERE, HERE / "fake", ROOT, ROOT / "hosts" / "nuke", ROOT / "plugin")]

from nuke_under_test import NukeUnderTest  # noqa: E402
from sa2va_plugin import conformance  # noqa: E402

from tests.worker import toy_adapter  # noqa: E402


class NukeAdapter(toy_adapter.ToyWorkerConformance):
    def open_host(self, folder: str, command: Sequence[str], document: Any = None) -> conformance.HostUnderTest:
        return NukeUnderTest(folder, command, document)

    def test_no_package_came_along(self) -> None:
        foreign = [m.__file__ for m in sys.modules.values() if "site-packages" in (getattr(m, "__file__", "") or "")]
        assert foreign == []


if __name__ == "__main__":
    NukeAdapter.command = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
