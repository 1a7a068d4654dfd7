"""The folder: writable, roomy, one run at a time, and removed only when it is ours."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from installer import place, uninstall
from installer.problems import Problem


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(Problem) as caught:
        place.prepare(tmp_path / "file" / "folder")
    assert str(tmp_path / "file") in caught.value.message
    assert "--folder" in caught.value.hint


def test_too_little_disk_gives_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10 << 30, 9 << 30, 200 << 20))
    with pytest.raises(Problem, match=r"the demo needs 2\.0 GiB, and 200 MiB are free"):
        place.require_space(tmp_path, 2 << 30, "the demo")


def test_two_runs_do_not_work_in_one_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with place.alone(tmp_path):
        with pytest.raises(Problem, match="still at work"), place.alone(tmp_path, wait=0.1):
            pass
        assert "waiting" in capsys.readouterr().out
    got = threading.Event()
    with place.alone(tmp_path, wait=0.1):
        got.set()
    assert got.is_set()


def test_removing_never_leaves_half_under_the_old_name(tmp_path: Path) -> None:
    made = tmp_path / "env"
    (made / "deep").mkdir(parents=True)
    (tmp_path / "env.removed").mkdir()  # of a run that was killed here
    place.remove(made)
    place.remove(made)
    assert list(tmp_path.iterdir()) == []


def test_uninstall_lists_sizes_and_removes_what_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uninstall.demo, "RESULTS", tmp_path / "results")
    home = tmp_path / "home"
    (home / "env").mkdir(parents=True)
    (home / "env" / "file").write_bytes(bytes(3 << 20))
    (home / "demo").mkdir()
    (tmp_path / "results").mkdir()
    with pytest.raises(Problem, match="nobody to ask"):
        uninstall.run(home, yes=False, models=False)
    assert home.exists()
    assert uninstall.run(home, yes=True, models=False) == 0
    out = capsys.readouterr().out
    assert "3 MiB" in out
    assert not home.exists()
    assert not (tmp_path / "results").exists()
    assert uninstall.run(home, yes=True, models=False) == 0
    assert "Nothing to remove" in capsys.readouterr().out


def test_uninstall_refuses_a_folder_with_other_things_in_it(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(Problem, match="photos"):
        uninstall.run(tmp_path, yes=True, models=False)
    assert (tmp_path / "photos").exists()


@pytest.mark.skipif(os.name == "nt", reason="uses a shell script as the environment's Python")
def test_uninstall_removes_fetched_models_and_leaves_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path))
    monkeypatch.setattr(uninstall.demo, "RESULTS", tmp_path / "results")
    own = tmp_path / "models" / "Sa2VA-4B" / "model.safetensors"
    fetched = tmp_path / "models" / "u2netp.onnx"
    own.parent.mkdir(parents=True)
    for path in (own, fetched):
        path.write_bytes(b"weights")
    home = tmp_path / "home"
    with pytest.raises(Problem, match="no whole environment"):
        uninstall.run(home, yes=True, models=True)
    python = uninstall.install.environment(home).python
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    python.chmod(0o755)
    assert uninstall.run(home, yes=True, models=True) == 0
    assert own.exists()
    assert not fetched.exists()
    assert not home.exists()


def test_sizes_count_files_and_bear_what_goes_away_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b/c", "gone/d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1234")
    assert place.size_of(tmp_path) == 12
    assert place.size_of(tmp_path / "a") == 4
    assert place.size_of(tmp_path / "no such file") == 0
    scandir = os.scandir

    def just_gone(folder: str | Path):
        if Path(folder).name == "gone":
            (Path(folder) / "d").unlink()
            Path(folder).rmdir()
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", just_gone)
    assert place.size_of(tmp_path) == 8


@pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows")
def test_links_count_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "file").write_bytes(b"1234")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "folder").symlink_to(tmp_path / "far")
    (tmp_path / "near" / "file").symlink_to(tmp_path / "far" / "file")
    assert place.size_of(tmp_path / "near") == 0
    assert place.size_of(tmp_path / "near" / "folder") == 0
