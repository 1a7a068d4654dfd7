"""What the Blenders under test need and cannot make: footage with numbers in it, mattes by the real writer."""

from __future__ import annotations

import json
import subprocess
import wave
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.jobspec import EngineSpec, JobSpec, ObjectSpec, Outputs, Shot

from installer import build
from sa2va_core.engines.base import EngineInfo, Verdict
from sa2va_core.jobs import manifest
from sa2va_core.jobs.journal import FrameRecord
from sa2va_core.jobs.splines import SplineWriter
from sa2va_core.mattes.cryptomatte import CryptomatteWriter
from sa2va_core.media.frames import PlateFacts, SourceFrame
from sa2va_core.media.write import MatteWriter

from . import environments

# Run by Blender's Python, or on a screen.
collect_ignore = ["inside", "gui"]

WIDTH, HEIGHT, FRAMES = 192, 108, 24
BITS = 8


def numbered(number: int) -> NDArray[np.uint8]:
    """A picture that shows its number: eight blocks, white for a one, the highest first."""
    picture = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for bit in range(BITS):
        if number >> (BITS - 1 - bit) & 1:
            picture[:, bit * WIDTH // BITS : (bit + 1) * WIDTH // BITS] = 235
    return picture


def disc(number: int) -> NDArray[np.float32]:
    """A hard disc that moves with its number."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return (np.hypot(columns - 40 - 4 * number, rows - 54) < 20.2).astype(np.float32)


def ramp(number: int) -> NDArray[np.float32]:
    """All greys from left to right; one half in the upper half."""
    plane = np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
    plane[: HEIGHT // 2] = 0.5
    return plane


def write_movie(path: Path) -> None:
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=Fraction(24), options={"crf": "8", "g": "6"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(1, FRAMES + 1):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number), format="rgb24")))
        target.mux(stream.encode())


def write_mattes(folder: Path, first: int, names: tuple[str, ...] = ("disc", "ramp")) -> None:
    """A finished run, by the real writers and with a real manifest."""
    folder.mkdir()
    objects = tuple(ObjectSpec(name, f"the {name}") for name in names)
    outputs = Outputs(str(folder), rgb="matte", per_object=True, cryptomatte=True, plate_name="white")
    facts = PlateFacts("white", (WIDTH, HEIGHT), 1.0, Fraction(24), "sRGB", "job")
    writer, crypto = MatteWriter(outputs, facts, objects, {}), CryptomatteWriter(outputs, facts, objects, {})
    splines = SplineWriter(folder, facts, objects, 0.75, lambda *_: None)
    records = []
    for number in range(1, FRAMES + 1):
        frame = first - 1 + number
        source = SourceFrame(frame, frame, folder / "white.png", None)
        mattes = {"disc": disc(number), "ramp": ramp(number)}
        paths = [*writer.write(source, mattes), crypto.write(source, mattes)]
        splines.write(frame, mattes)
        files = {path.relative_to(folder).as_posix(): "" for path in paths}
        records.append(FrameRecord(frame, frame, "white.png", None, "", {}, files))
    splines.finish([record.frame for record in records])
    spec = JobSpec(Shot(str(folder / "white.png")), objects, outputs, EngineSpec())
    verdicts = {item.name: Verdict("found", "It was drawn.", [1]) for item in objects}
    info = EngineInfo("drawn", "Drawn", "1", "none", "cpu", {})
    manifest.write(folder, manifest.build(spec, objects, {}, info, facts, verdicts, records, {}, [], None))


_SOUND = """
import bpy, os, sys
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.sequence_editor_create().strips.new_sound("sound", sys.argv[1], 1, 1)
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[2])
os._exit(0)
"""


def write_sound(folder: Path) -> None:
    """A second of silence, and a .blend file with it, for the module of 4.2, which is built without sound."""
    with wave.open(str(folder / "silence.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    python = environments.python("4.5.15")
    if python is not None:
        command = [str(python), "-c", _SOUND, str(folder / "silence.wav"), str(folder / "sound.blend")]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built extension, footage and finished runs."""
    folder = tmp_path_factory.mktemp("blender")
    build.blender(folder)
    write_movie(folder / "numbered.mp4")
    write_sound(folder)
    (folder / "stills").mkdir()
    for number in range(1, FRAMES + 1):
        if number not in (7, 8):  # a gap
            cv2.imwrite(str(folder / "stills" / f"shot.{1000 + number}.png"), numbered(number))
    (folder / "white").mkdir()
    for number in range(1, FRAMES + 1):
        cv2.imwrite(str(folder / "white" / f"white.{number:04d}.png"), np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
    for first in (1, 101):
        write_mattes(folder / f"run{first}", first)
    for name in ("disc", "ramp"):  # alone, as a Cryptomatte shares out what overlaps
        write_mattes(folder / f"run_{name}", 1, (name,))
    facts = {"width": WIDTH, "height": HEIGHT, "frames": FRAMES, "bits": BITS}
    (folder / "stage.json").write_text(json.dumps(facts))
    return folder
