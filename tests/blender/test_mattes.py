"""Finished runs, and what is kept outside of .blend files: without Blender."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sa2va_plugin.errors import MediaError
from sa2va_roto import mattes
from sa2va_roto.store import Store


def test_a_run_is_read_from_its_manifest(stage: Path):
    found = mattes.read(str(stage / "run101" / "manifest.json"))
    assert found.frames == tuple(range(101, 125))
    assert [(o.name, o.layer, o.verdict) for o in found.objects] == [
        ("disc", "disc", "found"),
        ("ramp", "ramp", "found"),
    ]
    assert Path(found.path(found.layers, 101)).is_file()
    assert Path(found.path(found.single("ramp"), 124)).is_file()


def test_a_cryptomatte_is_asked_for_the_parts_of_an_object_that_has_some(tmp_path: Path, stage: Path):
    run = stage / "run101"
    assert mattes.read(str(run / "manifest.json")).picked == "disc"
    data = json.loads((run / "manifest.json").read_text("utf-8"))
    disc = data["objects"][0]
    data["objects"] += [{**disc, "name": f"disc_{i}", "layer": f"disc_{i}", "part_of": "disc"} for i in (1, 2)]
    (tmp_path / "manifest.json").write_text(json.dumps(data), "utf-8")
    (tmp_path / "mattes").symlink_to(run / "mattes")
    assert mattes.read(str(tmp_path / "manifest.json")).picked == "disc_1,disc_2"


def test_a_run_that_is_gone_or_damaged_says_so(tmp_path: Path):
    with pytest.raises(MediaError, match="gone"):
        mattes.read(str(tmp_path / "manifest.json"))
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(MediaError, match="cannot be read"):
        mattes.read(str(tmp_path / "manifest.json"))


def test_a_run_whose_mattes_are_gone_says_so(tmp_path: Path, stage: Path):
    (tmp_path / "manifest.json").write_bytes((stage / "run1" / "manifest.json").read_bytes())
    with pytest.raises(MediaError, match="gone"):
        mattes.read(str(tmp_path / "manifest.json"))


def test_a_job_is_kept_for_its_file_alone(tmp_path: Path):
    store = Store(str(tmp_path / "user"))
    store.keep_job("/shots/a.blend", {"job": "1"})
    assert store.job("/shots/a.blend") == {"job": "1", "blend": "/shots/a.blend"}
    assert store.job("/shots/b.blend") is None
    store.keep_job("/shots/a.blend", {})
    assert store.job("/shots/a.blend") is None
    store.keep_job("/shots/a.blend", {})


def test_a_damaged_record_is_none(tmp_path: Path):
    store = Store(str(tmp_path))
    store.keep_job("/shots/a.blend", {"job": "1"})
    (record,) = (tmp_path / "jobs").iterdir()
    record.write_text("{ no")
    assert store.job("/shots/a.blend") is None
    record.write_text(json.dumps([1]))
    assert store.job("/shots/a.blend") is None
