"""``python3 -m installer`` as a person types it, with old and odd Pythons too."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from installer import pythons
from installer.packages import brings_cuda
from installer.problems import explain
from tests.pythons import real_python

REPOSITORY = Path(__file__).resolve().parents[2]


def installer(*arguments: str, python: str = sys.executable, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "installer", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", ["__main__.py", "pythons.py"])
def test_what_an_old_python_reads_is_written_for_it(name: str) -> None:
    ast.parse((REPOSITORY / "installer" / name).read_text("utf-8"), feature_version=(3, 4))


@pytest.mark.parametrize("version", ["2.7", "3.7", "3.9", "3.10"])
def test_an_old_python_says_what_to_install(version: str, tmp_path: Path) -> None:
    old = real_python(version)
    result = installer("doctor", python=old, PATH=str(tmp_path))
    assert result.returncode == 1
    assert result.stdout == ""
    first, second = result.stderr.splitlines()
    assert first == f"This is Python {version}; Sa2VA Roto needs 3.11 or newer, and none was found."
    assert "run this again" in second


@pytest.mark.skipif(os.name == "nt", reason="uses shell scripts as Pythons")
def test_a_newer_python_on_the_path_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python3.13"
    broken.write_text("#!/bin/sh\necho 'version not installed' >&2\nexit 127\n", "utf-8")
    newer = tmp_path / "python3.12"
    newer.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\ncase "$1" in -m) exit 7;; esac\n', "utf-8")
    for script in (broken, newer):
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    assert pythons.find() == ["python3.12"]
    assert pythons.main(["demo", "-o", "a folder"]) == 7
    assert (tmp_path / "calls").read_text("utf-8").splitlines()[-1] == "-m installer demo -o a folder"


def test_no_command_and_a_wrong_one_are_usage_errors() -> None:
    for arguments in ([], ["dance"], ["test", "--without", "pytest"]):
        result = installer(*arguments)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr


def test_doctor_tells_the_state_and_the_next_step(tmp_path: Path) -> None:
    result = installer("--folder", str(tmp_path / "home"), "doctor")
    assert result.returncode == 0, result.stderr
    assert "not made yet" in result.stdout
    assert result.stdout.splitlines()[-1] == "Next: python3 -m installer demo"
    (tmp_path / "home" / "env").mkdir()
    assert "cut short" in installer("--folder", str(tmp_path / "home"), "doctor").stdout


def test_doctor_reports_a_folder_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    result = installer("--folder", str(tmp_path / "file" / "home"), "doctor")
    assert result.returncode == 1
    assert "Next: Choose one of your own with --folder DIR." in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="relies on POSIX paths")
def test_a_problem_is_told_in_words_not_in_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", "utf-8")
    result = installer("--folder", str(tmp_path / "file" / "home"), "demo")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Collecting av\nOSError: [Errno 28] No space left on device", "disk is full"),
        ("Collecting av\n ... SSLError(SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED)", "certificate"),
        ("Collecting av\n<urllib3.NewConnectionError: getaddrinfo failed>", r"No network: .*last asked for: av"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no package torch==2.13.0 for this Python"),
        ("PermissionError: [Errno 13] Permission denied: 'x'", "may not be written"),
        ("something new", "Something failed while installing"),
    ],
)
def test_pips_words_are_translated(text: str, said: str) -> None:
    problem = explain(text, "installing")
    assert re.search(said, problem.message)
    assert problem.hint


def test_a_pytorch_with_cuda_is_recognised_before_it_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def report(*needs: str) -> dict[str, object]:
        return {"install": [{"metadata": {"name": "torch", "requires_dist": list(needs)}}]}

    monkeypatch.setattr(sys, "platform", "linux")
    assert brings_cuda(report("filelock", 'nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"'))
    assert not brings_cuda(report("filelock", "sympy>=1.13.3"))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not brings_cuda(report('cuda-bindings<14; platform_system == "Linux"'))
