"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sa2va_plugin import files
from sa2va_plugin.errors import OutputError, UnwritableError

from sa2va_core.media.atomic import final_name, output_error, remove_strays, write_bytes, writing
from sa2va_core.media.exr import write_exr

from .conftest import files_in, fill


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "a.b.exr"
    with writing(path) as temp:
        assert temp.parent == path.parent
        assert temp.suffix == ".exr"
        temp.write_bytes(b"1")
        assert not path.exists()
    assert path.read_bytes() == b"1"
    assert files_in(tmp_path) == {"a.b.exr"}


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.exr"
    path.write_bytes(b"old")

    def interrupted():
        with writing(path) as temp:
            temp.write_bytes(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert files_in(tmp_path) == {"a.exr"}


def test_a_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="in the way") as caught:
        write_bytes(tmp_path / "file" / "a.exr", b"1")
    assert "another output folder" in caught.value.hint


def test_a_folder_in_the_way_of_the_file(tmp_path):
    (tmp_path / "a.exr").mkdir()
    with pytest.raises(OutputError, match="in the way"):
        write_bytes(tmp_path / "a.exr", b"1")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.exr"]


@contextmanager
def locked(folder):
    folder.mkdir()
    # Permission bits do not hold root back; the immutable flag does.
    if os.geteuid() == 0:
        if subprocess.run(["chattr", "+i", str(folder)], capture_output=True).returncode:
            pytest.skip("root may write everywhere, and this file system has no immutable flag")
    else:
        folder.chmod(0o500)
    try:
        yield
    finally:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
        else:
            folder.chmod(0o700)


def test_no_permission(tmp_path):
    folder = tmp_path / "locked"
    with locked(folder):
        with pytest.raises(OutputError, match="No permission") as caught:
            write_bytes(folder / "a.exr", b"1")
        assert str(caught.value.message).endswith(str(folder / "a.exr"))
        assert list(folder.iterdir()) == []


def test_no_permission_for_a_library(tmp_path):
    """OpenImageIO opens the file itself, and says why it cannot in words of its own."""
    plane = np.zeros((4, 4), np.float16)
    with locked(tmp_path / "locked"), pytest.raises(OutputError, match="No permission") as caught:
        write_exr(tmp_path / "locked" / "a.exr", {"A": plane}, size=(4, 4), metadata={})
    assert caught.value.exit_code == 1


def held_open(monkeypatch, tries):
    """Files whose target another program has open, for so many tries: Windows says so in this way."""
    rename, left = Path.replace, iter(range(tries))

    def refuse(self, target):
        if next(left, None) is not None:
            raise PermissionError(errno.EACCES, "Access is denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(files, "_PAUSE", 0)


def test_a_file_that_is_held_open_for_a_moment(tmp_path, monkeypatch):
    path = tmp_path / "a.exr"
    path.write_bytes(b"old")
    held_open(monkeypatch, 3)
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert files_in(tmp_path) == {"a.exr"}


def test_a_file_that_stays_held_open(tmp_path, monkeypatch):
    path = tmp_path / "a.exr"
    path.write_bytes(b"old")
    held_open(monkeypatch, 1000)
    with pytest.raises(UnwritableError, match="No permission") as caught:
        write_bytes(path, b"new")
    assert str(caught.value.message).endswith(str(path))
    assert "Close the programs" in caught.value.hint
    assert path.read_bytes() == b"old"
    assert files_in(tmp_path) == {"a.exr"}


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(OutputError, match="too long"):
        write_bytes(tmp_path / ("x" * 300 + ".exr"), b"1")


@pytest.mark.parametrize(
    ("reason", "words", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full", 75),
        (OSError(errno.EIO, "Input/output error"), "Input/output error", 75),
        ("libfoo: it\n  went wrong", r"libfoo: it went wrong", 75),
        # A farm would try these again for nothing.
        (OSError(errno.EACCES, "Permission denied"), "No permission", 1),
        (OSError(errno.EROFS, "Read-only file system"), "No permission", 1),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "too long", 1),
        (OSError(errno.ENOTDIR, "Not a directory"), "in the way", 1),
    ],
)
def test_reasons_become_words_and_exit_codes(tmp_path, reason, words, code):
    error = output_error(tmp_path / "a.exr", reason)
    assert error.exit_code == code
    assert words in error.message
    assert error.message.endswith("a.exr")
    assert error.hint


def test_a_full_disk_is_seen_behind_a_librarys_words(tiny_disk):
    fill(tiny_disk, 0)
    assert "disk is full" in output_error(tiny_disk / "mattes" / "a.exr", "File output failed.").message


def test_strays_of_a_killed_process_are_known_and_cleared(tmp_path):
    path = tmp_path / "shot_mattes.1001.exr"
    script = (
        "import os, signal, pathlib, sys; from sa2va_core.media.atomic import writing\n"
        "with writing(pathlib.Path(sys.argv[1])) as temp:\n"
        "    temp.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)])
    assert done.returncode == -signal.SIGKILL
    (stray,) = tmp_path.iterdir()
    assert stray.name.startswith(".")
    assert final_name(stray.name) == path.name
    neighbour = tmp_path / ".shot_mattes.1002.0123abcd.part.exr"
    neighbour.write_bytes(b"")
    assert remove_strays([path, tmp_path / "no such folder" / "a.exr"]) == 1
    assert files_in(tmp_path) == {neighbour.name}


@pytest.mark.parametrize("name", ["a.exr", ".a.part.exr", ".a.0123abcd.exr", ".a.0123ABCD.part.exr"])
def test_other_files_are_no_strays(name):
    assert final_name(name) is None


def test_a_name_without_extension():
    assert final_name(".manifest.0123abcd.part") == "manifest"
