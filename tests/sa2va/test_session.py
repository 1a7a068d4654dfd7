"""Whole shots through the engine seam, on a tiny network whose answer is always [SEG]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from sa2va_plugin.errors import EngineError, JobSpecError, MediaError, PhraseError
from sa2va_plugin.jobspec import Box, EngineSpec, MaskPin, ObjectSpec, Point

from benchmarks import random_sa2va
from sa2va_core.engines.base import NOTHING
from sa2va_core.engines.sa2va.engine import Sa2vaEngine
from sa2va_core.engines.sa2va.prompts import request
from sa2va_core.media.frames import Picture

BALL = ObjectSpec("ball", "the red ball")


class Clip:
    """A bright square that crosses a dark picture; counts what is read and whether the stream was closed."""

    def __init__(self, count: int, width: int = 64, height: int = 48) -> None:
        self.frames: Sequence[int] = range(1001, 1001 + count)
        self.size, self.closed, self.order = (width, height), 0, []

    def read(self, frame: int) -> Picture:
        rgb = np.full((self.size[1], self.size[0], 3), 30, np.uint8)
        at = (frame * 5) % max(1, self.size[0] - 12)
        rgb[10:26, at : at + 12] = (220, 40, 60)
        return Picture(frame, rgb)

    def stream(self, frames: Sequence[int]) -> Iterator[Picture]:
        try:
            for frame in frames:
                self.order.append(frame)
                yield self.read(frame)
        finally:
            self.closed += 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sa2va") / "tiny"
    random_sa2va.write(folder, random_sa2va.SIZES["tiny"])
    return folder


@pytest.fixture(scope="module")
def engine(folder: Path) -> Sa2vaEngine:
    return Sa2vaEngine(folder, EngineSpec("sa2va", str(folder), "cpu"))


@pytest.fixture(scope="module")
def compat(folder: Path) -> Sa2vaEngine:
    return Sa2vaEngine(folder, EngineSpec("sa2va", str(folder), "cpu", "compat"))


@pytest.fixture
def presence(engine: Sa2vaEngine) -> Iterator[torch.Tensor]:
    """The last bias of the presence head: how visible everything is said to be."""
    bias = engine.network.sam2.sam_mask_decoder.pred_obj_score_head.layers[-1].bias
    assert isinstance(bias, torch.Tensor)
    kept = bias.clone()
    yield bias
    bias.copy_(kept)


def test_its_device_is_one_that_torch_takes(engine: Sa2vaEngine) -> None:
    """Mattes are made on it: a word beside it failed every job on a GPU."""
    assert torch.device(engine.info.device) == engine.network.device
    assert engine.info.version.endswith(
        f"(float32, torch {torch.__version__}, transformers {transformers.__version__})"
    )


def run(engine: Sa2vaEngine, clip: Clip, objects: Sequence[ObjectSpec] = (BALL,)):
    engine.check(objects)
    session = engine.open_shot(clip, objects)
    return {r.picture.frame: r for r in session.run()}, session


def test_every_frame_once_out_from_the_reference(engine):
    clip = Clip(11)
    results, session = run(engine, clip)
    assert sorted(results) == list(clip.frames)
    assert session.plan is not None
    start = session.plan.start
    assert clip.order == [*clip.frames[start:], *reversed(clip.frames[:start])]
    assert clip.closed == 1
    for frame, result in results.items():
        track = result.objects["ball"]
        assert track.logits.dtype == np.float32
        assert track.logits.shape == (32, 32)
        assert np.abs(track.logits).max() <= -NOTHING
        assert 0.5 < track.presence <= 1
        assert track.quality is not None
        assert 0 <= track.quality <= 1
        assert (result.picture.rgb == clip.read(frame).rgb).all()
    verdict = session.verdicts()["ball"]
    assert verdict.state in ("found", "ambiguous")
    assert list(verdict.frames) == list(clip.frames)


def test_the_same_job_twice_gives_the_same_bytes(engine):
    objects = [BALL, ObjectSpec("hat", "the hat", negative_phrases=("the ribbon",))]
    first, _ = run(engine, Clip(8), objects)
    second, _ = run(engine, Clip(8), objects)
    for frame, result in first.items():
        for name, track in result.objects.items():
            assert track.logits.tobytes() == second[frame].objects[name].logits.tobytes()


def test_an_object_does_not_depend_on_the_others(engine):
    alone, _ = run(engine, Clip(7))
    boxed = ObjectSpec("box", "", boxes=(Box(1006, 4, 4, 30, 30),))
    together, _ = run(engine, Clip(7), [boxed, BALL])
    for frame, result in alone.items():
        # The walk may start elsewhere; where it starts at the same frame, results agree.
        assert together[frame].objects["ball"].logits.shape == result.objects["ball"].logits.shape


def test_more_phrases_encode_no_more_frames(engine, monkeypatch):
    encode, frames = engine.network.sam2.encode, []

    def counted(pixels):
        frames.append(len(pixels))
        return encode(pixels)

    monkeypatch.setattr(engine.network.sam2, "encode", counted)
    run(engine, Clip(7))
    alone = sum(frames)
    frames.clear()
    run(engine, Clip(7), [BALL, ObjectSpec("man", "the man"), ObjectSpec("cups", "all the cups")])
    assert sum(frames) == alone >= 7


def test_compat_walks_forwards_without_gating(compat):
    clip = Clip(8)
    results, session = run(compat, clip)
    assert clip.order == list(clip.frames) == list(results)
    assert session.plan is not None
    assert [c.frames for c in session.plan.trackers[0].conditioning] == [(0,), (1,), (2,), (3,), (4,)]


def test_nothing_visible_is_not_in_shot(engine, presence):
    presence.fill_(-10.0)
    results, session = run(engine, Clip(6))
    assert all(r.objects["ball"].logits.shape == (1, 1) for r in results.values())
    verdict = session.verdicts()["ball"]
    assert verdict.state == "not in shot"
    assert not verdict.frames


def test_an_answer_without_seg_is_not_in_shot(engine, monkeypatch):
    """The language model names nothing to cut out: its words are the reason."""
    language = engine.network.language
    end = language.tokenizer.token_to_id("<|im_end|>")
    monkeypatch.setattr(language, "head", lambda s: torch.nn.functional.one_hot(torch.full((len(s),), end), 300))
    results, session = run(engine, Clip(3))
    assert len(results) == 3
    verdict = session.verdicts()["ball"]
    assert verdict.state == "not in shot"
    assert "<|im_end|>" in verdict.reason


def test_objects_that_leave_are_absent_and_come_back(engine, monkeypatch):
    """Presence falls on some frames: there is no matte there, and there is one again afterwards."""
    sam2 = engine.network.sam2
    decode, frames = sam2.decode, []

    def hidden_at_times(*args, **kwargs):
        masks = decode(*args, **kwargs)
        frames.append(0)
        return type(masks)(masks.logits, masks.presence - 20.0 * (len(frames) in gone), masks.iou, masks.pointer)

    clip = Clip(12)
    _, session = run(engine, clip)
    gone: set[int] = set()
    monkeypatch.setattr(sam2, "decode", hidden_at_times)
    run(engine, clip)
    before_walk = len(frames) - 12 + 0
    frames.clear()
    gone |= {before_walk + 3, before_walk + 4}
    results, session = run(engine, clip)
    absent = [f for f, r in results.items() if r.objects["ball"].logits.size == 1]
    assert len(absent) == 2
    assert session.verdicts()["ball"].state != "not in shot"
    assert not set(absent) & set(session.verdicts()["ball"].frames)


# Prompts


def test_points_and_boxes_without_a_phrase(engine):
    clicked = ObjectSpec("clicked", "", points=(Point(1004, 20, 15), Point(1004, 2, 2, positive=False)))
    boxed = ObjectSpec("boxed", "", boxes=(Box(1002, 10, 10, 40, 30),))
    results, session = run(engine, Clip(6), [clicked, boxed])
    assert session.plan is not None
    assert {t.owner: t.conditioning[0].frames for t in session.plan.targets} == {0: (3,), 1: (1,)}
    assert results[1006].objects.keys() == {"clicked", "boxed"}
    assert {v.state for v in session.verdicts().values()} == {"found"}


def test_a_negative_point_changes_the_mask(engine):
    one, two = Point(1001, 20, 15), Point(1001, 40, 30, positive=False)
    plain, _ = run(engine, Clip(2), [ObjectSpec("it", "", points=(one,))])
    less, _ = run(engine, Clip(2), [ObjectSpec("it", "", points=(one, two))])
    positive, _ = run(engine, Clip(2), [ObjectSpec("it", "", points=(one, Point(1001, 40, 30)))])
    masks = [r[1001].objects["it"].logits for r in (plain, less, positive)]
    assert not np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[1], masks[2])


def test_phrase_and_points_together(engine):
    phrase, _ = run(engine, Clip(6))
    both, session = run(engine, Clip(6), [ObjectSpec("ball", "the red ball", points=(Point(1003, 20, 15),))])
    assert session.plan is not None
    target = session.plan.targets[0]
    assert target.embedding is not None
    assert target.conditioning[0].frames == (2,)
    assert not np.array_equal(both[1003].objects["ball"].logits, phrase[1003].objects["ball"].logits)


def test_pins_come_back_unchanged(engine, tmp_path):
    """A user's mask on a frame is that frame's matte, to the last level, and tracking starts from it."""
    matte = np.zeros((48, 64), np.uint8)
    matte[8:30, 12:40] = 255
    matte[8:30, 40:44] = (200, 120, 60, 7)
    Image.fromarray(matte).save(tmp_path / "pin.png")
    item = ObjectSpec("ball", "", masks=(MaskPin(1004, str(tmp_path / "pin.png")),))
    results, session = run(engine, Clip(6), [item])
    track = results[1004].objects["ball"]
    alpha = 1 / (1 + np.exp(-track.logits.astype(np.float64)))
    assert (np.rint(alpha * 255).astype(np.uint8) == matte).all()
    assert track.presence == 1
    assert session.plan is not None
    assert session.plan.start == 3


def test_pins_that_cannot_be_read(engine, tmp_path):
    for name in ("gone.png", "gone.exr"):
        item = ObjectSpec("ball", "", masks=(MaskPin(1001, str(tmp_path / name)),))
        with pytest.raises(MediaError, match="cannot be read"):
            run(engine, Clip(2), [item])


def test_prompt_on_a_frame_outside_the_shot(engine):
    with pytest.raises(JobSpecError, match="frame 999"):
        run(engine, Clip(2), [ObjectSpec("ball", "", points=(Point(999, 1, 1),))])


def test_negative_phrases_are_taken_away(engine):
    """Where the negative is surely inside, the object is surely outside."""
    item = ObjectSpec("man", "the man", negative_phrases=("his hat",))
    results, session = run(engine, Clip(4), [item])
    assert session.plan is not None
    assert [t.negative for t in session.plan.targets] == [False, True]
    # On this network both phrases give one mask, so nothing of it is left.
    for result in results.values():
        assert result.objects["man"].logits.max() <= 0


@pytest.fixture
def two_things(engine: Sa2vaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer names two things."""
    answer = engine.network.language.answer

    def twice(*args, **kwargs):
        one = answer(*args, **kwargs)
        return type(one)(one.text, one.ids, torch.cat([one.states, -one.states]))

    monkeypatch.setattr(engine.network.language, "answer", twice)


