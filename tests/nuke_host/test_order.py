"""Knobs to a job, folders of runs, and finished runs, without any Nuke."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sa2va_nuke import mattes, order
from sa2va_plugin.errors import JobSpecError, MediaError
from sa2va_plugin.jobspec import JobSpec, Shot


def test_one_object_a_line() -> None:
    made = order.objects("the man on the left\n\n ball = the red ball \n")
    assert [(item.name, item.phrase) for item in made] == [
        ("man_on_the_left", "the man on the left"),
        ("ball", "the red ball"),
    ]


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_emptied_objects(text: str) -> None:
    with pytest.raises(JobSpecError, match="no object"):
        order.objects(text)


def test_results_ask_for_what_they_need() -> None:
    def outputs(result: str) -> tuple[bool, bool]:
        made = order.job(order.Order("the man", result=result), Shot("/p/a.####.exr"), "/out").outputs
        return made.splines, made.cryptomatte

    assert [outputs(result) for result in order.RESULTS] == [
        (False, False),
        (True, False),
        (False, True),
        (False, False),
    ]


@pytest.mark.parametrize(
    ("chosen", "script", "folder"),
    [
        ("", "/show/comp/sh_v01.nk", "/show/comp/sa2va/Sa2VA1"),
        ("/mattes/", "", "/mattes"),
        ("mattes", "/show/comp/sh.nk", "/show/comp/mattes"),
        (r"\\server\share\mattes", "", "//server/share/mattes"),
        (r"P:\mattes", "", "P:/mattes"),
        ("/mattes of 'shot' [wip]", "", "/mattes of 'shot' [wip]"),
    ],
)
def test_where_mattes_go(chosen: str, script: str, folder: str) -> None:
    assert order.output_folder(chosen, chosen, script, "Sa2VA1") == folder


@pytest.mark.parametrize("chosen", ["", "mattes"])
def test_an_unsaved_script_needs_a_whole_folder(chosen: str) -> None:
    with pytest.raises(JobSpecError, match="not saved"):
        order.output_folder(chosen, chosen, "", "Sa2VA1")


@pytest.mark.parametrize("chosen", ["P:", "P:mattes", r"c:mattes\x"])
def test_a_drive_without_a_slash_is_no_place(chosen: str) -> None:
    with pytest.raises(JobSpecError, match="no path") as refused:
        order.output_folder(chosen, chosen, "/show/comp/sh.nk", "Sa2VA1")
    assert "P:/mattes" in refused.value.hint


@pytest.mark.parametrize(
    "chosen", ["/shots/#12/mattes", "/shots/%04d", "/shots/%V", "/shots/%v/x", "/a/%{gone}", "/50%"]
)
def test_folders_that_nuke_would_take_for_frames_views_or_variables(chosen: str) -> None:
    with pytest.raises(JobSpecError, match="Nuke takes part"):
        order.output_folder(chosen, chosen, "", "Sa2VA1")


def test_each_run_has_a_version_and_an_unfinished_one_goes_on(tmp_path: Path) -> None:
    def made(phrase: str) -> Callable[[str], JobSpec]:
        def job(folder: str) -> JobSpec:
            return order.job(order.Order(phrase), Shot("/p/a.####.exr"), folder)

        return job

    base, man = tmp_path.as_posix(), made("the man")
    assert order.run_folder(base, man, "") == f"{base}/v001"
    (tmp_path / "v001").mkdir()
    (tmp_path / "v9 notes").mkdir()
    pending = man("anywhere").hash()
    assert order.run_folder(base, man, pending) == f"{base}/v001", "cancelled: goes on"
    assert order.run_folder(base, made("the dog"), pending) == f"{base}/v002", "another job"
    (tmp_path / "v001" / "manifest.json").write_text("{}")
    assert order.run_folder(base, man, pending) == f"{base}/v002", "finished: a Read may show it"
    (tmp_path / "v1000").mkdir()
    assert order.run_folder(base, man, "") == f"{base}/v1001"


def _manifest(folder: Path, **changes: object) -> None:
    frames = [
        {"frame": n, "files": [f"mattes/sh_mattes.{n}.exr", f"cryptomatte/sh_crypto.{n}.exr"]} for n in (1001, 1003)
    ]
    objects = [{"name": "the ball", "layer": "the_ball", "verdict": "not in shot", "reason": "Nothing like it."}]
    data = {"frames": frames, "objects": objects, "warnings": ["Slow."], **changes}
    (folder / "manifest.json").write_text(json.dumps(data), "utf-8")


def test_a_finished_run_is_read_from_its_manifest(tmp_path: Path) -> None:
    _manifest(tmp_path)
    run = mattes.read(str(tmp_path))
    assert run == mattes.read(str(tmp_path / "manifest.json"))
    assert run.mattes == f"{tmp_path.as_posix()}/mattes/sh_mattes.####.exr"
    assert run.cryptomatte == f"{tmp_path.as_posix()}/cryptomatte/sh_crypto.####.exr"
    assert (run.first, run.last, run.missing, run.layers, run.splines) == (1001, 1003, 1, ("the_ball",), None)
    assert run.said == ("the ball: not in shot. Nothing like it.",)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"frames": []}'])
def test_folders_that_hold_no_run(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(MediaError) as error:
        mattes.read(str(tmp_path))
    assert "manifest.json" in error.value.hint
