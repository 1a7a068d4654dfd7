"""Finished mattes, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from sa2va_plugin.errors import MediaError


def read_matte(path: Path, layer: str) -> NDArray[np.float32]:
    """One object's alpha from a result file, float32 (H, W), 0..1, over the display window: channel ``layer.A`` of an
    EXR, or the only channel of a still. Raises MediaError."""
    image = oiio.ImageBuf(str(path))
    if image.has_error or image.spec().width == 0:
        raise MediaError(
            f"A matte is missing or cannot be read: {path}", "Run the job again; it makes what is not there."
        )
    names = list(image.spec().channelnames)
    channel = f"{layer}.A" if path.suffix.lower() == ".exr" else names[0]
    if channel not in names:
        raise MediaError(f"The file has no channel {channel}: {path}", "Channels: " + ", ".join(names) + ".")
    window = image.roi_full
    index = names.index(channel)
    window.chbegin, window.chend = index, index + 1
    pixels = image.get_pixels(oiio.FLOAT, window)
    if image.has_error or pixels is None:
        raise MediaError(f"A matte cannot be read ({image.geterror()}): {path}", "Run the job again with --overwrite.")
    return np.clip(pixels.reshape(window.height, window.width), 0, 1)