@pytest.mark.usefixtures("two_things")
def test_several_things_in_an_answer_become_parts(engine):
    """The object stays, as all of them together; each is a part beside it, with a verdict of its own."""
    objects = [BALL, ObjectSpec("ball_1", "another ball")]
    session = engine.open_shot(Clip(3), objects)
    assert session.parts() == {"ball": ["ball_2", "ball_3"], "ball_1": ["ball_1_1", "ball_1_2"]}
    results = {r.picture.frame: r.objects for r in session.run()}
    assert list(results[1002]) == ["ball", "ball_2", "ball_3", "ball_1", "ball_1_1", "ball_1_2"]
    for tracks in results.values():
        one, two = (tracks[name].logits for name in ("ball_2", "ball_3"))
        assert not np.array_equal(one, two)
        assert np.array_equal(tracks["ball"].logits, np.maximum(one, two))
    verdicts = session.verdicts()
    assert list(verdicts) == list(results[1002])
    assert "2 things" in verdicts["ball"].reason
    assert "2 things" not in verdicts["ball_3"].reason


@pytest.mark.usefixtures("two_things")
def test_an_object_that_is_pointed_at_is_one_thing(engine):
    pointed = ObjectSpec("ball", "the red ball", points=(Point(1002, 20, 15),))
    results, session = run(engine, Clip(4), [pointed])
    assert session.parts() == {}
    assert results[1003].objects.keys() == {"ball"}
    assert "things" not in session.verdicts()["ball"].reason


