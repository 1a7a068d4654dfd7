"""A whole job: a saved script with real footage, ``nuke -t batch.py`` under the stand-in, the real worker, the starter
engine; then the script that came of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray
from sa2va_nuke import actions, batch, knobs
from sa2va_plugin import connection
from sa2va_plugin.jobspec import JobSpec

from sa2va_core.cli import main
from sa2va_core.engines.base import Engine

from . import roto_text
from .conftest import FAKE, HOST
from .nuke_under_test import plain

ROOT = Path(__file__).resolve().parents[2]


def run_batch(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What ``nuke -t batch.py`` does, the stand-in in Nuke's place."""
    return subprocess.run(
        [sys.executable, str(HOST / "sa2va_nuke" / "batch.py"), *arguments],
        env={**environment(folder), **variables},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def environment(folder: Path) -> dict[str, str]:
    made = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (FAKE, HOST, ROOT / "plugin"))),
        "FAKE_NUKE": "terminal",
        "SA2VA_WORKER_FOLDER": str(folder / "worker"),
        "SA2VA_PYTHON": sys.executable,
    }
    made.pop("OCIO", None)
    return made


def end_worker(folder: Path) -> None:
    from sa2va_plugin.client import Client

    if connection.read_connection(str(folder / "worker")) is not None:
        client = Client("test", str(folder / "worker"), start=False)
        client.call(client.shut_down_worker())
        client.close()


def write_script(fake: Any, path: Path, movie: Path, objects: str, first: int, last: int, result: str) -> None:
    read = fake.nodes.Read(name="Plate", file=movie.as_posix(), first=1, last=80, colorspace="rec709")
    read.setSelected(True)
    node = actions.create()
    for name, value in (
        ("objects", objects),
        ("range", "custom"),
        ("first", first),
        ("last", last),
        ("result", result),
    ):
        node[name].setValue(value)
    fake.scriptSaveAs(path.as_posix())


