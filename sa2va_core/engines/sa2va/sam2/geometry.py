"""Sizes of a SAM 2 network: read off the weights' shapes where they show, from a table where they do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import ModelError

Shape = tuple[int, ...]

#: Side of the square pictures that every published model was trained on.
IMAGE_SIZE = 1024
#: Frames before the current one whose memory maps and object pointers are attended to.
MAX_POINTERS = 15
#: A folder may state its geometry in one of these files; official folders do not.
OVERRIDES = ("sam2.json", "sam2_tiny.json")


@dataclass(frozen=True)
class HieraLayout:
    """What the shapes of a Hiera trunk do not show. ``heads``: in the first stage, doubling at each later one."""

    heads: int
    global_blocks: tuple[int, ...]
    windows: tuple[int, int, int, int]


#: By (width of the first stage, blocks): the published SAM 2 models tiny, small, base+ and large.
HIERA = {
    (96, 12): HieraLayout(1, (5, 7, 9), (8, 4, 14, 7)),
    (96, 16): HieraLayout(1, (7, 10, 13), (8, 4, 14, 7)),
    (112, 24): HieraLayout(2, (12, 16, 20), (8, 4, 14, 7)),
    (144, 48): HieraLayout(2, (23, 33, 43), (8, 4, 16, 8)),
}


@dataclass(frozen=True)
class Geometry:
    """``image``: side of the pictures. ``stages``: blocks in each of the four Hiera stages. ``width``: channels of
    features and pointers (256 in the published models); ``memory_width``: channels of a memory map (64).
    ``memory_maps``: conditioning slot and predecessors that a frame attends to (7).
    """

    image: int
    embed: int
    stages: tuple[int, ...]
    layout: HieraLayout
    position_grid: int
    width: int
    memory_width: int
    memory_maps: int
    memory_layers: int
    memory_feedforward: int
    fuser_layers: int
    decoder_layers: int
    decoder_feedforward: int
    iou_hidden: int
    mask_channels: int

    @property
    def coarse(self) -> int:
        """Side of the coarse feature map and of memory maps (64)."""
        return self.image // 16

    @property
    def fine(self) -> int:
        """Side of the mask logits (256)."""
        return self.image // 4


def read_geometry(shapes: Mapping[str, Shape], folder: Path) -> Geometry:
    """The geometry of the weights in ``shapes`` (names without the checkpoint's prefix), found in ``folder``.

    Raises ModelError where a tensor that shows a size is missing, or the trunk is of an unknown size.
    """
    stated = _stated(folder)
    try:
        embed = shapes["image_encoder.trunk.patch_embed.proj.weight"][0]
        blocks = _count(shapes, "image_encoder.trunk.blocks.")
        starts = [i for i in range(blocks) if f"image_encoder.trunk.blocks.{i}.proj.weight" in shapes]
        edges = [0, *starts, blocks]
        return Geometry(
            image=stated.get("image_size", IMAGE_SIZE),
            embed=embed,
            stages=tuple(b - a for a, b in pairwise(edges)),
            layout=_hiera_layout(embed, blocks, stated, folder),
            position_grid=shapes["image_encoder.trunk.pos_embed"][-1],
            width=shapes["image_encoder.neck.convs.0.conv.weight"][0],
            memory_width=shapes["maskmem_tpos_enc"][-1],
            memory_maps=shapes["maskmem_tpos_enc"][0],
            memory_layers=_count(shapes, "memory_attention.layers."),
            memory_feedforward=shapes["memory_attention.layers.0.linear1.weight"][0],
            fuser_layers=_count(shapes, "memory_encoder.fuser.layers."),
            decoder_layers=_count(shapes, "sam_mask_decoder.transformer.layers."),
            decoder_feedforward=shapes["sam_mask_decoder.transformer.layers.0.mlp.layers.0.weight"][0],
            iou_hidden=shapes["sam_mask_decoder.iou_prediction_head.layers.0.weight"][0],
            mask_channels=shapes["sam_prompt_encoder.mask_downscaling.3.weight"][0],
        )
    except KeyError as error:
        raise ModelError(
            f"The weights hold no whole SAM 2: {error.args[0]!r} is missing.",
            f"Download the model again; Sa2VA needs every file of its folder. Folder: {folder}",
        ) from None


def _count(shapes: Mapping[str, Shape], prefix: str) -> int:
    numbers = {name[len(prefix) :].split(".", 1)[0] for name in shapes if name.startswith(prefix)}
    return len(numbers)


def _stated(folder: Path) -> dict[str, Any]:
    """What a geometry file in the folder says; official folders have none."""
    for name in OVERRIDES:
        if (folder / name).is_file():
            return json.loads((folder / name).read_text(encoding="utf-8"))
    return {}


def _hiera_layout(embed: int, blocks: int, stated: dict[str, Any], folder: Path) -> HieraLayout:
    if "hiera" in stated:
        hiera = stated["hiera"]
        return HieraLayout(hiera["num_heads"], tuple(hiera["global_att_blocks"]), tuple(hiera["window_spec"]))
    if (embed, blocks) not in HIERA:
        raise ModelError(
            f"The SAM 2 image encoder ({embed} wide, {blocks} blocks) is of no size that is known here.",
            f"State its heads, global blocks and windows in {OVERRIDES[0]}. Folder: {folder}",
        )
    return HIERA[embed, blocks]