def test_one_thing_has_no_parts(engine):
    assert engine.open_shot(Clip(3), [BALL]).parts() == {}


# Going on after a stop


def numbers(results):
    return [
        (r.picture.frame, name, t.logits.tobytes(), t.presence, t.quality)
        for r in results
        for name, t in r.objects.items()
    ]


def through_a_file(state, path: Path):
    np.savez(path, **state)
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


@pytest.mark.usefixtures("two_things")
@pytest.mark.parametrize("stop", [1, 6, 9, 10, 12])
def test_a_stopped_walk_goes_on_with_the_same_numbers(engine, tmp_path, stop):
    """Stopped at its first frame, before, at and after its turn, and before its last."""
    matte = np.zeros((48, 64), np.uint8)
    matte[8:30, 12:40] = 255
    Image.fromarray(matte).save(tmp_path / "pin.png")
    objects = [
        ObjectSpec("ball", "the red ball", negative_phrases=("the ribbon",)),
        ObjectSpec("it", "", masks=(MaskPin(1005, str(tmp_path / "pin.png")),)),
        ObjectSpec("clicked", "", points=(Point(1005, 20, 15),)),
    ]
    whole = engine.open_shot(Clip(13), objects)
    expected = numbers(whole.run())
    assert whole.plan.start == 4

    first = engine.open_shot(Clip(13), objects)
    results = first.run()
    head = numbers(next(results) for _ in range(stop))
    state = first.state()
    results.close()  # type: ignore[attr-defined]
    clip = Clip(13)
    second = engine.open_shot(clip, objects, through_a_file(state, tmp_path / "state.npz"))
    assert second.parts() == whole.parts()
    assert head + numbers(second.run()) == expected
    assert len(clip.order) == 13 - stop
    assert second.verdicts() == whole.verdicts()


