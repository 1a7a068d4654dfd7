"""The second look at small objects: what it asks of the network, and what it leaves alone.

The tiny network is random, so what it draws is no object. Where a test needs small ones, the first looks are replaced
by discs, and where it needs agreement the limit is lowered; crops, encoder, prompts and decoder are the real ones.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from sa2va_plugin.errors import Cancelled, EngineError
from sa2va_plugin.jobspec import (
    Box,
    EngineSpec,
    JobSpec,
    MaskPin,
    MatteSettings,
    ObjectSpec,
    Outputs,
    Point,
    Shot,
)

from benchmarks import random_sa2va
from sa2va_core.engines.base import NOTHING, Detail
from sa2va_core.engines.sa2va import second_look
from sa2va_core.engines.sa2va.crops import Crop, crop_of
from sa2va_core.engines.sa2va.engine import Sa2vaEngine
from sa2va_core.engines.sa2va.plan import Plan, Target
from sa2va_core.engines.sa2va.sam2.model import Masks
from sa2va_core.engines.sa2va.second_look import Looked, SecondLook, inner, seen_in
from sa2va_core.engines.sa2va.session import Sa2vaSession
from sa2va_core.engines.sa2va.state import Reached
from sa2va_core.engines.sa2va.streams import HostMasks
from sa2va_core.engines.sa2va.things import Thing, track_of
from sa2va_core.jobs.events import Event, FrameReady
from sa2va_core.jobs.runner import run_job
from sa2va_core.media.frames import Picture

SIZE = (256, 192)
BALL = ObjectSpec("ball", "the red ball")
HAT = ObjectSpec("hat", "the hat")


def disc(x: float, y: float, radius: float, size: tuple[int, int] = SIZE, side: int = 32) -> np.ndarray:
    """Logits (side, side) of a disc, in pixels of a picture of ``size``: positive inside, by a pixel's distance."""
    across, down = ((np.arange(side) + 0.5) * length / side for length in size)
    away = np.hypot(across[None] - x, down[:, None] - y)
    return np.clip((radius - away) / 2, -20, 20).astype(np.float32)


def place(frame: int) -> tuple[float, float]:
    """The middle of the clip's disc."""
    return 60.0 + 2 * (frame - 1001), 90.0


class Clip:
    """A disc on a textured ground, two pixels further right on each frame. ``frames`` from 1001."""

    def __init__(self, count: int, size: tuple[int, int] = SIZE) -> None:
        self.frames: Sequence[int] = range(1001, 1001 + count)
        self.size = size
        self._ground = np.random.default_rng(3).integers(20, 90, (size[1], size[0], 3)).astype(np.uint8)

    def read(self, frame: int) -> Picture:
        x, y = place(frame)
        down, across = np.mgrid[: self.size[1], : self.size[0]] + 0.5
        inside = (np.hypot(across - x, down - y) < 14)[..., None]
        rgb = np.where(inside, np.array([220, 60, 40], np.uint8), self._ground)
        return Picture(frame, rgb.astype(np.uint8))

    def stream(self, frames: Sequence[int]) -> Iterator[Picture]:
        return (self.read(frame) for frame in frames)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Sa2vaEngine:
    folder = tmp_path_factory.mktemp("sa2va") / "tiny"
    random_sa2va.write(folder, random_sa2va.SIZES["tiny"])
    return Sa2vaEngine(folder, EngineSpec("sa2va", str(folder), "cpu"))


@pytest.fixture
def willing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the second look says is taken."""
    monkeypatch.setattr(second_look, "AGREES", -1.0)
    monkeypatch.setattr(second_look, "LESS_SURE", 1.0)
    monkeypatch.setattr(second_look, "VISIBLE", -1e9)


@pytest.fixture
def discs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look sees each target as a disc where the clip has one, the next one 80 pixels further on, each smaller
    than the one before."""
    real = Sa2vaSession._looked_at

    def looked_at(self: Sa2vaSession) -> Iterator[Looked]:
        for looked in real(self):
            assert looked.found is not None
            x, y = place(looked.picture.frame)
            count = len(looked.found.presence)
            logits = np.stack([disc(x + 80 * i, y, 14 - 3 * i) for i in range(count)])
            yield replace(looked, found=replace(looked.found, logits=logits))

    monkeypatch.setattr(Sa2vaSession, "_looked_at", looked_at)


