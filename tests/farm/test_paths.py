from __future__ import annotations

import json
from pathlib import Path

import pytest
from sa2va_plugin.errors import JobSpecError
from sa2va_plugin.jobspec import EngineSpec, JobSpec, MaskPin, ObjectSpec, Outputs, Shot

from sa2va_core.farm.paths import mapped, read_rules


def rules(tmp_path: Path, *given: tuple[str, str, str]) -> Path:
    path = tmp_path / "rules.json"
    items = [dict(zip(("source_path_format", "source_path", "destination_path"), rule, strict=True)) for rule in given]
    path.write_text(json.dumps({"version": "pathmapping-1.0", "path_mapping_rules": items}))
    return path


def test_paths_of_a_job_as_this_machine_has_them(tmp_path: Path) -> None:
    found = read_rules(
        rules(
            tmp_path,
            ("WINDOWS", "P:\\show", "/mnt/show"),
            ("WINDOWS", "P:\\show\\models", "/mnt/models"),
            ("POSIX", "/Volumes/pins", "/mnt/pins"),
        )
    )
    spec = JobSpec(
        Shot("p:\\Show\\sh010\\a.####.exr", ocio_config="ocio://default"),
        (ObjectSpec("man", "the man", masks=(MaskPin(1, "/Volumes/pins/man.png"),)),),
        Outputs("/Volumes/pinsel/out"),
        EngineSpec("sa2va", "P:\\show\\models\\Sa2VA-4B"),
    )
    here = mapped(spec, found)
    assert Path(here.shot.path) == Path("/mnt/show/sh010/a.####.exr")
    assert Path(here.engine.model) == Path("/mnt/models/Sa2VA-4B")
    assert Path(here.objects[0].masks[0].path) == Path("/mnt/pins/man.png")
    assert here.shot.ocio_config == "ocio://default"
    assert here.outputs.folder == "/Volumes/pinsel/out"


def test_no_rules(tmp_path: Path) -> None:
    (tmp_path / "empty.json").write_text("{}")
    assert read_rules(tmp_path / "empty.json") == []


@pytest.mark.parametrize("text", ["", "[]", '{"path_mapping_rules": [{"source_path": 3}]}'])
def test_rules_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.json").write_text(text)
    with pytest.raises(JobSpecError, match="path mapping rules cannot be read"):
        read_rules(tmp_path / "rules.json")
