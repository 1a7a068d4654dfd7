"""The engine's process with the tests' brightness engine in it, which does what files in $SA2VA_TEST_CONTROL say.

``delay`` holds seconds to wait before each frame. ``at-N`` holds what happens before frame N of a session: ``kill``,
``segfault``, ``exit``, ``error``, ``memory``, ``hang``, ``hold`` (until there is a file ``release``) or ``nonsense``;
it happens once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

from sa2va_plugin.errors import EngineError  # noqa: E402
from sa2va_plugin.jobspec import EngineSpec  # noqa: E402

from sa2va_core.engines import registry  # noqa: E402
from sa2va_core.engines.base import Engine, EngineFactory, Needs  # noqa: E402
from sa2va_core.media.clip import Clip  # noqa: E402
from sa2va_core.media.frames import FrameSource  # noqa: E402
from sa2va_core.worker import child  # noqa: E402
from tests.jobs.brightness import Brightness  # noqa: E402


def take(file: Path) -> str | None:
    """What the file says, to one of the engines that look for it; None to all others."""
    mine = file.with_name(f"{file.name}-{os.getpid()}")
    try:
        file.replace(mine)
    except FileNotFoundError:
        return None
    return mine.read_text()


def act(what: str) -> None:
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "exit":
        os._exit(9)
    elif what == "error":
        raise EngineError("CUDA error: an illegal memory access was encountered.", "Restart the GPU's driver.")
    elif what == "memory":
        raise MemoryError
    elif what == "hang":
        time.sleep(3600)
    elif what == "hold":
        release = Path(os.environ["SA2VA_TEST_CONTROL"]) / "release"
        while take(release) is None:
            time.sleep(0.01)
    elif what == "nonsense":
        os.write(7, b"this is not JSON\n")
    else:
        raise ValueError(what)


def before_frame(number: int) -> None:
    control = Path(os.environ["SA2VA_TEST_CONTROL"])
    with contextlib.suppress(FileNotFoundError):
        time.sleep(float((control / "delay").read_text() or 0))
    what = take(control / f"at-{number}")
    if what is not None:
        act(what)


class Logged(Brightness):
    """Each frame it looks at is a line of the file ``looked``, which outlives the process: its picture's path."""

    def look(self, source: FrameSource, frame: int) -> None:
        assert isinstance(source, Clip)
        with open(Path(os.environ["SA2VA_TEST_CONTROL"]) / "looked", "a") as stream:
            stream.write(f"{source.source_of(frame).path}\n")


class Factory(EngineFactory):
    name = "brightness"
    label = "for tests"

    def unavailable(self) -> str | None:
        return None

    def needs(self, spec: EngineSpec) -> Needs:
        return Needs(256)

    def create(self, spec: EngineSpec) -> Engine:
        with open(Path(os.environ["SA2VA_TEST_CONTROL"]) / "loaded", "a") as stream:
            stream.write(f"{os.getpid()}\n")
        return Logged(before_frame)


module = ModuleType("brightness_for_tests")
module.FACTORY = Factory()  # type: ignore[attr-defined]
sys.modules[module.__name__] = module
registry._FACTORIES["brightness"] = module.__name__

if __name__ == "__main__":
    sys.exit(child.main(sys.argv[1:]))
