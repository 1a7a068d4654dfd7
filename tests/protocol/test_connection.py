"""Where the worker is found, and who may know."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from sa2va_plugin import connection as link
from sa2va_plugin.errors import WorkerError

SAMPLE = link.Connection(4242, "ab" * 32, 17, "2026-01-02 03:04:05", "1.0", "/x/worker.log")
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({}, "linux", "/home/zoë/.local/state/sa2va-roto/render07"),
        ({"XDG_STATE_HOME": "/sandbox"}, "linux", "/home/zoë/.local/state/sa2va-roto/render07"),
        ({}, "darwin", "/home/zoë/Library/Application Support/Sa2VA Roto/worker"),
        (
            {"LOCALAPPDATA": "C:\\Users\\Zoë\\AppData\\Local"},
            "win32",
            "C:\\Users\\Zoë\\AppData\\Local\\Sa2VA Roto\\worker",
        ),
        ({}, "win32", "/home/zoë\\AppData\\Local\\Sa2VA Roto\\worker"),
        ({"SA2VA_WORKER_FOLDER": "/elsewhere"}, "win32", "/elsewhere"),
    ],
)
def test_the_folder_on_each_system(environ: dict[str, str], platform: str, expected: str) -> None:
    assert link.worker_folder(environ, platform, "/home/zoë", "render07.studio.lan") == expected


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = str(tmp_path / "a" / "b")
    assert link.read_connection(folder) is None
    link.make_private(folder)
    link.write_connection(folder, SAMPLE)
    assert link.read_connection(folder) == SAMPLE
    assert [path.name for path in Path(folder).iterdir()] == ["worker.json"]


@posix
def test_only_the_user_may_look(tmp_path: Path) -> None:
    folder = tmp_path / "worker"
    folder.mkdir(mode=0o755)
    link.make_private(str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    link.write_connection(str(folder), SAMPLE)
    path = link.connection_file(str(folder))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(WorkerError, match="Other users have access"):
        link.read_connection(str(folder))


@posix
def test_a_folder_that_is_not_ones_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(WorkerError, match="not a folder of yours"):
        link.make_private(str(tmp_path / "link"))
    (tmp_path / "file").touch()
    with pytest.raises(WorkerError, match="cannot be made"):
        link.make_private(str(tmp_path / "file" / "worker"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 10_000,
        "{}",
        json.dumps({**vars(SAMPLE), "port": "4242"}),
        json.dumps({**vars(SAMPLE), "port": 0}),
        json.dumps({**vars(SAMPLE), "port": 70000}),
        json.dumps({**vars(SAMPLE), "token": "not hex"}),
    ],
)
def test_a_damaged_file_is_no_file(tmp_path: Path, text: str) -> None:
    path = link.connection_file(str(tmp_path))
    path.write_text(text)
    path.chmod(0o600)
    assert link.read_connection(str(tmp_path)) is None


def test_members_of_a_newer_release_are_passed_over(tmp_path: Path) -> None:
    path = link.connection_file(str(tmp_path))
    path.write_text(json.dumps({**vars(SAMPLE), "colour": "red"}))
    path.chmod(0o600)
    assert link.read_connection(str(tmp_path)) == SAMPLE


def test_proofs_depend_on_token_side_and_both_numbers() -> None:
    token, other = b"t" * 32, b"o" * 32
    one, two = link.new_nonce(), link.new_nonce()
    proofs = {
        link.worker_proof(token, one, two),
        link.client_proof(token, one, two),
        link.worker_proof(other, one, two),
        link.worker_proof(token, two, one),
        link.worker_proof(token, one, one),
    }
    assert len(proofs) == 5
    assert all(len(proof) == link.PROOF_SIZE for proof in proofs)
    assert link.proves(link.worker_proof(token, one, two), link.worker_proof(token, one, two))
    assert not link.proves(b"", link.worker_proof(token, one, two))
