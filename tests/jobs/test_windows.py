"""Where mattes lie: in the plate's display window, wherever that is; read back with the OpenEXR library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from sa2va_plugin.jobspec import JobSpec, MatteSettings, ObjectSpec, Outputs, Shot

from sa2va_core.jobs.events import Event, Warned
from sa2va_core.jobs.respline import make_splines
from sa2va_core.jobs.runner import run_job
from sa2va_core.media.mattes import read_matte

from .brightness import Brightness

#: x0, y0, x1, y1, end-exclusive, in the pixels of the file. The light is the same in each.
DISPLAY, LIGHT = (-30, 100, 98, 172), (0, 120, 40, 150)
DATA = {"inside": (-10, 110, 60, 160), "overscan": (-40, 90, 110, 180), "off to one side": (-50, 110, 60, 160)}


def plate(folder: Path, data: tuple[int, int, int, int]) -> Path:
    x0, y0, x1, y1 = data
    pixels = np.full((y1 - y0, x1 - x0, 3), 0.0, np.float32)
    pixels[LIGHT[1] - y0 : LIGHT[3] - y0, LIGHT[0] - x0 : LIGHT[2] - x0] = 0.9
    spec = oiio.ImageSpec(x1 - x0, y1 - y0, 3, "half")
    spec.x, spec.y = x0, y0
    spec.full_x, spec.full_y = DISPLAY[:2]
    spec.full_width, spec.full_height = DISPLAY[2] - DISPLAY[0], DISPLAY[3] - DISPLAY[1]
    folder.mkdir()
    for frame in (1, 2):
        file = oiio.ImageOutput.create("exr")
        assert file, oiio.geterror()
        assert file.open(str(folder / f"plate.{frame:04d}.exr"), spec)
        assert file.write_image(pixels)
        file.close()
    return folder


def corners(window: Any) -> tuple[int, ...]:
    (x0, y0), (x1, y1) = window
    return int(x0), int(y0), int(x1) + 1, int(y1) + 1


@pytest.mark.parametrize("crop", [False, True])
@pytest.mark.parametrize("data", DATA)
def test_mattes_lie_in_the_plates_display_window(data: str, crop: bool, tmp_path: Path) -> None:
    shot = Shot(str(plate(tmp_path / "plate", DATA[data])), fps=24, colour_space="Linear Rec.709 (sRGB)")
    outputs = Outputs(str(tmp_path / "out"), crop=crop, per_object=True, cryptomatte=True, rgb="plate")
    told: list[Event] = []
    spec = JobSpec(shot, (ObjectSpec("light", "the light"),), outputs, matte=MatteSettings(refine=False))
    run_job(spec, engine=Brightness(), on_event=told.append)
    files = sorted((tmp_path / "out").rglob("*.0002.exr"))
    assert [file.parent.name for file in files] == ["cryptomatte", "light", "mattes"]
    for path in files:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            header, pixels = dict(file.header()), file.channels()["A"].pixels.copy()
        assert corners(header["displayWindow"]) == DISPLAY
        window = corners(header["dataWindow"])
        assert window == (LIGHT if crop else DISPLAY)
        rows, columns = np.nonzero(pixels > 0.5)
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert tuple(int(at + window[i % 2]) for i, at in enumerate(found)) == LIGHT
    # Splines count in pixels of the display window, from its corner.
    whole = read_matte(files[2], "light")
    rows, columns = np.nonzero(whole > 0.5)
    assert (columns.min() + DISPLAY[0], rows.min() + DISPLAY[1]) == LIGHT[:2]
    assert make_splines(tmp_path / "out")
    warned = [event.message for event in told if isinstance(event, Warned) and "overscan" in event.message]
    assert len(warned) == (data != "inside")