def details_of(results: Any) -> dict[tuple[int, str], list[tuple[bytes, tuple[float, ...]]]]:
    return {
        (r.picture.frame, name): [(d.logits.tobytes(), d.box) for d in track.details]
        for r in results
        for name, track in r.objects.items()
    }


# What it asks of the network


def network_of(engine: Sa2vaEngine, targets: Sequence[Target], objects: Sequence[ObjectSpec] = (BALL, HAT)):
    plan = Plan(list(targets), [], list(targets), 0, True, {})
    return SecondLook(engine.network, engine.encoder, plan, objects, SIZE)


def target(engine: Sa2vaEngine, owner: int = 0, seed: int = 0, phrase: bool = True) -> Target:
    width = engine.network.sam2.geometry.width
    embedding = torch.randn(1, width, generator=torch.Generator().manual_seed(seed))
    return Target(owner, False, embedding if phrase else None)


def looked(clip: Clip, frame: int, *logits: np.ndarray, presence: float = 5.0) -> Looked:
    count = len(logits)
    found = HostMasks(np.stack(logits), np.full(count, presence, np.float32), np.ones(count, np.float32))
    return Looked(clip.read(frame), Reached(frame, (), ()), found)


def reference(engine: Sa2vaEngine):
    """SAM 2's prompt encoder and mask decoder as transformers has them, with the tiny network's weights."""
    pytest.importorskip("transformers.models.sam2")
    from transformers.models.sam2.configuration_sam2 import Sam2MaskDecoderConfig, Sam2PromptEncoderConfig
    from transformers.models.sam2.modeling_sam2 import Sam2MaskDecoder, Sam2PromptEncoder

    g = engine.network.sam2.geometry
    prompts = Sam2PromptEncoder(
        Sam2PromptEncoderConfig(hidden_size=g.width, image_size=g.image, mask_input_channels=g.mask_channels)
    )
    config = Sam2MaskDecoderConfig(hidden_size=g.width, mlp_dim=g.decoder_feedforward, iou_head_hidden_dim=g.iou_hidden)
    config._attn_implementation = "eager"
    decoder = Sam2MaskDecoder(config)
    names = (
        (r"^pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
        *((rf"mask_downscaling\.{i}\.", f"mask_embed.{name}.") for i, name in zip("01346", _CONVOLUTIONS, strict=True)),
        *((rf"output_upscaling\.{i}\.", f"upscale_{name}.") for i, name in zip("013", _UPSCALING, strict=True)),
        (r"(iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d)\.layers\.0\.", r"\1.proj_in."),
        (r"(iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d)\.layers\.1\.", r"\1.layers.0."),
        (r"(iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d)\.layers\.2\.", r"\1.proj_out."),
        (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
        (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
        (r"\.out_proj\.", ".o_proj."),
        (r"\.norm(\d|_final_attn)\.", r".layer_norm\1."),
    )
    sam2 = engine.network.sam2
    for mine, theirs in ((sam2.sam_prompt_encoder, prompts), (sam2.sam_mask_decoder, decoder)):
        weights = {}
        for name, value in mine.state_dict().items():
            for pattern, new in names:
                name = re.sub(pattern, new, name)
            weights[name] = value
        points = [weights.pop(f"point_embeddings.{i}.weight", None) for i in range(4)]
        if points[0] is not None:
            weights["point_embed.weight"] = torch.cat([p for p in points if p is not None])
        theirs.load_state_dict(weights)
        theirs.eval()
    return prompts, decoder


_CONVOLUTIONS = ("conv1", "layer_norm1", "conv2", "layer_norm2", "conv3")
_UPSCALING = ("conv1", "layer_norm", "conv2")


def test_masks_as_prompts_equal_the_transformers_library(engine: Sa2vaEngine) -> None:
    """[SEG] and a mask together: SAM 2's dense prompt, its decoder, and the best of its three masks."""
    prompts, decoder = reference(engine)
    sam2 = engine.network.sam2
    picture = Clip(1).read(1001).rgb
    logits = torch.from_numpy(np.stack([disc(60, 90, 30), 100 * disc(150, 60, 20)]))
    embeddings = torch.cat(
        [t.embedding for t in (target(engine, seed=1), target(engine, seed=2)) if t.embedding is not None]
    )
    with torch.inference_mode():
        features = sam2.encode(engine.encoder.pixels([picture]))
        ours = sam2.ground(features, embeddings, logits=logits)
        dense = prompts.mask_embed(logits[:, None].clamp(-32, 32))
        empty = prompts.not_a_point_embed.weight.expand(2, 2, -1)
        side = sam2.geometry.coarse
        at = (torch.arange(side) + 0.5) / side
        where = prompts.shared_embedding(torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1))
        found, iou, _, presence = decoder(
            image_embeddings=(features.coarse + sam2.no_mem_embed[0, :, :, None, None]).expand(2, -1, -1, -1),
            image_positional_embeddings=where.permute(2, 0, 1)[None].expand(2, -1, -1, -1),
            sparse_prompt_embeddings=torch.cat([empty, embeddings[:, None]], dim=1)[:, None],
            dense_prompt_embeddings=dense,
            multimask_output=True,
            high_resolution_features=[f.expand(2, -1, -1, -1) for f in (features.fine, features.middle)],
        )
        unprompted = sam2.ground(features, embeddings)
    best = iou[:, 0].argmax(dim=1)
    assert torch.allclose(ours.logits, found[[0, 1], 0, best], atol=1e-4)
    assert torch.allclose(ours.presence, presence.flatten(), atol=1e-4)
    assert torch.allclose(ours.iou, iou[[0, 1], 0, best], atol=1e-5)
    assert not torch.allclose(ours.logits, unprompted.logits, atol=1e-2)


def test_a_mask_as_prompt_on_the_golden_checkpoint(network: Callable[..., Any], clip: list[np.ndarray]) -> None:
    """The official checkpoints carry the weights for it: the same path at the real grid, done step by step here."""
    sam2 = network("internvl").sam2
    embedding = torch.randn(1, sam2.geometry.width, generator=torch.Generator().manual_seed(0))
    logits = torch.from_numpy(disc(80, 48, 20, (160, 96), 256))[None] * 3
    prepare = second_look.Pixels(torch.device("cpu"), torch.float32, 1024)
    with torch.inference_mode():
        features = sam2.encode(prepare(clip[:1]))
        found = sam2.ground(features, embedding, logits=logits)
        x = logits[None].clamp(-32, 32)
        for layer in sam2.sam_prompt_encoder.mask_downscaling:
            x = layer(x)
        nothing = sam2.sam_prompt_encoder.not_a_point_embed.weight.expand(1, 2, -1)
        coarse = features.coarse + sam2.no_mem_embed.transpose(1, 2)[..., None]
        sparse = torch.cat([nothing, embedding[None]], dim=1)
        made = sam2.sam_mask_decoder(coarse, features.middle, features.fine, sam2.grid, sparse, x)
    assert x.shape == (1, sam2.geometry.width, 64, 64)
    best = 1 + int(made.iou[0, 1:].argmax())
    assert torch.allclose(found.logits[0], made.masks[0, best], atol=1e-4)
    assert torch.allclose(found.presence, made.presence, atol=1e-4)


@pytest.mark.usefixtures("willing")
def test_a_crop_of_the_whole_picture_gives_what_the_decoder_gives_on_the_picture(
    engine: Sa2vaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_look, "crop_of", lambda logits, size: Crop(0, 0, size[0], size[1], size))
    clip, one = Clip(1), target(engine)
    first = disc(60, 90, 30)
    (result,) = network_of(engine, [one]).over([looked(clip, 1001, first)], 0)
    sam2 = engine.network.sam2
    assert one.embedding is not None
    with torch.inference_mode():
        features = sam2.encode(engine.encoder.pixels([clip.read(1001).rgb]))
        expected = sam2.ground(features, one.embedding, logits=torch.from_numpy(first)[None])
    assert result.details[0].box == (0, 0, 1, 1)
    assert np.allclose(result.details[0].logits, expected.logits[0].clamp(NOTHING, -NOTHING), atol=1e-4)


@pytest.mark.usefixtures("willing")
def test_what_moves_by_a_step_of_the_lattice_comes_out_moved_by_it(engine: Sa2vaEngine) -> None:
    """The same picture and the same logits, 16 pixels further on: the same bytes, 16 pixels further on."""
    clip = Clip(1)
    rgb = clip.read(1001).rgb
    moved = np.roll(rgb, 16, axis=1)
    frames = [
        replace(looked(clip, 1001, disc(90, 90, 10)), picture=Picture(1001, rgb)),
        replace(looked(clip, 1001, disc(106, 90, 10)), picture=Picture(1002, moved)),
    ]
    one, two = network_of(engine, [target(engine)]).over(frames, 0)
    assert one.details[0].logits.tobytes() == two.details[0].logits.tobytes()
    shift = [b - a for a, b in zip(one.details[0].box, two.details[0].box, strict=True)]
    assert shift == [16 / SIZE[0], 0, 16 / SIZE[0], 0]
    # Half a step leaves the crop where it was.
    (half,) = network_of(engine, [target(engine)]).over([looked(clip, 1001, disc(93, 90, 10))], 0)
    assert half.details[0].box == one.details[0].box


@pytest.mark.usefixtures("willing")
def test_clicks_count_on_their_own_frame(engine: Sa2vaEngine) -> None:
    """Beside a target with other prompts in the same batch, and as they do alone."""
    clip = Clip(3)
    clicked = ObjectSpec("hat", "the hat", points=(Point(1002, 140, 90), Point(1002, 150, 95, positive=False)))
    frames = [looked(clip, f, disc(60, 90, 14), disc(140, 90, 11)) for f in clip.frames]
    targets = [target(engine, 0, 1), target(engine, 1, 2, phrase=False)]
    plain = list(network_of(engine, targets).over([replace(f, details={}) for f in frames], 0))
    with_clicks = list(network_of(engine, targets, (BALL, clicked)).over([replace(f, details={}) for f in frames], 0))
    for frame, (a, b) in enumerate(zip(plain, with_clicks, strict=True), 1001):
        assert np.array_equal(a.details[0].logits, b.details[0].logits)
        assert np.array_equal(a.details[1].logits, b.details[1].logits) == (frame != 1002)


@pytest.mark.usefixtures("willing")
@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_batch_of_several_objects_and_frames_gives_what_each_gives_alone(
    engine: Sa2vaEngine, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    clip = Clip(7)
    boxed = replace(HAT, boxes=(Box(1004, 120, 70, 160, 110),))
    targets = [target(engine, 0, 1), target(engine, 1, 2), target(engine, 0, 3, phrase=False)]

    def frames() -> Iterator[Looked]:
        for f in clip.frames:
            large = f == 1003
            yield looked(clip, f, disc(60, 90, 90 if large else 14), disc(140, 90, 11), disc(200, 60, 20))

    alone = list(network_of(engine, targets, (BALL, boxed)).over(frames(), 0))
    monkeypatch.setattr(engine.encoder, "batch", size)
    together = list(network_of(engine, targets, (BALL, boxed)).over(frames(), 5))
    assert [r.picture.frame for r in together] == list(clip.frames)
    assert [r.reached.crops for r in together] == [8, 11, 13, 16, 19, 22, 25]
    for a, b in zip(alone, together, strict=True):
        assert a.details.keys() == b.details.keys() == ({1, 2} if a.picture.frame == 1003 else {0, 1, 2})
        for row, detail in a.details.items():
            assert detail.box == b.details[row].box
            assert np.allclose(detail.logits, b.details[row].logits, atol=1e-3)


@pytest.mark.usefixtures("willing")
def test_frames_are_held_for_two_batches_at_most(engine: Sa2vaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an object is small on a few frames alone, and not at all where none is."""
    monkeypatch.setattr(engine.encoder, "batch", 4)
    clip, asked = Clip(40), list[int]()

    def frames() -> Iterator[Looked]:
        for f in clip.frames:
            asked.append(f)
            yield looked(clip, f, disc(60, 90, 14 if f % 10 == 5 else 90))

    behind = [asked[-1] - r.picture.frame for r in network_of(engine, [target(engine)]).over(frames(), 0)]
    assert behind[:4] == [0] * 4
    assert max(behind) <= 8


@pytest.mark.usefixtures("willing")
def test_memory_that_runs_out_makes_batches_smaller(engine: Sa2vaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip(6)
    frames = [looked(clip, f, disc(60, 90, 14)) for f in clip.frames]
    alone = list(network_of(engine, [target(engine)]).over([replace(f, details={}) for f in frames], 0))
    features, calls = engine.encoder.features, list[int]()
    monkeypatch.setattr(engine.encoder, "batch", 4)

    def scarce(pixels: torch.Tensor):
        calls.append(len(pixels))
        if len(pixels) > 2:
            raise torch.OutOfMemoryError
        return features(pixels)

    monkeypatch.setattr(engine.encoder, "features", scarce)
    found = list(network_of(engine, [target(engine)]).over(frames, 0))
    assert calls == [4, 2, 2, 2]
    for a, b in zip(alone, found, strict=True):
        assert np.allclose(a.details[0].logits, b.details[0].logits, atol=1e-3)
    monkeypatch.setattr(engine.encoder, "batch", 1)
    monkeypatch.setattr(engine.encoder, "features", lambda pixels: scarce(pixels.expand(4, -1, -1, -1)))
    with pytest.raises(EngineError, match="too little memory"):
        list(network_of(engine, [target(engine)]).over(frames, 0))


# What it leaves alone


def saying(
    engine: Sa2vaEngine,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[torch.Tensor], torch.Tensor],
    presence: float,
):
    """The decoder's second answer is the first look as the crop sees it, after ``change``."""

    real = engine.network.sam2.ground

    def ground(features: Any, embeddings: Any, clicks: Any = None, logits: torch.Tensor | None = None) -> Masks:
        if logits is None:
            return real(features, embeddings, clicks)
        n = len(logits)
        return Masks(change(logits), torch.full((n,), presence), torch.ones(n), torch.zeros(n, 1))

    monkeypatch.setattr(engine.network.sam2, "ground", ground)


@pytest.mark.parametrize(
    ("change", "presence", "taken"),
    [
        (lambda x: x * 3, 5.0, True),  # harder edges
        (lambda x: x + 0.75, 5.0, True),  # an edge moved by one and a half pixels, of a disc of 28
        (lambda x: x + 6, 5.0, False),  # takes over what lies around
        (lambda x: x - 6, 5.0, False),  # hardly anything is left
        (lambda x: -x, 5.0, False),  # all but the object
        (lambda x: x.roll(12, dims=-1), 5.0, False),  # something beside it
        (lambda x: x * 3, 4.5, True),  # as sure but for noise
        (lambda x: x * 3, 1.0, False),  # doubts that it is there
        (lambda x: x * 3, -1.0, False),  # says that it is not
    ],
)
def test_what_does_not_agree_with_the_first_look_is_dropped(
    engine: Sa2vaEngine, monkeypatch: pytest.MonkeyPatch, change: Any, presence: float, taken: bool
) -> None:
    saying(engine, monkeypatch, change, presence)
    clip = Clip(1)
    (result,) = network_of(engine, [target(engine)]).over([looked(clip, 1001, disc(120, 90, 14))], 0)
    assert (0 in result.details) == taken


def test_towards_its_sides_a_crop_is_the_first_look(engine: Sa2vaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the second look makes something up at the border; where that is the picture's own, it may."""
    monkeypatch.setattr(second_look, "AGREES", -1.0)
    saying(engine, monkeypatch, lambda x: torch.full_like(x, 9.0), 5.0)
    clip = Clip(1)
    (middle,) = network_of(engine, [target(engine)]).over([looked(clip, 1001, disc(120, 90, 14))], 0)
    detail = middle.details[0]
    first = seen_in(torch.from_numpy(disc(120, 90, 14))[None], torch.tensor([detail.box]))[0].numpy()
    for ring in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert np.abs(detail.logits[ring] - first[ring]).max() < 0.3 * np.abs(9 - first[ring]).max()
    assert (detail.logits[2:-2, 2:-2] == 9).all()
    (corner,) = network_of(engine, [target(engine)]).over([looked(clip, 1001, disc(0, 0, 14))], 0)
    assert (corner.details[0].logits[:-2, :-2] == 9).all()


def test_how_the_second_look_fades() -> None:
    boxes = torch.tensor([[0.0, 0.25, 0.5, 0.75], [0.0, 0.0, 1.0, 1.0]])
    faded, whole = inner(boxes, 256)
    assert (whole == 1).all()
    assert (faded[16:-16, :-16] == 1).all()  # a sixteenth of the side; the left side is the picture's
    assert torch.allclose(faded[128, -16:], torch.arange(15.5, 0, -1) / 16)
    assert torch.allclose(faded[:16, 0], torch.arange(0.5, 16) / 16)


def test_several_targets_of_one_object_are_put_together_in_every_detail(engine: Sa2vaEngine) -> None:
    """As their first looks are: what is in any of them, less what a negative phrase takes away."""
    one, two, hole = (target(engine, seed=i) for i in range(3))
    plan = Plan([one, two, hole], [], [one, two, hole], 0, True, {})
    logits = np.stack([disc(60, 60, 20), disc(190, 130, 20), disc(60, 60, 8)])
    found = HostMasks(logits, np.full(3, 5.0, np.float32), np.ones(3, np.float32))
    boxes = [crop.box for crop in (crop_of(x, SIZE) for x in logits) if crop is not None]
    details = {
        i: Detail(seen_in(torch.from_numpy(2 * logits[i : i + 1]), torch.tensor([box]))[0].numpy(), box)
        for i, box in enumerate(boxes)
    }
    both = track_of(Thing("it", 0, [one, two], []), plan, found, details)
    assert [d.box for d in both.details] == [boxes[0], boxes[1]]
    assert np.array_equal(both.logits, np.maximum(logits[0], logits[1]))
    assert ((both.details[0].logits > 0) == (details[0].logits > 0)).all()
    less = track_of(Thing("it", 0, [one], [hole]), plan, found, details)
    # The finest detail lies on top, and each of them holds both.
    assert [d.box for d in less.details] == [boxes[0], boxes[2]]
    assert (boxes[2][2] - boxes[2][0]) < (boxes[0][2] - boxes[0][0])
    for detail in less.details:
        ring = seen_in(torch.from_numpy(np.minimum(logits[0], -logits[2]))[None], torch.tensor([detail.box]))[0]
        sure = np.abs(ring.numpy()) > 1
        assert ((detail.logits > 0) == (ring.numpy() > 0))[sure].all()
    # One of them without a second look: there is none of the object.
    del details[2]
    assert track_of(Thing("it", 0, [one], [hole]), plan, found, details).details == ()
    assert track_of(Thing("it", 0, [one], []), plan, found, details).details[0] is not None


def test_off_it_changes_nothing_and_on_it_leaves_the_first_look_as_it_was(engine, discs, willing) -> None:
    clip = Clip(6)
    off = list(engine.open_shot(clip, [BALL, HAT]).run())
    on = list(engine.open_shot(clip, [BALL, HAT], None, True).run())
    assert not any(details_of(off).values())
    assert all(details_of(on).values())
    for a, b in zip(off, on, strict=True):
        for name, track in a.objects.items():
            other = b.objects[name]
            assert track.logits.tobytes() == other.logits.tobytes()
            assert (track.presence, track.quality) == (other.presence, other.quality)


def test_no_frame_is_encoded_again_for_what_is_large(engine, willing, monkeypatch) -> None:
    """The random network sees its objects everywhere."""
    calls, encode = [], engine.network.sam2.encode
    monkeypatch.setattr(engine.network.sam2, "encode", lambda pixels: calls.append(len(pixels)) or encode(pixels))
    list(engine.open_shot(Clip(6), [BALL]).run())
    before = sum(calls)
    calls.clear()
    results = list(engine.open_shot(Clip(6), [BALL], None, True).run())
    assert not any(details_of(results).values())
    assert sum(calls) == before


def test_pinned_frames_have_no_second_look(engine, discs, willing, tmp_path) -> None:
    from PIL import Image

    Image.fromarray(np.full((SIZE[1], SIZE[0]), 255, np.uint8)).save(tmp_path / "pin.png")
    pinned = replace(BALL, masks=(MaskPin(1003, str(tmp_path / "pin.png")),))
    found = details_of(engine.open_shot(Clip(5), [pinned], None, True).run())
    assert [bool(found[frame, "ball"]) for frame in sorted(Clip(5).frames)] == [True, True, False, True, True]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("stop", [1, 5, 7, 10])
def test_a_stopped_walk_goes_on_with_the_same_bytes(engine, discs, willing, monkeypatch, tmp_path, stop, batch) -> None:
    monkeypatch.setattr(engine.encoder, "batch", batch)
    objects = [BALL, HAT]
    whole = details_of(engine.open_shot(Clip(11), objects, None, True).run())
    first = engine.open_shot(Clip(11), objects, None, True)
    results = first.run()
    head = details_of([next(results) for _ in range(stop)])
    np.savez(tmp_path / "state.npz", **first.state())
    results.close()
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        tail = details_of(engine.open_shot(Clip(11), objects, dict(state), True).run())
    assert len(head) == 2 * stop
    assert head | tail == whole
    assert all(whole.values())


# Whole jobs


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plate")
    clip = Clip(12)
    for frame in clip.frames:
        cv2.imwrite(str(folder / f"disc.{frame}.png"), clip.read(frame).rgb[..., ::-1])
    return folder


def job(plate: Path, folder: Path, engine: Sa2vaEngine, second_look: bool = True) -> JobSpec:
    return JobSpec(
        Shot(str(plate / "disc.####.png"), fps=24),
        (BALL, HAT),
        Outputs(str(folder)),
        engine._spec,
        MatteSettings(second_look=second_look),
    )


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "mattes").glob("*.exr"))}


def test_a_job_says_on_how_many_frames_it_looked_twice(engine, discs, willing, plate, tmp_path) -> None:
    """And stopped anywhere, it goes on to the same files."""
    data = json.loads(run_job(job(plate, tmp_path / "whole", engine), engine=engine).read_text())
    assert [item["second_looks"] for item in data["objects"]] == [12, 12]
    assert all(frame["objects"]["ball"]["second_look"] is True for frame in data["frames"])
    off = json.loads(run_job(job(plate, tmp_path / "off", engine, second_look=False), engine=engine).read_text())
    assert not any("second_look" in key for item in off["objects"] for key in item)
    assert not any("second_look" in frame["objects"]["ball"] for frame in off["frames"])
    one, other = written(tmp_path / "whole"), written(tmp_path / "off")
    assert one.keys() == other.keys()
    assert not any(one[name] == other[name] for name in one)

    frames = list[int]()
    for _ in range(12):
        stop = threading.Event()

        def tell(event: Event, stop: threading.Event = stop) -> None:
            if isinstance(event, FrameReady):
                frames.append(event.frame)
                stop.set()

        with suppress(Cancelled):
            run_job(job(plate, tmp_path / "stopped", engine), engine=engine, on_event=tell, cancelled=stop)
    run_job(job(plate, tmp_path / "stopped", engine), engine=engine)
    assert len(frames) > 3
    assert written(tmp_path / "stopped") == one


def test_a_job_whose_second_looks_do_not_agree_is_the_job_without(engine, discs, monkeypatch, plate, tmp_path) -> None:
    saying(engine, monkeypatch, lambda x: -x, 5.0)
    data = json.loads(run_job(job(plate, tmp_path / "on", engine), engine=engine).read_text())
    assert [item["second_looks"] for item in data["objects"]] == [0, 0]
    run_job(job(plate, tmp_path / "off", engine, second_look=False), engine=engine)
    for name in written(tmp_path / "on"):
        images = [oiio.ImageBuf(str(tmp_path / which / "mattes" / name)) for which in ("on", "off")]
        one, other = (np.asarray(image.get_pixels(oiio.HALF)) for image in images)
        assert one.tobytes() == other.tobytes()


def test_compat_refuses(engine: Sa2vaEngine) -> None:
    """The official code looks once."""
    folder = engine._digests.folder
    compat = Sa2vaEngine(folder, EngineSpec("sa2va", str(folder), "cpu", "compat"))
    compat.check([BALL])
    with pytest.raises(EngineError, match="looks once"):
        compat.check([BALL], second_look=True)
