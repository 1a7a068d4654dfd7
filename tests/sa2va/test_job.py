"""Whole jobs through the Sa2VA engine: what a kill, a pin and an answer that names several things do to the files."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from sa2va_plugin.jobspec import EngineSpec, JobSpec, MaskPin, ObjectSpec, Outputs, Shot

from benchmarks import random_sa2va
from sa2va_core.cli import main
from sa2va_core.engines import registry
from sa2va_core.engines.base import Engine
from sa2va_core.engines.sa2va.engine import Sa2vaEngine
from sa2va_core.jobs import manifest
from sa2va_core.jobs.events import Event, Started, VerdictReached
from sa2va_core.jobs.runner import run_job
from tests.jobs.killing import run_until_killed

FRAMES = 50
PEOPLE = ObjectSpec("people", "all the people")

_RUN = """
import sys
import torch
from sa2va_plugin.jobspec import JobSpec
from sa2va_core.jobs.events import FrameReady
from sa2va_core.jobs.runner import run_job

torch.set_num_threads(1)

def tell(event):
    if isinstance(event, FrameReady):
        print(event.frame, flush=True)

run_job(JobSpec.from_json(sys.argv[1]), on_event=tell)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sa2va") / "tiny"
    random_sa2va.write(folder, random_sa2va.SIZES["tiny"])
    return folder


