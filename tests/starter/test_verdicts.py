"""When the starter engine believes its detector, and on which frames it says that it saw a thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sa2va_plugin.jobspec import ObjectSpec, Shot

from sa2va_core.engines.base import Engine
from sa2va_core.engines.starter import cast
from sa2va_core.engines.starter.members import Member, Sighting, contest, family
from sa2va_core.engines.starter.networks import Detection, Networks
from sa2va_core.engines.starter.sheet import CELLS, Box, Sheet
from sa2va_core.engines.starter.track import Track, associate
from sa2va_core.engines.starter.vocabulary import COCO
from sa2va_core.engines.starter.words import parse
from sa2va_core.media.clip import open_clip

from .scene import Scene

BOX = np.array([10.0, 10.0, 50.0, 50.0])


def looks(cell: int):
    histogram = np.zeros(CELLS, np.float32)
    histogram[cell] = 1
    return histogram


def sighting(frame: int, kind: str, score: float, box=BOX, cell: int = 0) -> Sighting:
    return Sighting(frame, Detection(COCO[kind], score, box), looks(cell), 0.1, (0.5, 0.5), ())


def member(kind: str, scores: dict[int, float]) -> Member:
    return Member(looks(0), [sighting(frame, kind, score) for frame, score in scores.items()])


@pytest.mark.parametrize(
    ("scores", "state"),
    [
        ({1: 0.46, 10: 0.31, 12: 0.69}, "ambiguous"),  # what alphabet blocks got
        ({1: 0.9, 2: 0.9, 3: 0.9, 4: 0.9}, "found"),  # in the shot for a third of it, beyond doubt
        (dict.fromkeys(range(1, 11), 0.45), "found"),  # never surely, but nearly always
        ({5: 0.95}, "ambiguous"),
    ],
)
@pytest.mark.parametrize("phrase", ["the ball", "the balls"])
def test_found_needs_support_from_the_whole_shot(phrase: str, scores: dict[int, float], state: str):
    choice = cast.choose(parse(phrase), [member("ball", scores)], [], 12)
    assert choice.state == state
    assert ("may be a mistake" in choice.reason) == (state == "ambiguous")


def test_one_sure_sighting_is_enough_for_a_still():
    assert cast.choose(parse("the ball"), [member("ball", {1: 0.6})], [], 1).state == "found"


def test_another_kind_that_explains_the_thing_better_makes_it_ambiguous():
    thing = member("frisbee", {1: 0.6, 2: 0.6, 3: 0.6})
    elsewhere = BOX + 100
    others = [
        [sighting(1, "ball", 0.55)],
        [sighting(2, "ball", 0.5)],
        [sighting(3, "ball", 0.9, elsewhere)],  # another thing: this one is seen on that frame, in its own place
        [sighting(4, "ball", 0.9, elsewhere)],  # the same thing, which was not called a frisbee there
    ]
    contest([thing], others[:3])
    assert thing.rival == 0
    contest([thing], others)
    assert thing.rival == COCO["ball"]
    choice = cast.choose(parse("the frisbee"), [thing], [], 8)
    assert (choice.state, choice.members) == ("ambiguous", (0,))
    assert "surer of 'ball' than of 'frisbee'" in choice.reason


def test_what_does_not_look_like_it_or_share_its_box_is_no_rival():
    cup = member("cup", {1: 0.5, 2: 0.5, 3: 0.5})
    contest([cup], [[sighting(1, "bowl", 0.9)], [], [], [sighting(4, "bowl", 0.9)]])  # on one frame of three
    assert cup.rival == 0
    here = [sighting(f, "bowl", 0.4) for f in (1, 2, 3)]
    contest([cup], [*([s] for s in here), [sighting(4, "bowl", 0.9, cell=9)]])  # of another colour
    assert cup.rival == 0


def test_a_rider_and_what_he_rides_are_no_rivals():
    assert COCO["frisbee"] in family(frozenset({COCO["ball"]}))
    assert COCO["truck"] in family(frozenset({COCO["car"]}))
    assert not family(frozenset({COCO["person"]}))
    for a, b in (("bicycle", "person"), ("horse", "person"), ("dining table", "pizza"), ("vase", "potted plant")):
        assert COCO[a] not in family(frozenset({COCO[b]}))


def test_balls_and_what_is_none_on_real_footage(engine: Engine, shared_dir: Path):
    networks: Networks = engine._networks  # type: ignore[attr-defined]
    states = {}
    for clip, phrases in (("default_juggle", ("the ball", "the frisbee")), ("blocks", ("the ball",))):
        queries = [parse(phrase) for phrase in phrases]
        with open_clip(Shot(str(shared_dir / "footage" / f"{clip}.mp4"))) as source:
            choices = cast.survey(networks, source, queries, [q.classes for q in queries]).choices
        states.update({(clip, p): c.state for p, c in zip(phrases, choices, strict=True)})
    assert states == {
        ("default_juggle", "the ball"): "found",
        ("default_juggle", "the frisbee"): "ambiguous",
        ("blocks", "the ball"): "ambiguous",
    }


@pytest.mark.parametrize(
    ("clip", "frames", "state"),
    [
        ("blocks", (10, 25), "found"),  # in plain view, and the detector is hardly sure of any person
        ("blocks", (100, 115), "found"),
        ("default_juggle", (1, 247), "not in shot"),  # leaves and ground have the colour of skin
        ("bedroom", (100, 140), "not in shot"),  # so have sheets and walls, in part behind the children
    ],
)
def test_hands_and_what_has_their_colour_on_real_footage(
    engine: Engine, shared_dir: Path, clip: str, frames: tuple[int, int], state: str
):
    networks: Networks = engine._networks  # type: ignore[attr-defined]
    query = parse("the hands")
    with open_clip(Shot(str(shared_dir / "footage" / f"{clip}.mp4"), range=frames)) as source:
        (choice,) = cast.survey(networks, source, [query], [query.classes]).choices
    assert choice.state == state


def test_frames_of_weak_evidence_alone_are_not_counted_for_ever(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    """The detector's real boxes, their scores lowered from the sixth frame on."""
    look = Networks._look
    walked: list[int] = []

    def doubtful(self: Networks, sheet: Sheet, window: Box, kinds: frozenset[int], floor: float) -> list[Detection]:
        if len(walked) > 5:
            return [replace(d, score=0.2) for d in look(self, sheet, window, kinds, 0.05)]
        return look(self, sheet, window, kinds, floor)

    monkeypatch.setattr(Networks, "_look", doubtful)
    session = engine.open_shot(Scene(), [ObjectSpec(name="cup", phrase="the cup")])
    presence = []
    for result in session.run():
        walked.append(result.picture.frame)
        presence.append(result.objects["cup"].presence)
    assert min(presence[:6]) > 0.6
    assert presence[6:] == sorted(presence[6:], reverse=True)
    seen = session.verdicts()["cup"].frames
    assert list(seen) == list(Scene.frames[: len(seen)])
    assert 8 <= len(seen) <= 20


def test_a_lost_track_leaves_its_member_to_what_is_seen(engine: Engine):
    """A ball was followed until its track slipped onto a shoe; the ball itself is seen beside it, and looks right."""
    picture = np.full((120, 160, 3), 60, np.uint8)
    picture[20:50, 20:50] = 240
    sheet = Sheet(picture)
    box = np.array([20.0, 20.0, 50.0, 50.0])
    white = looks(int(sheet.cells[30, 30]))

    def track(box, votes: float, number: int) -> Track:
        mask = np.zeros(sheet.shape, np.float32)
        return Track(0, box, np.zeros(2), 0.5, np.array([votes]), white, white, mask, number, extent=box[2:] - box[:2])

    tracks = [track(np.array([120.0, 90.0, 150.0, 118.0]), 6.5, 0), track(box, 3.0, -1)]
    owners = []
    for _ in range(6):
        tracks = associate(tracks, [Detection(37, 0.6, box)], sheet, 0, white[None], True)
        (owner,) = [t for t in tracks if t.member == 0]
        owners.append(owner is tracks[1])
    assert not owners[0]
    assert owners[-1]
