"""The object's own colour at its soft edges."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
from sa2va_plugin.jobspec import JobSpec, ObjectSpec, Outputs, Shot

from sa2va_core.jobs.runner import run_job
from sa2va_core.mattes.foreground import foreground
from tests.jobs.brightness import Brightness

RED, GREEN = np.array([4.0, 0.2, 0.1], np.float32), np.array([0.1, 0.8, 0.2], np.float32)


def mixed() -> tuple[np.ndarray, np.ndarray]:
    """A red disc with a wide soft edge before green, in linear light, brighter than 1."""
    alpha = np.zeros((270, 480), np.float32)
    cv2.circle(alpha, (240, 135), 70, (1.0,), -1, cv2.LINE_AA)
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 8), np.float32)
    alpha[alpha > 0.999] = 1
    alpha[alpha < 0.001] = 0
    return alpha[..., None] * RED + (1 - alpha[..., None]) * GREEN, alpha


def test_the_background_is_taken_out_of_soft_edges() -> None:
    plate, alpha = mixed()
    found = foreground(plate, alpha)
    edge = (alpha > 0.1) & (alpha < 0.9)
    assert np.abs(found - RED)[edge].mean() < 0.2 * np.abs(plate - RED)[edge].mean()
    over_blue = alpha[..., None] * found
    assert over_blue[edge][:, 1].max() < 0.35, "no green fringe over another background"


def test_solid_pixels_are_the_plates_own_and_empty_ones_are_nothing() -> None:
    plate, alpha = mixed()
    found = foreground(plate.astype(np.float16), alpha)
    np.testing.assert_array_equal(found[alpha == 1], plate.astype(np.float16)[alpha == 1])
    assert not found[alpha == 0].any()
    assert not foreground(plate, np.zeros_like(alpha)).any()
    np.testing.assert_array_equal(foreground(plate, np.ones_like(alpha)), plate)


@pytest.mark.parametrize("broken", [np.inf, -np.inf, np.nan])
def test_a_broken_pixel_of_the_plate_spoils_no_other(broken: float) -> None:
    plate, alpha = mixed()
    whole = foreground(plate.astype(np.float16), alpha)
    edge = (alpha > 0) & (alpha < 1)
    plate[135, 240] = broken
    found = foreground(plate.astype(np.float16), alpha)
    np.testing.assert_allclose(found[edge], whole[edge], atol=0.02)


@pytest.mark.parametrize("column", [700, 690, 680, 660], ids=["nearly solid", "half", "faint", "background"])
def test_a_glint_as_bright_as_half_floats_go_spoils_no_other_pixel(column: int) -> None:
    plate, alpha = (np.asarray(cv2.resize(image, (1920, 1080)), np.float32) for image in mixed())
    whole = foreground(plate, alpha)
    plate[540, column] = 65504
    found = foreground(plate, alpha)
    edge = (alpha > 0) & (alpha < 1)
    edge[540, column] = False
    assert np.abs(found - whole)[edge].max() < 0.2 * RED.max()


def test_what_is_bright_by_itself_is_no_glint() -> None:
    """A lit thread before black is a hundred times as bright as the mean around it."""
    alpha = np.zeros((270, 480), np.float32)
    cv2.line(alpha, (100, 20), (380, 250), (1.0,), 1, cv2.LINE_AA)
    found = foreground(alpha[..., None] * RED, alpha)
    np.testing.assert_allclose(found[alpha > 0.05], np.broadcast_to(RED, found[alpha > 0.05].shape), rtol=0.02)


def test_a_job_writes_it_beside_the_matte(tmp_path: Path) -> None:
    picture = np.full((90, 160, 3), (20, 60, 20), np.uint8)
    cv2.circle(picture, (80, 45), 25, (250, 240, 240), -1, cv2.LINE_AA)
    cv2.imwrite(str(tmp_path / "plate.0001.png"), cv2.GaussianBlur(picture, (0, 0), 2))
    out = tmp_path / "out"
    outputs = Outputs(str(out), rgb="foreground")
    run_job(
        JobSpec(Shot(str(tmp_path / "plate.0001.png")), (ObjectSpec("x", "the light"),), outputs), engine=Brightness()
    )
    (path,) = out.rglob("*.exr")
    pixels = np.asarray(oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT))
    names = oiio.ImageBuf(str(path)).spec().channelnames
    alpha = pixels[..., names.index("A")]
    edge = (alpha > 0.3) & (alpha < 0.9)
    plate = np.asarray(cv2.imread(str(tmp_path / "plate.0001.png")))[..., ::-1] / 255.0
    green = pixels[..., [names.index(c) for c in "RGB"]]
    assert edge.sum() > 20
    assert green[edge].mean() > plate[edge].mean() + 0.1
    assert not green[alpha == 0].any()
