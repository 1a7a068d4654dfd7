"""The engine with its real networks on a clip whose truth is known, and on photographs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import imgviz
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from sa2va_plugin.errors import EngineError, ModelError, PhraseError
from sa2va_plugin.jobspec import Box, EngineSpec, MaskPin, ObjectSpec, Point

from sa2va_core.engines import registry
from sa2va_core.engines.base import Engine, FrameResult, ShotSession
from sa2va_core.engines.starter.cast import tiles
from sa2va_core.engines.starter.networks import Networks
from sa2va_core.engines.starter.sheet import Sheet
from sa2va_core.media.frames import FrameSource, Picture
from sa2va_core.models import store

from .scene import HEIGHT, WIDTH, Scene, intersection_over_union


class Still:
    """One picture, or the same one several times, as a FrameSource."""

    def __init__(self, *pictures: NDArray[np.uint8]) -> None:
        self._pictures = pictures
        self.frames = tuple(range(1, len(pictures) + 1))
        self.size = (pictures[0].shape[1], pictures[0].shape[0])

    def read(self, frame: int) -> Picture:
        return Picture(frame, self._pictures[frame - 1])

    def stream(self, frames: Sequence[int]) -> Iterator[Picture]:
        return map(self.read, frames)


def objects(*phrases: str) -> tuple[ObjectSpec, ...]:
    return tuple(ObjectSpec(name=phrase, phrase=phrase) for phrase in phrases)


def run(engine: Engine, source: FrameSource, *phrases: str) -> tuple[ShotSession, list[FrameResult]]:
    session = engine.open_shot(source, objects(*phrases))
    return session, list(session.run())


def inside(logits: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR)) > 0


@pytest.fixture(scope="module")
def matted(engine: Engine) -> tuple[ShotSession, list[FrameResult]]:
    return run(engine, Scene(), "the woman", "the cup", "the elephant")


@pytest.mark.parametrize(("width", "height"), [(480, 1), (2, 270), (1600, 100)])
def test_a_strip_of_a_picture_is_looked_at_in_a_dozen_tiles(width: int, height: int) -> None:
    found = tiles(Sheet(np.zeros((height, width, 3), np.uint8)))
    assert 2 <= len(found) <= 12
    assert found[0].min() == 0
    assert found[-1].max() == max(Sheet(np.zeros((height, width, 3), np.uint8)).shape)


def test_both_things_are_found_on_every_frame_of_the_scene(matted):
    """Reviewed figures: woman mean 0.981, worst 0.942; cup mean 0.987, worst 0.984."""
    session, results = matted
    scene = Scene()
    assert [r.picture.frame for r in results] == list(scene.frames)
    for phrase, name, mean, worst in (("the woman", "person", 0.97, 0.92), ("the cup", "cup", 0.97, 0.95)):
        scores = [
            intersection_over_union(
                inside(r.objects[phrase].logits, (WIDTH, HEIGHT)), scene.truth(name, r.picture.frame) > 0.5
            )
            for r in results
        ]
        assert np.mean(scores) >= mean
        assert min(scores) >= worst
        assert session.verdicts()[phrase].state == "found"
        assert list(session.verdicts()[phrase].frames) == list(scene.frames)
    assert "'woman' is read as person." in session.verdicts()["the woman"].reason


def test_logits_are_soft_and_bounded(matted):
    logits = matted[1][5].objects["the woman"].logits
    assert logits.dtype == np.float32
    assert logits.shape == (HEIGHT, WIDTH)
    assert np.isfinite(logits).all()
    assert logits.min() >= -32
    assert logits.max() <= 32
    assert len(np.unique(logits[np.abs(logits) < 2])) > 100


def test_what_is_absent_is_said_to_be_and_leaves_nothing(matted):
    session, results = matted
    assert session.verdicts()["the elephant"].state == "not in shot"
    assert not session.verdicts()["the elephant"].frames
    for result in results:
        track = result.objects["the elephant"]
        assert track.presence == 0
        assert (track.logits < -9).all()


def test_a_resumed_session_gives_the_same_bytes(engine: Engine, matted):
    phrases = ("the woman", "the cup", "the elephant")
    first = engine.open_shot(Scene(), objects(*phrases))
    walk = first.run()
    for _ in range(10):
        next(walk)
    state = first.state()
    assert state is not None
    assert all(isinstance(a, np.ndarray) and a.dtype != object for a in state.values())
    saved = {name: array.copy() for name, array in state.items()}
    second = engine.open_shot(Scene(), objects(*phrases), saved)
    rest = list(second.run())
    straight, want = matted
    assert [r.picture.frame for r in rest] == [r.picture.frame for r in want[10:]]
    for got, expected in zip(rest, want[10:], strict=True):
        for phrase in phrases:
            assert got.objects[phrase].logits.tobytes() == expected.objects[phrase].logits.tobytes()
            assert got.objects[phrase].presence == expected.objects[phrase].presence
    assert second.verdicts() == straight.verdicts()


def test_a_state_of_another_job_is_refused(engine: Engine):
    with pytest.raises(EngineError, match="does not fit"):
        engine.open_shot(Scene(), objects("the cup"), {"done": np.array(3)})


def test_more_phrases_cost_no_more_detector_passes(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    calls: Counter[str] = Counter()
    look = Networks._look

    def counted(self, *args):
        calls["look"] += 1
        return look(self, *args)

    monkeypatch.setattr(Networks, "_look", counted)
    source = Still(*[Scene().read(frame).rgb for frame in Scene.frames[:6]])
    run(engine, source, "the woman")
    alone = calls.pop("look")
    run(engine, source, "the woman", "the person on the left", "all the people")
    assert calls["look"] == alone


def test_what_else_is_asked_does_not_change_a_person(engine: Engine):
    source = Still(*[Scene().read(frame).rgb for frame in Scene.frames[:4]])
    _, alone = run(engine, source, "the person on the left")
    _, joined = run(engine, source, "the person on the left", "all the people")
    for a, b in zip(alone, joined, strict=True):
        name = "the person on the left"
        assert a.objects[name].logits.tobytes() == b.objects[name].logits.tobytes()


def test_people_of_an_annotated_photograph(engine: Engine):
    """A crowded café of PASCAL VOC with its own instance masks. Reviewed: all 0.675, the man on the right 0.808.

    One picture is no benchmark: it only holds the engine to what it reached. Chairs and bottle are not found well.
    """
    voc = imgviz.data.voc()  # pyright: ignore[reportPrivateImportUsage]
    people = [mask > 0 for mask, label in zip(voc["masks"], voc["labels"], strict=True) if label == 15]
    right = max(people, key=lambda mask: np.flatnonzero(mask.any(0)).mean())
    size = (voc["rgb"].shape[1], voc["rgb"].shape[0])
    _, (result,) = run(engine, Still(voc["rgb"]), "all the people", "the person on the right")
    everyone = inside(result.objects["all the people"].logits, size)
    one = inside(result.objects["the person on the right"].logits, size)
    assert intersection_over_union(everyone, np.any(people, axis=0)) >= 0.65
    assert intersection_over_union(one, right) >= 0.78


def two_astronauts() -> NDArray[np.uint8]:
    """The same photograph twice, left in its colours, right in blue instead of orange."""
    photo = skimage.data.astronaut()
    return np.concatenate([photo, photo[..., ::-1]], axis=1)


def test_place_colour_and_count_tell_people_apart(engine: Engine):
    picture = two_astronauts()
    phrases = ("the person on the left", "the person on the right", "the woman in the orange suit", "both people")
    session, (result,) = run(engine, Still(picture), *phrases, "the woman", "three people", "the green person")
    share = {}
    for phrase in phrases:
        mask = inside(result.objects[phrase].logits, (1024, 512))
        share[phrase] = (mask[:, :512].mean(), mask[:, 512:].mean())
    left, right, orange, both = (share[p] for p in phrases)
    assert left[0] > 0.4 > 0.02 > left[1]
    assert right[1] > 0.4 > 0.02 > right[0]
    assert orange[0] > 0.4 > 0.02 > orange[1]
    assert both[0] > 0.4
    assert both[1] > 0.4
    states = {name: verdict.state for name, verdict in session.verdicts().items()}
    assert states["the woman"] == "ambiguous"
    assert states["three people"] == "ambiguous"
    assert states["the green person"] == "not in shot"
    assert states["the person on the left"] == states["both people"] == "found"


def test_negative_phrases_are_taken_out(engine: Engine):
    spec = (ObjectSpec(name="rest", phrase="all the people", negative_phrases=("the person on the left",)),)
    session = engine.open_shot(Still(two_astronauts()), spec)
    (result,) = session.run()
    mask = inside(result.objects["rest"].logits, (1024, 512))
    assert mask[:, :512].mean() < 0.02
    assert mask[:, 512:].mean() > 0.4


def test_a_cut_ends_a_track(engine: Engine):
    scene = Scene()
    empty = np.full((HEIGHT, WIDTH, 3), 230, np.uint8)
    shot = [scene.read(frame).rgb for frame in scene.frames[:4]] + [empty] * 3
    session, results = run(engine, Still(*shot), "the woman")
    assert [r.objects["the woman"].presence > 0.5 for r in results] == [True] * 4 + [False] * 3
    assert session.verdicts()["the woman"].frames == (1, 2, 3, 4)


def test_something_that_comes_between_surveyed_frames_is_still_found(engine: Engine):
    scene = Scene()
    empty = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    shot = [empty] * 40
    shot[15:18] = [scene.read(frame).rgb for frame in scene.frames[:3]]  # surveyed are 14 and 18
    source = Still(*shot)
    session, _ = run(engine, source, "the woman")
    verdict = session.verdicts()["the woman"]
    assert verdict.state == "found"
    assert set(verdict.frames) & {16, 17, 18}
    assert set(verdict.frames) <= {16, 17, 18}


@pytest.mark.parametrize("shape", [(1, 1), (9, 7), (40, 300), (300, 40)])
def test_tiny_and_odd_pictures_do_no_harm(engine: Engine, shape: tuple[int, int]):
    grey = np.full((*shape, 3), 128, np.uint8)
    session, results = run(engine, Still(grey, grey), "the man", "the hand", "the ball")
    assert len(results) == 2
    assert {v.state for v in session.verdicts().values()} == {"not in shot"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"points": (Point(1, 2.0, 3.0),)}, "points"),
        ({"boxes": (Box(1, 0.0, 0.0, 9.0, 9.0),)}, "boxes"),
        ({"masks": (MaskPin(1, "pin.png"),)}, "masks"),
    ],
)
def test_only_words_are_taken(engine: Engine, given: dict, named: str):
    with pytest.raises(PhraseError, match=f"words alone.*{named}"):
        engine.check([ObjectSpec(name="man", phrase="the man", **given)])


def test_negative_phrases_are_checked_too(engine: Engine):
    with pytest.raises(PhraseError, match="'tall'"):
        engine.check([ObjectSpec(name="man", phrase="the man", negative_phrases=("the tall man",))])


def test_info_says_what_made_the_matte(engine: Engine):
    info = engine.info
    assert info.name == info.label == "starter"
    assert "Sa2VA" not in info.model
    assert info.weights["u2netp.onnx"] == "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
    assert len(info.weights) == 4


@pytest.mark.parametrize("spec", [EngineSpec(model="sa2va-4b"), EngineSpec(device="cuda:0")])
def test_what_the_engine_has_not_is_refused(spec: EngineSpec):
    with pytest.raises(EngineError, match="starter engine"):
        registry.create(spec)


def test_an_altered_model_is_not_loaded(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sound = {row.weight.name: row.path for row in store.installed() if row.state == "verified"}
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path))
    store.folder().mkdir(parents=True)
    for name, path in sound.items():
        data = bytearray(path.read_bytes())
        if name == "u2netp":
            data[len(data) // 2] ^= 1
        store.path_of(name).write_bytes(data)
    with pytest.raises(ModelError, match=r"u2netp\.onnx was altered") as caught:
        registry.create(EngineSpec())
    assert "sa2va models fetch" in caught.value.hint


def test_missing_models_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SA2VA_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="not on this machine") as caught:
        registry.create(EngineSpec())
    assert "sa2va models fetch" in caught.value.hint


def test_a_second_look_is_refused_before_a_frame_is_read(engine: Engine):
    """By the check, and by whoever opens a shot without it."""
    for ask in (
        lambda: engine.check(objects("the man"), second_look=True),
        lambda: engine.open_shot(Still(two_astronauts()), objects("the man"), second_look=True),
    ):
        with pytest.raises(EngineError, match="cannot take a second look") as caught:
            ask()
        assert "sa2va" in caught.value.hint
