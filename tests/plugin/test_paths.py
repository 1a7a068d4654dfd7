from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sa2va_plugin.jobspec import EngineSpec, JobSpec, MaskPin, ObjectSpec, Outputs, Shot
from sa2va_plugin.paths import absolute, map_paths, resolve

SPEC = JobSpec(
    Shot("plate.####.exr"),
    (ObjectSpec("man", "the man", masks=(MaskPin(1, "pins/man.png"), MaskPin(2, "/pins/man.png"))),),
    Outputs("~/out"),
    EngineSpec("sa2va", "Sa2VA-4B"),
)


def test_another_process_gets_paths_that_do_not_depend_on_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    spec = resolve(SPEC, "config.ocio")
    assert spec.shot.path == str(tmp_path / "plate.####.exr")
    assert spec.shot.ocio_config == str(tmp_path / "config.ocio")
    assert [pin.path for pin in spec.objects[0].masks] == [str(tmp_path / "pins/man.png"), "/pins/man.png"]
    assert spec.outputs.folder == str(tmp_path / "home" / "out")
    assert spec.engine.model == "Sa2VA-4B"
    (tmp_path / "Sa2VA-4B").mkdir()
    assert resolve(SPEC, "").engine.model == str(tmp_path / "Sa2VA-4B"), "as a folder it is the engine's first choice"
    assert resolve(replace(SPEC, engine=EngineSpec()), "").engine == EngineSpec()


def test_a_path_goes_up_as_the_system_goes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk" / "show").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "show")
    monkeypatch.chdir(tmp_path / "here")
    for path, expected in (
        ("../plates/a.####.exr", "plates/a.####.exr"),
        ("./a.%04d.exr", "here/a.%04d.exr"),
        ("b/../../c/", "c"),
        ("..", "."),
        ("../link/../a", "disk/a"),
        ("../link/a", "link/a"),
        ("../here/../link/a", "link/a"),
    ):
        assert Path(absolute(path)) == tmp_path / expected, path


@pytest.mark.parametrize(
    ("own", "host", "expected"),
    [("", "", ""), ("", "ocio://default", "ocio://default"), ("ocio://a", "/b", "ocio://a")],
)
def test_the_jobs_own_ocio_configuration_goes_before_the_hosts(own: str, host: str, expected: str) -> None:
    spec = JobSpec(Shot("plate.mov", ocio_config=own), SPEC.objects, SPEC.outputs)
    assert resolve(spec, host).shot.ocio_config == expected


def test_what_is_no_path_is_not_changed() -> None:
    spec = JobSpec(Shot("a", ocio_config="ocio://default"), SPEC.objects, SPEC.outputs, SPEC.engine)
    changed = map_paths(spec, lambda path: f"/there/{path}")
    assert changed.shot == Shot("/there/a", ocio_config="ocio://default")
    assert changed.engine == SPEC.engine