@pytest.mark.parametrize(
    ("clip", "objects", "first", "last"),
    [("default_juggle.mp4", ("the man", "the ball"), 5, 16), ("bedroom.mp4", ("the girl",), 20, 28)],
)
def test_a_whole_job_in_batch(
    fake: Any,
    tmp_path: Path,
    shared_dir: Path,
    starter_engine: Engine,
    clip: str,
    objects: tuple[str, ...],
    first: int,
    last: int,
) -> None:
    """Layers, wiring, and each Roto node's text drawn again, on keys and between, on every frame of the job, at the
    default tolerance and at one pixel. What was seen is printed (``pytest -s``)."""
    script, out = tmp_path / "shot.nk", tmp_path / "shot_mattes.nk"
    write_script(fake, script, shared_dir / "footage" / clip, "\n".join(objects), first, last, "layers + Roto")
    try:
        done = run_batch(tmp_path, str(script), "--save", str(out))
    finally:
        end_worker(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 nodes have their mattes." in done.stdout
    assert f" of {last - first + 1} frames" in done.stdout

    fake._reset()
    fake.scriptOpen(out.as_posix())
    node = fake.toNode("Sa2VA1")
    layers = [phrase.split()[-1] for phrase in objects]
    copy = node.node("Copy1")
    for i, layer in enumerate(layers, 1):
        assert [copy[f"from{i}"].value(), copy[f"to{i}"].value()] == [f"{layer}.alpha", f"{layer}.alpha"]
    assert copy.input(0).name() == "Input1"
    pattern = plain(knobs.text(node.node("Mattes"), "file"))
    assert pattern == f"{tmp_path.as_posix()}/sa2va/Sa2VA1/v001/mattes/{clip[:-4]}_mattes.####.exr"

    rotos = [fake.toNode(f"Sa2VA1_roto_{number}") for number in range(1, len(layers) + 1)]
    for layer, roto in zip(layers, rotos, strict=True):
        assert re.fullmatch(layer + r": worst \d+\.\d px, IoU 0\.\d{3}", roto["label"].value())
        check_roto(roto, 2.0, pattern, layer, first, last)

    # The same mattes, fitted closer, and taken in by hand: the first Roto nodes stay.
    assert main(["splines", knobs.path(node, "run"), "--tolerance", "1"]) == 0
    actions.use_run(node)
    again = [roto for roto in fake.allNodes("Roto") if roto not in rotos]
    assert len(again) == len(rotos)
    for layer, roto in zip(layers, again, strict=True):
        check_roto(roto, 1.0, pattern, layer, first, last)


def check_roto(roto: Any, tolerance: float, pattern: str, layer: str, first: int, last: int) -> None:
    """Draws a Roto node's text and compares it with the matte: an IoU of 0.98 on each frame; outside the span nothing
    is drawn."""
    text = "{" + roto["curves"].toScript() + "}"
    scores = {}
    for frame in range(first, last + 1):
        matte = matte_of(pattern, frame, layer)
        drawn = roto_text.draw(text, frame, *matte.shape[::-1])
        assert matte.any(), "these objects are on every frame"
        scores[frame] = float((drawn & matte).sum() / (drawn | matte).sum())
    worst = min(scores, key=lambda frame: scores[frame])
    seen = (
        f"{layer} at tolerance {tolerance:g}: IoU mean {np.mean(list(scores.values())):.4f}, worst {scores[worst]:.4f} "
        f"on frame {worst}, over {len(scores)} frames"
    )
    sys.stdout.write(seen + "\n")
    assert scores[worst] >= 0.98, f"{seen}: {scores}"
    for outside in (first - 1, last + 1):
        assert not roto_text.draw(text, outside, *matte_of(pattern, first, layer).shape[::-1]).any()


def matte_of(pattern: str, frame: int, layer: str) -> NDArray[np.bool_]:
    """(height, width): where a layer is at least one half; outside the data window it is 0."""
    file = OpenEXR.File(pattern.replace("####", f"{frame:04d}"))
    assert {"A", f"{layer}.A"} <= set(file.channels())
    (x, y), (right, bottom) = file.header()["dataWindow"][0], file.header()["displayWindow"][1]
    part = file.channels()[f"{layer}.A"].pixels >= 0.5
    whole = np.zeros((bottom + 1, right + 1), bool)
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part
    return whole


def test_batch_says_what_is_wrong(fake: Any, tmp_path: Path) -> None:
    script = tmp_path / "empty.nk"
    fake.scriptSaveAs(script.as_posix())
    missing = run_batch(tmp_path, str(tmp_path / "gone.nk"))
    assert (missing.returncode, "cannot be opened" in missing.stdout) == (1, True)
    empty = run_batch(tmp_path, str(script))
    assert (empty.returncode, "no Sa2VA node" in empty.stdout) == (1, True)
    other = run_batch(tmp_path, str(script), "--node", "Nobody")
    assert (other.returncode, "Nobody" in other.stdout) == (1, True)
    assert run_batch(tmp_path).returncode == 2


def test_batch_goes_on_after_a_node_that_fails(fake: Any, tmp_path: Path) -> None:
    script = tmp_path / "offline.nk"
    write_script(fake, script, tmp_path / "gone.mov", "the man", 1, 4, "layers")
    actions.create()["objects"].setValue("x")
    fake.toNode("Sa2VA2").setInput(0, None)
    fake.scriptSaveAs(script.as_posix())
    try:
        done = run_batch(tmp_path, str(script))
    finally:
        end_worker(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "gone.mov" in done.stdout
    assert "Connect the plate" in done.stdout
    assert "0 of 2 nodes" in done.stdout
    assert "Traceback" not in done.stderr


def test_batch_tells_a_farm_what_to_try_again(fake: Any, tmp_path: Path, shared_dir: Path) -> None:
    """75 for what may succeed later, 1 for what will not, as the command line does; the worst of several nodes."""
    script, plate = tmp_path / "shot.nk", shared_dir / "footage" / "default_juggle.mp4"
    write_script(fake, script, plate, "the man", 1, 4, "layers")
    nowhere = run_batch(tmp_path, str(script), SA2VA_PYTHON=str(tmp_path / "gone" / "python"))
    assert (nowhere.returncode, "0 of 1 nodes" in nowhere.stdout) == (75, True), nowhere.stdout
    (tmp_path / "file").write_text("")
    fake.toNode("Sa2VA1")["output"].setValue((tmp_path / "file" / "mattes").as_posix())
    fake.scriptSaveAs(script.as_posix())
    try:
        full = run_batch(tmp_path, str(script), "--save", str(tmp_path / "file" / "saved.nk"))
        # The script may be saved another time; its mattes cannot be where a file is in the way.
        assert (full.returncode, "cannot be saved" in full.stdout) == (1, True), full.stdout
        fake.toNode("Sa2VA1").setSelected(False)
        actions.create()
        fake.scriptSaveAs(script.as_posix())
        both = run_batch(tmp_path, str(script))
        assert (both.returncode, "0 of 2 nodes" in both.stdout) == (1, True), both.stdout
        assert "Traceback" not in nowhere.stderr + full.stderr + both.stderr
    finally:
        end_worker(tmp_path)


def test_an_interrupted_batch_cancels_its_job(
    fake: Any, tmp_path: Path, shared_dir: Path, starter_engine: Engine
) -> None:
    script = tmp_path / "long.nk"
    write_script(fake, script, shared_dir / "footage" / "default_juggle.mp4", "the man", 1, 60, "layers")
    with subprocess.Popen(
        [sys.executable, str(HOST / "sa2va_nuke" / "batch.py"), str(script)],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if re.search(r": [1-9]\d* of 60 frames", line):
                    process.send_signal(signal.SIGINT)
                    break
            rest = process.stdout.read()
            assert process.wait(60) == 130
        finally:
            process.kill()
            end_worker(tmp_path)
    assert "0 of 1 nodes" in rest
    assert "cancelled" in rest.lower(), rest
    assert not list(tmp_path.rglob("manifest.json"))


def test_indie_and_non_commercial_name_their_nodes(
    fake: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "indie.nk"
    write_script(fake, script, tmp_path / "gone.mov", "", 1, 4, "layers")
    fake._reset(gui=False)
    fake.env["indie"] = True
    assert batch.main([str(script)]) == 1
    assert "--node" in capsys.readouterr().out
    fake._reset(gui=False)
    fake.env["indie"] = True
    assert batch.main([str(script), "--node", "Sa2VA1"]) == 1
    assert "names no object" in capsys.readouterr().out


def test_jobs_for_a_farm_are_written_without_a_worker(fake: Any, tmp_path: Path) -> None:
    """A node's job as a file: the machine that mattes it needs no Nuke."""
    script = tmp_path / "a.nk"
    write_script(fake, script, tmp_path / "plate.mov", "ball=the ball", 1, 4, "layers + Cryptomatte")
    done = run_batch(tmp_path, str(script), "--jobs", str(tmp_path / "jobs"))
    assert (done.returncode, "1 of 1 nodes have their jobs" in done.stdout) == (0, True), done.stdout + done.stderr
    spec = JobSpec.from_json((tmp_path / "jobs" / "Sa2VA1.json").read_bytes())
    assert (spec.shot.range, spec.shot.colour_space, spec.outputs.cryptomatte) == ((1, 4), "rec709", True)
    assert spec.outputs.folder == f"{tmp_path.as_posix()}/sa2va/Sa2VA1/v001"
    assert not (tmp_path / "worker").exists()
    (tmp_path / "file").write_text("")
    refused = run_batch(tmp_path, str(script), "--jobs", str(tmp_path / "file" / "jobs"))
    assert (refused.returncode, "cannot be written" in refused.stdout) == (75, True)
