"""The picture the model sees, beside the plate."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from sa2va_plugin.errors import UnwritableError
from sa2va_plugin.jobspec import Shot

from sa2va_core.cli import main
from sa2va_core.media.look import look

from .plates import sequence, write


def test_plate_and_picture_side_by_side(tmp_path: Path) -> None:
    values = np.full((40, 300, 3), 0.18, np.float32)
    path = write(tmp_path / "a.exr", values, PixelAspectRatio=2.0)
    captions = look(Shot(str(path), colour_space="ACEScg"), None, tmp_path / "look.png")
    text = " ".join(captions)
    for words in ("a.exr", "ACEScg (named by job)", "sRGB - Display / Un-tone-mapped", "300 x 40", "pixel aspect 2"):
        assert words in text
    sheet = cv2.cvtColor(np.asarray(cv2.imread(str(tmp_path / "look.png"))), cv2.COLOR_BGR2RGB)
    assert sheet.shape[1] == 300 + 8 + 600
    flat = sheet.reshape(-1, 3)
    # The plate as stored, and the sRGB of 0.18; a few pixels of the letters' edges may have the same grey.
    for grey, pixels in ((round(0.18 * 255), 300 * 40), (118, 600 * 40)):
        assert pixels <= (flat == grey).all(1).sum() < pixels + 300


@pytest.mark.parametrize("width", [8, 128, 250, 300])
@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
def test_narrow_plates(tmp_path: Path, width: int, aspect: float) -> None:
    path = write(tmp_path / "a.exr", np.full((40, width, 3), 0.18, np.float32), PixelAspectRatio=aspect)
    look(Shot(str(path), colour_space="ACEScg"), None, tmp_path / "look.png")
    sheet = np.asarray(cv2.imread(str(tmp_path / "look.png")))
    assert sheet.shape[0] > 40
    assert sheet.shape[1] >= width + 8


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    sequence(tmp_path, [1])
    look(Shot(str(tmp_path)), 1, tmp_path / "a" / "new" / "look.png")
    with pytest.raises(UnwritableError, match="in the way"):
        look(Shot(str(tmp_path)), 1, tmp_path / "a" / "new" / "look.png" / "look.png")
    assert [file.name for file in (tmp_path / "a" / "new").iterdir()] == ["look.png"]


def test_a_gap_elsewhere_is_no_reason_not_to_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sequence(tmp_path / "plate", [1001, 1004])
    command = ["look", str(tmp_path / "plate"), "-o", str(tmp_path / "look.png")]
    assert main([*command, "--frame", "1004"]) == 0
    assert "plate.1004.exr  frame 1004" in capsys.readouterr().out
    assert main([*command, "--frame", "1002"]) == 1
    assert "The shot has no frame 1002.\nIts result frames are 1001, 1004." in capsys.readouterr().err


def test_it_never_replaces_the_plate(tmp_path: Path) -> None:
    path = write(tmp_path / "still.png", np.full((40, 300, 3), 0.18, np.float32), "uint8")
    before = path.read_bytes()
    with pytest.raises(UnwritableError, match="take the place of the plate"):
        look(Shot(str(path)), None, tmp_path / "." / "still.png")
    assert path.read_bytes() == before
