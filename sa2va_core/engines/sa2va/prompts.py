"""From a job's objects to what SAM 2 and the language model take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sa2va_plugin.errors import JobSpecError, MediaError
from sa2va_plugin.jobspec import ObjectSpec
from torch import Tensor

from .language.base import IMAGE
from .sam2.heads import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NEGATIVE, POSITIVE


def request(phrase: str) -> str:
    """The prompt for a phrase, in the words of Sa2VA's own evaluations."""
    phrase = phrase.strip()
    if "?" in phrase:
        return f"{IMAGE}\n {phrase} Please respond with a segmentation mask."
    return f"{IMAGE}\nPlease segment {phrase.rstrip('.')}."


@dataclass(frozen=True)
class Clicks:
    """Points and boxes on one frame. ``xy``: float32 (1, n, 2) in 0..1 of the picture; ``labels``: int (1, n).

    Boxes come first, each as two corners.
    """

    xy: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> tuple[Tensor, Tensor]:
        return self.xy.to(device), self.labels.to(device)

    def within(self, box: tuple[float, float, float, float]) -> Clicks | None:
        """The points that lie in ``box`` of the picture, and what of the boxes does, in 0..1 of it; None for none."""
        low, high = torch.tensor(box[:2]), torch.tensor(box[2:])
        xy = (self.xy - low) / (high - low)
        there = ((xy >= 0) & (xy <= 1)).all(dim=-1)[0]
        corners = int((self.labels >= BOX_TOP_LEFT).sum())
        first, last = xy[0, 0:corners:2], xy[0, 1:corners:2]
        meets = ((torch.minimum(first, last) < 1) & (torch.maximum(first, last) > 0)).all(dim=-1)
        there[:corners] = meets.repeat_interleave(2)
        return Clicks(xy[:, there].clamp(0, 1), self.labels[:, there]) if there.any() else None


def clicks_of(item: ObjectSpec, size: tuple[int, int]) -> dict[int, Clicks]:
    """Points and boxes of an object by frame number; boxes come first, as SAM 2 was trained."""
    width, height = size
    marks: dict[int, list[tuple[float, float, int]]] = {}
    for box in item.boxes:
        marks.setdefault(box.frame, []).extend([(box.x0, box.y0, BOX_TOP_LEFT), (box.x1, box.y1, BOX_BOTTOM_RIGHT)])
    for point in item.points:
        marks.setdefault(point.frame, []).append((point.x, point.y, POSITIVE if point.positive else NEGATIVE))
    return {
        frame: Clicks(
            torch.tensor([[(x / width, y / height) for x, y, _ in on]], dtype=torch.float32),
            torch.tensor([[label for *_, label in on]]),
        )
        for frame, on in marks.items()
    }


def pins_of(item: ObjectSpec) -> dict[int, Path]:
    """The files of an object's mattes that come back unchanged, by frame number."""
    return {pin.frame: Path(pin.path) for pin in item.masks}


def read_pin(path: Path) -> NDArray[np.float32]:
    """A matte that the user made, float32 (height, width), 0..1: its alpha, else its only or first channel. What is no
    number counts as empty.

    Raises MediaError.
    """
    import OpenImageIO as oiio

    image = oiio.ImageBuf(str(path))
    if image.has_error:
        reason = f"A mask cannot be read: {image.geterror()}. File: {path}"
        raise MediaError(reason, "Name an image of the plate's size.")
    names = [name.rpartition(".")[2].upper() for name in image.spec().channelnames]
    channel = names.index("A") if "A" in names else 0
    whole = oiio.ImageBufAlgo.crop(image, image.roi_full) if image.roi != image.roi_full else image
    alpha = np.nan_to_num(np.asarray(whole.get_pixels(oiio.FLOAT))[..., channel], nan=0.0)
    return np.ascontiguousarray(np.clip(alpha, 0.0, 1.0))


def pin_at_model_size(matte: NDArray[np.float32], side: int) -> Tensor:
    """(height, width) -> float32 (1, side, side), antialiased."""
    x = torch.from_numpy(np.ascontiguousarray(matte))[None, None]
    x = torch.nn.functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    return x[:, 0]


def check_frames(objects: Sequence[ObjectSpec], frames: Sequence[int]) -> None:
    """Raise JobSpecError for a prompt on a frame that the shot does not have."""
    known = set(frames)
    for item in objects:
        for prompt in (*item.points, *item.boxes, *item.masks):
            if prompt.frame not in known:
                raise JobSpecError(
                    f"{item.name!r} has a prompt on frame {prompt.frame}, which is not in the shot.",
                    f"The shot has the frames {min(known)} to {max(known)}.",
                )