@pytest.fixture
def engine(model: Path) -> Iterator[Engine]:
    engine = registry.create(EngineSpec("sa2va", str(model), "cpu"))
    yield engine
    engine.close()


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    """Every answer names two things."""
    assert isinstance(engine, Sa2vaEngine)
    language = engine.network.language
    answer = language.answer

    def twice(*args, **kwargs):
        one = answer(*args, **kwargs)
        return type(one)(one.text, one.ids, torch.cat([one.states, -one.states]))

    monkeypatch.setattr(language, "answer", twice)


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright disc that crosses a dark field, frames 1001-1050, PNG."""
    folder = tmp_path_factory.mktemp("plate")
    for i in range(FRAMES):
        picture = np.full((90, 160, 3), 20, np.uint8)
        cv2.circle(picture, (20 + 2 * i, 45), 18, (60, 200, 240), -1, cv2.LINE_AA)
        cv2.imwrite(str(folder / f"disc.{1001 + i}.png"), picture)
    return folder


def job(plate: Path, out: Path, model: Path, *objects: ObjectSpec, last: int = 1050) -> JobSpec:
    shot = Shot(str(plate / "disc.####.png"), range=(1001, last), fps=24)
    return JobSpec(shot, objects or (PEOPLE,), Outputs(str(out)), EngineSpec("sa2va", str(model), "cpu"))


def mattes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((folder / "mattes").rglob("*.exr"))}


def layer(path: Path, name: str) -> np.ndarray:
    image = oiio.ImageBuf(str(path))
    return np.asarray(image.get_pixels(oiio.HALF))[..., image.spec().channelnames.index(name)]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX; Windows has TerminateProcess, not run here")
def test_killed_on_both_ways_it_still_gives_the_same_mattes(plate: Path, model: Path, tmp_path: Path) -> None:
    spec = job(plate, tmp_path / "killed", model)
    kept = []
    for kill_after in (27, 18):
        run_until_killed(_RUN, spec, kill_after)
    run_job(spec, on_event=lambda event: kept.append(event.kept) if isinstance(event, Started) else None)
    # Each run told of a frame only when it was finished, and none of them is made again.
    assert kept[0] >= 27 + 18
    run_job(job(plate, tmp_path / "whole", model))
    assert mattes(tmp_path / "killed") == mattes(tmp_path / "whole")


@pytest.mark.usefixtures("several")
def test_parts_are_layers_verdicts_and_lines_of_the_manifest(
    plate: Path, model: Path, engine: Engine, tmp_path: Path
) -> None:
    events = list[Event]()
    spec = job(plate, tmp_path / "out", model, last=1006)
    path = run_job(spec, engine=engine, on_event=events.append)
    data = json.loads(path.read_text())
    named = ["people", "people_1", "people_2"]
    assert [(o["name"], o["layer"], o["part_of"]) for o in data["objects"]] == [
        ("people", "people", None),
        ("people_1", "people_1", "people"),
        ("people_2", "people_2", "people"),
    ]
    assert [e.object_name for e in events if isinstance(e, VerdictReached)] == named
    assert list(data["frames"][0]["objects"]) == named
    exr = tmp_path / "out" / "mattes" / "disc_mattes.1003.exr"
    whole, one, two = (layer(exr, f"{name}.A") for name in named)
    assert (np.maximum.reduce([whole, one, two]) == layer(exr, "A")).all()
    assert not np.array_equal(one, two)
    # Finished is finished: the verdicts come back from the manifest, and nothing is run.
    again = list[Event]()
    run_job(spec, engine=engine, on_event=again.append)
    assert [e.object_name for e in again if isinstance(e, VerdictReached)] == named
    assert any(isinstance(e, Started) and e.kept == 6 for e in again)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_pin_comes_back_to_the_bit(
    plate: Path, model: Path, engine: Engine, tmp_path: Path, depth: type, alpha: bool
) -> None:
    """Every level that the file can hold, as the EXR's half float holds it; no edge is fitted, nothing is smoothed."""
    top = int(np.iinfo(depth).max)
    levels = np.linspace(0, top, 90 * 160).round().astype(depth)
    pin = np.random.default_rng(1).permutation(levels).reshape(90, 160)
    stored = np.dstack([pin // 2, pin // 3, pin // 4, pin]) if alpha else pin
    cv2.imwrite(str(tmp_path / "pin.png"), stored)
    item = ObjectSpec("people", "all the people", masks=(MaskPin(1004, str(tmp_path / "pin.png")),))
    run_job(job(plate, tmp_path / "out", model, item, last=1006), engine=engine)
    written = layer(tmp_path / "out" / "mattes" / "disc_mattes.1004.exr", "people.A")
    assert written.tobytes() == (pin / top).astype(np.float16).tobytes()


def test_broken_pixels_of_a_pin_are_empty(plate: Path, model: Path, engine: Engine, tmp_path: Path) -> None:
    """As a division by zero in a compositor leaves them."""
    pin = np.zeros((90, 160), np.float32)
    pin[20:60, 20:60] = 0.5
    pin[30, 30], pin[30, 31], pin[30, 32] = np.nan, np.inf, -np.inf
    spec = oiio.ImageSpec(160, 90, 1, oiio.FLOAT)
    spec.channelnames = ("A",)
    image = oiio.ImageBuf(spec)
    image.set_pixels(oiio.ROI(), pin[..., None])
    assert image.write(str(tmp_path / "pin.exr"))
    item = ObjectSpec("people", "", masks=(MaskPin(1002, str(tmp_path / "pin.exr")),))
    run_job(job(plate, tmp_path / "out", model, item, last=1003), engine=engine)
    written = layer(tmp_path / "out" / "mattes" / "disc_mattes.1002.exr", "people.A")
    pin[30, 30], pin[30, 31], pin[30, 32] = 0, 1, 0
    assert (written == pin).all()


def test_a_pin_that_was_painted_again_makes_another_job(
    plate: Path, model: Path, engine: Engine, tmp_path: Path
) -> None:
    pin = np.zeros((90, 160), np.uint8)
    pin[20:60, 20:60] = 255
    cv2.imwrite(str(tmp_path / "pin.png"), pin)
    item = ObjectSpec("people", "", masks=(MaskPin(1002, str(tmp_path / "pin.png")),))
    spec = job(plate, tmp_path / "out", model, item, last=1004)
    run_job(spec, engine=engine)
    pin[20:60, 20:90] = 255
    cv2.imwrite(str(tmp_path / "pin.png"), pin)
    run_job(spec, engine=engine)
    written = layer(tmp_path / "out" / "mattes" / "disc_mattes.1002.exr", "people.A")
    assert (written == (pin / 255).astype(np.float16)).all()
    data = manifest.read(tmp_path / "out")
    assert data is not None
    assert list(data["pins"]) == [str(tmp_path / "pin.png")]


# sa2va ask


def test_ask_answers_in_words(plate: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = ["ask", str(plate / "disc.####.png"), "How many people are there?", "--model", str(model)]
    assert main([*shown, "--range", "1001-1009", "--fps", "24"]) == 0
    # What this network says to everything.
    assert capsys.readouterr().out == "[SEG]\n"
    assert main([*shown, "--fps", "24", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"question": "How many people are there?", "answer": "[SEG]", "model": "tiny"}


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (["--engine", "starter"], "cannot answer questions", "--engine sa2va"),
        (["--model", "nowhere"], "There is no Sa2VA model 'nowhere'", "Name a folder"),
        (["--range", "9-x"], "not a frame range", "1001-1100"),
    ],
)
def test_ask_says_what_is_wrong(
    plate: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str, hint: str
) -> None:
    assert main(["ask", str(plate / "disc.####.png"), "Who is it?", "--fps", "24", *options]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert hint in error


@pytest.mark.parametrize("question", ["very " * 20000, "Where is the [SEG]?"])
def test_questions_that_the_model_cannot_be_given(
    plate: Path, model: Path, capsys: pytest.CaptureFixture[str], question: str
) -> None:
    assert main(["ask", str(plate / "disc.####.png"), question, "--fps", "24", "--model", str(model)]) == 1
    assert "error: " in capsys.readouterr().err
