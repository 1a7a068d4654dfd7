"""The same picture stored in four ways gives mattes that agree."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import PyOpenColorIO as ocio
import pytest
import skimage.data
from numpy.typing import NDArray
from sa2va_plugin.jobspec import JobSpec, ObjectSpec, Outputs, Shot

from sa2va_core.engines.base import Engine
from sa2va_core.jobs import manifest
from sa2va_core.jobs.runner import run_job

CONFIG = "ocio://studio-config-v4.0.0_aces-v2.0_ocio-v2.5"
SRGB = "sRGB Encoded Rec.709 (sRGB)"
LOG = "ARRI LogC3 (EI800)"
#: file name, its pixel type, its colour space, and whether the job names that space
FORMS = {
    "srgb.png": (oiio.UINT8, SRGB, False),
    "acescg.exr": (oiio.HALF, "ACEScg", True),
    "log.exr": (oiio.HALF, LOG, True),
    "log.dpx": (oiio.UINT16, LOG, True),
}


def store(path: Path, srgb: NDArray[np.float32], kind: Any, space: str) -> None:
    """Write ``srgb`` (H, W, 3), 0..1, converted to ``space``, with calls of the libraries alone."""
    pixels = np.ascontiguousarray(srgb, np.float32).copy()
    config: Any = ocio.Config.CreateFromFile(CONFIG)  # pyright: ignore[reportAttributeAccessIssue] - has no stubs
    config.getProcessor(SRGB, space).getDefaultCPUProcessor().applyRGB(pixels)
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], 3, kind)
    if path.suffix == ".dpx":
        spec.attribute("oiio:BitsPerSample", 10)
    output: Any = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec)
    assert output.write_image(pixels)
    output.close()


def matte(path: Path) -> NDArray[np.float32]:
    image: Any = oiio.ImageInput.open(str(path))
    names = image.spec().channelnames
    pixels = image.read_image(oiio.FLOAT)
    image.close()
    return pixels[..., names.index("woman.A")]


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Soft IoU of two mattes."""
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())


def test_png_acescg_and_camera_log_agree(tmp_path: Path, starter_engine: Engine) -> None:
    picture = skimage.data.astronaut().astype(np.float32) / 255
    mattes = {}
    for name, (kind, space, named) in FORMS.items():
        store(tmp_path / name, picture, kind, space)
        shot = Shot(str(tmp_path / name), ocio_config=CONFIG, colour_space=space if named else "")
        out = tmp_path / f"out_{name}"
        run_job(JobSpec(shot, (ObjectSpec("woman", "the woman"),), Outputs(str(out))), engine=starter_engine)
        data = manifest.read(out)
        assert data is not None
        assert data["objects"][0]["verdict"] == "found"
        mattes[name] = matte(next((out / "mattes").glob("*.exr")))
    agreement = {pair: iou(mattes[pair[0]], mattes[pair[1]]) for pair in combinations(mattes, 2)}
    assert np.mean(list(agreement.values())) >= 0.98, agreement
    assert min(agreement.values()) >= 0.97, agreement


@pytest.mark.parametrize("space", ["ACEScg", LOG])
def test_the_check_above_can_fail(tmp_path: Path, space: str) -> None:
    """Read as what it is not, the same file gives another picture."""
    from sa2va_core.media.clip import open_clip

    picture = skimage.data.astronaut().astype(np.float32) / 255
    store(tmp_path / "plate.exr", picture, oiio.HALF, space)
    seen = [
        open_clip(Shot(str(tmp_path / "plate.exr"), ocio_config=CONFIG, colour_space=named)).read(1).rgb.astype(int)
        for named in (space, SRGB)
    ]
    right, wrong = (np.abs(rgb - picture * 255).mean() for rgb in seen)
    assert right < 1.0
    assert wrong > 10.0
