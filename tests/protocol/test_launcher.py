"""How the worker is started: its own Python, nothing of the host's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sa2va_plugin import launcher
from sa2va_plugin.errors import WorkerError

HOST = {
    "PYTHONHOME": "/opt/Nuke/python",
    "PYTHONPATH": "/opt/Nuke/plugins",
    "pythonpath": "lower",
    "QT_PLUGIN_PATH": "/opt/Nuke/qt",
    "QML2_IMPORT_PATH": "/opt/qml",
    "NUKE_PATH": "/studio/nuke",
    "OFX_PLUGIN_PATH": "/ofx",
    "BLENDER_SYSTEM_SCRIPTS": "/blender",
    "LD_LIBRARY_PATH": "/opt/Nuke",
    "LD_PRELOAD": "libhost.so",
    "DYLD_LIBRARY_PATH": "/opt/Nuke",
    "OCIO": "/studio/config.ocio",
    "VIRTUAL_ENV": "/venv",
}
KEPT = {"PATH": "/usr/bin:/bin", "HOME": "/home/zoë", "CUDA_VISIBLE_DEVICES": "0", "SA2VA_SHARED": "/shared"}


def test_what_belongs_to_the_host_is_left_out() -> None:
    assert launcher.clean_environment({**HOST, **KEPT}, "linux") == KEPT


def test_on_windows_the_hosts_own_folders_leave_the_path() -> None:
    path = "C:\\Windows;C:\\Program Files\\Nuke16.0v1;C:\\Program Files\\Nuke16.0v1\\bin;C:\\Program Files\\Nuke16.0v10"
    cleaned = launcher.clean_environment({"Path": path}, "win32", "C:\\Program Files\\Nuke16.0v1")
    assert cleaned == {"Path": "C:\\Windows;C:\\Program Files\\Nuke16.0v10"}


def test_how_a_process_is_detached() -> None:
    assert launcher.creation_flags("linux") == launcher.creation_flags("darwin") == 0
    # DETACHED_PROCESS, CREATE_NEW_PROCESS_GROUP and BELOW_NORMAL_PRIORITY_CLASS of the Windows API.
    assert launcher.creation_flags("win32") == 0x4208


def test_the_command_is_what_set_up_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launcher.PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    with pytest.raises(WorkerError, match="not set up"):
        launcher.worker_command()
    launcher.record_python(sys.executable)
    assert tmp_path in launcher.environment_file().parents
    assert launcher.worker_command() == [sys.executable, "-I", "-m", "sa2va_core.worker"]
    launcher.record_python(str(tmp_path / "gone"))
    with pytest.raises(WorkerError, match="Python is gone"):
        launcher.worker_command()
    for text in ("", "[]", "{}", json.dumps({"python": 5})):
        launcher.environment_file().write_text(text)
        with pytest.raises(WorkerError):
            launcher.worker_command()
    monkeypatch.setenv(launcher.PYTHON_VARIABLE, sys.executable)
    assert launcher.worker_command()[0] == sys.executable


def test_a_started_process_sees_a_clean_environment_and_its_words_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_PLUGIN_PATH", "/host")
    monkeypatch.setenv("PYTHONPATH", "/host")
    program = "import os; print(sorted(n for n in os.environ if n.startswith(('PYTHON', 'QT')))); print(os.getcwd())"
    process = launcher.start(str(tmp_path / "worker"), [sys.executable, "-c", program])
    assert process.wait(60) == 0
    launcher._started.clear()
    assert launcher.tail(launcher.startup_log(str(tmp_path / "worker"))) == f"[]\n{tmp_path / 'worker'}"


@pytest.mark.skipif(not hasattr(os, "setpriority"), reason="Windows: by the flags above")
def test_a_started_process_gives_way_to_its_host(tmp_path: Path) -> None:
    process = launcher.start(str(tmp_path), [sys.executable, "-c", "import time; time.sleep(60)"])
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= max(own, 5)
    process.kill()
    process.wait(60)
    launcher._started.clear()
    launcher.give_way(process.pid)  # it has ended


def test_the_startup_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    path = launcher.startup_log(str(tmp_path))
    path.write_bytes(b"x" * (launcher._MAX_STARTUP_LOG + 1))
    launcher.start(str(tmp_path), [sys.executable, "-c", "print('new')"]).wait(60)
    launcher._started.clear()
    assert path.read_text() == "new\n"


def test_tail_gives_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert launcher.tail(path) == ""
    path.write_bytes(b"\xff" * 20_000 + b"\n" + b"\n".join(b"line %d" % i for i in range(3000)))
    assert launcher.tail(path, 2) == "line 2998\nline 2999"


def test_the_real_worker_module_runs_isolated() -> None:
    """The recorded command needs an installed package; where this one is only on PYTHONPATH, -I hides it."""
    probe = subprocess.run([sys.executable, "-I", "-c", "import sa2va_core"], capture_output=True)
    if probe.returncode:
        pytest.skip("the package is not installed in this environment")
    program = "import sa2va_core, sys; print(sa2va_core.__file__)"
    found = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, env=os.environ)
    assert "sa2va_core" in found.stdout


def test_a_process_that_was_killed_is_not_running(tmp_path: Path):
    process = launcher.start(str(tmp_path / "worker"), [sys.executable, "-c", "import time; time.sleep(60)"])
    assert launcher.is_running(process.pid)
    assert launcher.is_running(os.getpid())
    process.kill()
    deadline = time.monotonic() + 60
    while launcher.is_running(process.pid):  # ours leaves a zombie until it is asked for
        assert time.monotonic() < deadline
        time.sleep(0.02)
