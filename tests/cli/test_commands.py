"""Whole commands: what they print, what they leave on disk, and how Ctrl-C ends them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sa2va_core.cli import main
from sa2va_core.cli.console import TextListener
from sa2va_core.engines.base import Engine
from sa2va_core.jobs.events import Progress


def plate(folder: Path, frames: int = 3) -> Path:
    folder.mkdir()
    for number in range(1001, 1001 + frames):
        cv2.imwrite(str(folder / f"grey.{number}.png"), np.full((72, 128, 3), 90 + number % 7, np.uint8))
    return folder / "grey.####.png"


def test_look_and_inspect(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shot, picture = plate(tmp_path / "plate"), tmp_path / "look.png"
    assert main(["look", str(shot), "--frame", "1002", "-o", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "grey.1002.png" in printed
    assert str(picture) in printed
    assert cv2.imread(str(picture)) is not None
    assert main(["inspect", str(picture), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main(["inspect", str(picture)]) == 0
    assert "look.png" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "gone.exr")]) == 1
    assert "gone.exr" in capsys.readouterr().err


def test_progress_moves_on_a_terminal_and_is_quiet_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = Progress("matting", 30, 100, 4.2, 75.4)
    TextListener()(event)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    TextListener()(event)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "\rmatting 30/100  4.2 frames/s  1:15 left"


@pytest.mark.skipif(sys.platform == "win32", reason="another process cannot send Ctrl-C on Windows; not run there")
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(starter_engine: Engine, tmp_path: Path) -> None:
    """With the starter engine itself; 120 frames, so that the signal comes long before the end."""
    shot, out = plate(tmp_path / "plate", 120), tmp_path / "out"
    command = [sys.executable, "-m", "sa2va_core.cli", "matte", str(shot), "the elephant", "-o", str(out)]
    process = subprocess.Popen(
        [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "frame_ready":
            process.send_signal(signal.SIGINT)
            break
    last = [json.loads(line) for line in process.stdout][-1]
    complaint = process.stderr.read()
    assert process.wait() == 130
    assert last["event"] == "failed"
    assert "Traceback" not in complaint
    finished = {path: path.stat().st_mtime_ns for path in out.rglob("*.exr")}
    assert 0 < len(finished) < 120
    assert not list(out.rglob(".*.exr*"))

    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{len(finished)} of 120 frames are finished already." in again.stdout
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    assert len(list(out.rglob("*.exr"))) == 120