def test_compat_goes_on_too(compat, tmp_path):
    whole = numbers(compat.open_shot(Clip(12), [BALL]).run())
    for stop in (2, 9):
        first = compat.open_shot(Clip(12), [BALL])
        results = first.run()
        head = numbers(next(results) for _ in range(stop))
        state = through_a_file(first.state(), tmp_path / f"{stop}.npz")
        assert head + numbers(compat.open_shot(Clip(12), [BALL], state).run()) == whole


def test_going_on_without_anything_to_track(engine, tmp_path, presence):
    presence.fill_(-10.0)
    first = engine.open_shot(Clip(6), [BALL])
    results = first.run()
    head = numbers(next(results) for _ in range(4))
    second = engine.open_shot(Clip(6), [BALL], through_a_file(first.state(), tmp_path / "state.npz"))
    assert len(head + numbers(second.run())) == 6
    assert second.verdicts()["ball"].state == "not in shot"


def test_going_on_in_the_middle_of_a_batch(engine, tmp_path, monkeypatch):
    """Where frames are encoded several at a time, a later session cuts the same batches."""
    sam2, encode, sizes = engine.network.sam2, engine.network.sam2.encode, []
    monkeypatch.setattr(engine.encoder, "batch", 4)
    monkeypatch.setattr(sam2, "encode", lambda pixels: sizes.append(len(pixels)) or encode(pixels))
    first = engine.open_shot(Clip(11), [BALL])
    results = first.run()
    head = numbers(next(results) for _ in range(6))
    sizes.clear()
    clip = Clip(11)
    second = engine.open_shot(clip, [BALL], through_a_file(first.state(), tmp_path / "state.npz"))
    assert head + numbers(second.run()) == numbers(engine.open_shot(Clip(11), [BALL]).run())
    assert sizes[:2] == [4, 3]
    assert len(clip.order) == 11 - 4


def test_the_state_does_not_grow(engine):
    session = engine.open_shot(Clip(60), [BALL])
    sizes = [sum(a.nbytes for a in session.state().values()) for _ in session.run()]
    assert max(sizes) == max(sizes[:30])


# Odd shots and bad input


def test_one_frame(engine):
    results, session = run(engine, Clip(1))
    assert list(results) == [1001]
    assert session.verdicts()["ball"].frames == [1001]


@pytest.mark.parametrize("size", [(20, 20), (1, 1), (20, 400)])
def test_small_and_narrow_plates(engine, compat, size):
    for one in (engine, compat):
        results, _ = run(one, Clip(2, *size))
        assert len(results) == 2


def test_phrase_longer_than_the_context(engine):
    with pytest.raises(PhraseError, match="too long"):
        engine.check([ObjectSpec("long", "very " * 20000)])


