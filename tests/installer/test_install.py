"""``install``, ``doctor`` and ``uninstall`` around a real environment and a real worker; only pip is spared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from installer import install
from installer.environment import STAMP, Environment
from installer.progress import Stages
from sa2va_core.models import store
from sa2va_core.models.catalogue import CATALOGUE

from .test_command import installer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sets the user's folders as Linux has them")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with an empty home, who shares the models of this one."""
    weights = {name: store.path_of(name) for name in CATALOGUE}
    if not all(path.exists() for path in weights.values()):
        pytest.skip("the starter models are not here: `sa2va models fetch`")
    for variable in ("SA2VA_PYTHON", "SA2VA_WORKER_FOLDER", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path / "data"))
    (tmp_path / "user").mkdir()
    for name, path in weights.items():
        here = store.path_of(name)
        if here != path:
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(path)
    return tmp_path


def made(folder: Path, extras: tuple[str, ...] = ()) -> Environment:
    """A whole environment that pip did not have to make: it borrows the packages of the one that runs this."""
    env = Environment(install.environment(folder).folder, install.environment(folder).project, extras)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(env.folder)], check=True)
    packages = subprocess.run(
        [str(env.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (Path(packages) / "borrowed.pth").write_text(line, "utf-8")
    # Asked of the environment's own Python, whose version line the stamp holds.
    (env.folder / STAMP).write_text(json.dumps(env.wanted()), "utf-8")
    return env


def test_installed_once_hosts_find_the_worker_and_uninstall_leaves_nothing(user: Path) -> None:
    folder = user / "home"
    env = made(folder)
    for _ in range(2):
        result = installer("--folder", str(folder), "install")
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stdout.count("already done") == 2
        assert "starter: ready" in result.stdout
        assert "starts, answers and ends" in result.stdout
        assert str(env.scripts / "sa2va") in result.stdout
    known = install.hosts(env)
    assert known is not None
    assert known.python == str(env.python)
    assert known.record.is_relative_to(user)
    assert f"start the worker with {env.python}" in installer("--folder", str(folder), "doctor").stdout

    # As a host finds it, by another Python that has the plugin alone.
    plugin = Path(__file__).resolve().parents[2] / "plugin"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from sa2va_plugin.client import Client\n"
        "client = Client('host'); client.call(client.ping()); print(client.worker.pid)"
    )
    host = [sys.executable, "-S", "-c", program, str(plugin)]
    pid = int(subprocess.run(host, check=True, capture_output=True, text=True).stdout)
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert command[0].decode() == str(env.python)

    gone = installer("--folder", str(folder), "uninstall", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert str(known.record) in gone.stdout
    assert str(known.worker_folder) in gone.stdout
    assert not folder.exists()
    assert not known.record.exists()
    assert not known.worker_folder.exists()
    assert not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/cmdline").read_bytes() == b""
    refused = subprocess.run(host, check=False, capture_output=True, text=True)
    assert "not set up on this machine" in refused.stderr
    assert "installer install" in refused.stderr


def test_the_demo_tells_hosts_only_where_they_know_of_no_other(user: Path) -> None:
    first, second = made(user / "first"), made(user / "second")
    stages = Stages(1, user / "log")
    assert install.register_if_free(first, stages)
    assert install.register_if_free(first, stages)
    assert not install.register_if_free(second, stages)
    known = install.hosts(second)
    assert known is not None
    assert known.python == str(first.python)
    first.python.unlink()
    assert install.register_if_free(second, stages)


def test_uninstall_leaves_what_another_installation_told_hosts(user: Path) -> None:
    first, second = made(user / "first"), made(user / "second")
    subprocess.run([str(first.python), "-m", "sa2va_core.cli", "worker", "--register"], check=True, env=os.environ)
    assert installer("--folder", str(user / "second"), "uninstall", "--yes").returncode == 0
    known = install.hosts(first)
    assert known is not None
    assert known.python == str(first.python)
    assert not second.folder.exists()


def test_an_environment_with_pytorch_keeps_it(user: Path) -> None:
    folder = user / "home"
    assert install.environment(folder).extras == ()
    assert install.environment(folder, with_sa2va=True).extras == ("sa2va",)
    env = made(folder, ("sa2va",))
    assert install.environment(folder) == env
    assert install.environment(folder).ready()