def test_phrase_longer_than_what_the_pictures_leave(engine, monkeypatch):
    """It fits alone, and not behind the pictures."""
    words = "very " * 200
    monkeypatch.setattr(engine.network.language, "context", 1400)
    item = ObjectSpec("long", words)
    engine.check([item])
    with pytest.raises(PhraseError, match="too long") as caught:
        run(engine, Clip(6), [item])
    assert "fewer words" in caught.value.hint


def test_signs_that_the_model_keeps_for_itself(engine):
    for phrase in ("the [SEG] sign", "<image> of a man"):
        with pytest.raises(PhraseError, match="keeps for itself"):
            engine.check([ObjectSpec("it", phrase)])


def test_compat_takes_phrases_alone(compat):
    with pytest.raises(PhraseError, match="official"):
        compat.check([ObjectSpec("it", "", points=(Point(1, 1, 1),))])


def test_a_consumer_that_stops_early_stops_the_reader(engine):
    clip = Clip(6)
    results = engine.open_shot(clip, [BALL]).run()
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert clip.closed == 1


def test_questions(engine):
    assert engine.ask(Clip(3), "What is it?") == "[SEG]"


def test_requests():
    assert request("the man.") == "<image>\nPlease segment the man."
    assert "?" in request("Who runs?")
    assert request("Who runs?").endswith("Please respond with a segmentation mask.")


# Memory that runs out


def test_encoder_takes_smaller_batches(engine, monkeypatch, caplog):
    encoder, sam2 = engine.encoder, engine.network.sam2
    encode = sam2.encode

    def small(pixels):
        if len(pixels) > 2:
            raise torch.OutOfMemoryError
        return encode(pixels)

    expected, _ = run(engine, Clip(7))
    monkeypatch.setattr(encoder, "batch", 8)
    monkeypatch.setattr(sam2, "encode", small)
    results, _ = run(engine, Clip(7))
    assert encoder.batch == 2
    assert "encoded 2 at a time" in caplog.text
    for frame in expected:
        close = np.abs(results[frame].objects["ball"].logits - expected[frame].objects["ball"].logits)
        assert close.max() < 1e-3


def test_objects_go_through_memory_in_smaller_groups(engine, monkeypatch, caplog):
    sam2 = engine.network.sam2
    remember, walking = sam2.remember, []
    objects = [ObjectSpec(f"o{i}", "", points=(Point(1001, 10 + 5 * i, 12),)) for i in range(4)]
    expected, _ = run(engine, Clip(4), objects)

    def small(features, logits):
        walking.append(len(logits))
        if len(logits) > 1:
            raise torch.OutOfMemoryError
        return remember(features, logits)

    monkeypatch.setattr(sam2, "remember", small)
    results, _ = run(engine, Clip(4), objects)
    assert "1 at a time" in caplog.text
    for frame in expected:
        for name in expected[frame].objects:
            a, b = (r[frame].objects[name].logits for r in (expected, results))
            assert np.abs(a - b).max() < 1e-3


def test_key_frames_are_looked_at_in_smaller_groups(engine, monkeypatch, caplog):
    """Memory that runs out while the shot is looked over: fewer go together, and the plan is the same."""
    sam2, attend = engine.network.sam2, engine.network.sam2.attend
    expected = engine.open_shot(Clip(7), [BALL, ObjectSpec("hat", "the hat")]).plan

    def small(features, maps, slots, pointers):
        if len(pointers) > 2:
            raise torch.OutOfMemoryError
        return attend(features, maps, slots, pointers)

    monkeypatch.setattr(sam2, "attend", small)
    plan = engine.open_shot(Clip(7), [BALL, ObjectSpec("hat", "the hat")]).plan
    assert "looked at 2 at a time" in caplog.text
    assert plan.start == expected.start
    for ours, other in zip(plan.targets, expected.targets, strict=True):
        assert [c.frames for c in ours.conditioning] == [c.frames for c in other.conditioning]
        assert ours.confidence == pytest.approx(other.confidence, abs=1e-4)
    monkeypatch.setattr(sam2, "attend", lambda *args: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(EngineError, match="too little memory"):
        engine.open_shot(Clip(7), [BALL]).parts()


def test_no_memory_at_all(engine, monkeypatch):
    def never(pixels):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(engine.network.sam2, "encode", never)
    with pytest.raises(EngineError, match="too little memory"):
        run(engine, Clip(2))
