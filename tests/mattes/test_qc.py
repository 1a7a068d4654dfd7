"""The QC report on rendered shots whose truth is known, with faults planted in them."""

from __future__ import annotations

import base64
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.errors import OutputError
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.engines.base import Verdict
from sa2va_core.mattes.qc import plot, result
from sa2va_core.mattes.qc.compare import Agreement, Link, Shape
from sa2va_core.mattes.qc.record import load, measure, save
from sa2va_core.mattes.qc.score import Judge, Track
from sa2va_core.media.frames import Picture

from .scene import BLOBS, FIRST, HEIGHT, WIDTH, Blob, Mattes, disc, qc, render, shifted

COUNT = 32
Shot = tuple[list[NDArray[np.uint8]], list[Mattes]]


@pytest.fixture(scope="module")
def shot() -> Shot:
    return render(COUNT)


def copied(mattes: list[Mattes]) -> list[Mattes]:
    return [dict(frame) for frame in mattes]


def worst(data: dict, count: int = 1) -> list[tuple[int, str]]:
    return [(item["frame"], item["object"]) for item in data["worst"][:count]]


def test_true_mattes_are_good_on_every_frame(shot: Shot, tmp_path: Path) -> None:
    data = qc(tmp_path, *shot)
    for item in data["objects"]:
        assert item["score"] > 0.8
        assert item["mean_score"] > 0.95
        assert len(item["measures"]["score"]) == COUNT
        assert item["measures"]["area"][0] == pytest.approx(shot[1][0][item["name"]].mean(), abs=1e-5)
        assert min(iou for iou in item["measures"]["flow_iou"] if iou is not None) > 0.9
        assert max(d for d in item["measures"]["boundary_displacement"] if d is not None) < 1.5
    assert "No frame falls below 0.8." in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("kind", ["nothing", "half", "double", "hole", "elsewhere"])
def test_a_planted_glitch_of_one_frame_is_ranked_first(shot: Shot, tmp_path: Path, kind: str) -> None:
    mattes, t = copied(shot[1]), 17
    matte = mattes[t]["man"]
    x, y = BLOBS["man"].path(t / (COUNT - 1))
    mattes[t]["man"] = {
        "nothing": np.zeros_like(matte),
        "half": matte * (np.arange(WIDTH) < x),
        "double": np.maximum(matte, disc(x + 60, y + 50, 30)),
        "hole": matte * (1 - disc(x, y, 16)),
        "elsewhere": disc(60, 230, 30),
    }[kind].astype(np.float32)
    data = qc(tmp_path, shot[0], mattes)
    assert worst(data) == [(FIRST + t, "man")]
    first = data["worst"][0]
    assert first["score"] < 0.5
    assert first["reasons"]
    (man,) = (item for item in data["objects"] if item["name"] == "man")
    assert (man["worst_frame"], man["score"]) == (FIRST + t, first["score"])
    assert man["measures"]["score"][t + 1] > 0.8, "the frame after only returns"
    assert data["objects"][1]["score"] > 0.8, "the other object has no part in it"


def test_a_matte_at_the_border_that_is_missing_for_one_frame_is_ranked_first(tmp_path: Path) -> None:
    pictures, mattes = render(16, {"hand": Blob(lambda t: (20 + 30 * t, 140), 42, 20)})
    mattes[8]["hand"] = np.zeros_like(mattes[8]["hand"])
    data = qc(tmp_path, pictures, mattes, objects=[ObjectSpec("hand", "the hand")])
    assert worst(data) == [(FIRST + 8, "hand")]
    assert data["worst"][0]["reasons"] == ["missing for 1 frame, although the picture shows it"]


def test_motion_blur_that_comes_and_goes_with_speed_is_no_fault() -> None:
    """A disc at 30 px a frame turns back; an edge that narrows as much without that is a fault."""
    turning = [300 * math.sin(0.1 * t) for t in range(32)]
    steady = [25.0 * t for t in range(32)]
    band = [2.0 + 0.4 * 30 * abs(math.cos(0.1 * t)) for t in range(32)]
    found = []
    for way in (turning, steady):
        shapes = [Shape(5000.0, 250.0, False, (x, 100.0)) for x in way]
        none = [None] * len(way)
        judge = Judge(Track(shapes, [0.02] * 32, [1.0] * 32, [1.0] * 32, band, none, none), ["ball"], 1.0)
        found.append(min(judgement.score or 0.0 for judgement in judge.judge({})))
    assert found[0] > 0.9
    assert found[1] < 0.7


def link(iou: float = 0.99, displacement: float = 0.1, unexplained: float = 4.0) -> Link:
    return Link(Agreement(iou, displacement, 0.0), None, 0.0, unexplained)


NOT_COMPARABLE = Link(None, None, 0.0, 20.0)


def points(links: dict[int, Link], around: Link | None, gone: int | None = None) -> list[float]:
    """Of 12 frames of a thing that else moves as the picture does; it is nowhere on the frame ``gone``."""
    there, nowhere = Shape(5000.0, 250.0, False, (200.0, 100.0)), Shape(0.0, 0.0, False, (math.nan, math.nan))
    shapes = [nowhere if t == gone else there for t in range(12)]
    each = [None, *(links.get(t, link()) for t in range(1, 12))]
    judge = Judge(Track(shapes, [0.02] * 12, [1.0] * 12, [1.0] * 12, [2.0] * 12, each, [None] * 12), ["ball"], 1.0)
    return [round(judgement.points, 2) for judgement in judge.judge(dict.fromkeys(judge.suspects, around))]


def blamed(points: list[float]) -> list[int]:
    return [t for t, its in enumerate(points) if its >= 0.1]


def test_a_small_fault_of_one_frame_is_not_put_on_the_frame_after() -> None:
    """The way back differs by a hair more than the way there."""
    links = {5: link(iou=0.90), 6: link(iou=0.89)}
    assert blamed(points(links, around=link())) == [5]
    assert blamed(points(links, around=link(iou=0.88))) == [5, 6], "the frames beside it differ as much: a drift"
    assert blamed(points(links, around=NOT_COMPARABLE)) == [5, 6], "nobody knows, and the fault is not plain"


def test_a_frame_that_can_only_be_compared_with_the_next_is_blamed_when_the_two_beside_it_agree() -> None:
    links = {5: NOT_COMPARABLE, 6: link(iou=0.6, displacement=5.0)}
    assert blamed(points(links, around=link())) == [5]
    assert blamed(points(links, around=NOT_COMPARABLE)) == [6], "one of three pairs says nothing about which it is"
    assert blamed(points(links, around=link(iou=0.6, displacement=5.0))) == [6], "it stays so: the fault begins there"


def test_a_matte_is_missing_too_where_the_picture_under_it_is_never_steady() -> None:
    """Gravel, a fast thing: the moved picture differs by 16 levels as a rule, and no more where the matte is empty."""
    restless = {t: link(unexplained=16.0) for t in range(1, 12)}
    missing = restless | {t: Link(None, None, 0.0, 20.0) for t in (5, 6)}
    assert blamed(points(missing, around=link(), gone=5)) == [5]
    covered = restless | {t: Link(None, None, 0.0, 40.0) for t in (5, 6)}
    assert blamed(points(covered, around=link(), gone=5)) == [], "something else is in view there"


def test_two_objects_that_exchange_places_are_ranked_first_and_named(shot: Shot, tmp_path: Path) -> None:
    mattes, t = copied(shot[1]), 13
    for frame in mattes[t:]:
        frame["man"], frame["boy"] = frame["boy"], frame["man"]
    data = qc(tmp_path, shot[0], mattes)
    assert set(worst(data, 2)) == {(FIRST + t, "man"), (FIRST + t, "boy")}
    for item in data["worst"][:2]:
        other = "boy" if item["object"] == "man" else "man"
        assert f"another thing was picked up: overlap with {other!r}" in item["reasons"][0]
    assert all(item["score"] > 0.8 for item in data["worst"][2:])


def test_one_object_that_jumps_to_another_is_ranked_first_and_named(shot: Shot, tmp_path: Path) -> None:
    mattes, t = copied(shot[1]), 20
    for frame in mattes[t:]:
        frame["man"] = frame["boy"]
    data = qc(tmp_path, shot[0], mattes)
    assert worst(data) == [(FIRST + t, "man")]
    assert "overlap with 'boy'" in data["worst"][0]["reasons"][0]
    after = [item for item in data["worst"][1:] if item["score"] < 0.8]
    assert {(item["frame"] >= FIRST + t, item["score"] >= 0.4) for item in after} == {(True, True)}


def test_two_names_for_one_thing_are_told(shot: Shot, tmp_path: Path) -> None:
    mattes = [{"man": frame["man"], "boy": frame["man"] * np.float32(0.98)} for frame in shot[1]]
    data = qc(tmp_path, shot[0], mattes)
    assert len(data["worst"]) == 2 * COUNT
    assert {"; ".join(item["reasons"]) for item in data["worst"] if item["object"] == "boy"} == {
        "the same matte as 'man': overlap 98 %"
    }
    text = (tmp_path / "report.html").read_text("utf-8")
    assert text.count(f"also on {FIRST}&ndash;{FIRST + COUNT - 1}") == 2, "one card an object, not one a frame"


def test_one_of_several_is_no_twin_of_all_of_them(tmp_path: Path) -> None:
    boy = Blob(lambda t: (370 + 300 * t, 140), 45, 160)
    pictures, mattes = render(COUNT, {"man": Blob(lambda t: (200, 140), 60, 20), "boy": boy})
    both = [{"man": frame["man"], "people": np.maximum(frame["man"], frame["boy"])} for frame in mattes]
    assert mattes[-1]["boy"].max() == 0, "the man is all the people there are"
    data = qc(tmp_path, pictures, both)
    assert [item["score"] > 0.8 for item in data["objects"]] == [True, True]


@pytest.mark.parametrize("kind", ["size", "place", "outline"])
def test_a_planted_jitter_is_ranked_first(shot: Shot, tmp_path: Path, kind: str) -> None:
    mattes, span = copied(shot[1]), range(10, 20)
    sign = 1
    for i in span:
        t, sign = i / (COUNT - 1), -sign
        x, y = BLOBS["man"].path(t)
        mattes[i]["man"] = {
            "size": disc(x, y, BLOBS["man"].radius + 2.0 * sign, 2 * t),
            "place": shifted(mattes[i]["man"], 2.0 * sign, -2.0 * sign),
            "outline": disc(x, y, BLOBS["man"].radius, 2 * t + 0.6 * sign),
        }[kind]
    data = qc(tmp_path, shot[0], mattes)
    inside = {FIRST + i for i in range(span.start, span.stop + 1)}  # the frame after the last one moves back
    bad = [item for item in data["worst"] if item["score"] < 0.8]
    assert len(bad) >= 3
    assert {(item["object"], item["frame"] in inside) for item in bad} == {("man", True)}
    assert bad[0] == data["worst"][0]
    assert re.search(r"edge moves \d+\.\d px against the picture", "; ".join(bad[0]["reasons"]))


def test_jitter_all_the_time_is_not_taken_for_the_normal_state(shot: Shot, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    mattes = [{**frame, "man": shifted(frame["man"], *random.normal(0, 2.5, 2))} for frame in shot[1]]
    man, boy = qc(tmp_path, shot[0], mattes)["objects"]
    assert man["mean_score"] < 0.85
    assert boy["mean_score"] > 0.95


def test_a_sagging_presence_and_a_blurred_edge_are_told(shot: Shot, tmp_path: Path) -> None:
    mattes = copied(shot[1])
    mattes[9]["boy"] = np.asarray(cv2.GaussianBlur(mattes[9]["boy"], (0, 0), 6), np.float32)
    data = qc(tmp_path, shot[0], mattes, presence=lambda i, name: 0.3 if (i, name) == (25, "man") else 0.95)
    told = {(item["frame"], item["object"]): "; ".join(item["reasons"]) for item in data["worst"]}
    assert "the engine was less sure: 0.30, 0.95 as a rule" in told[FIRST + 25, "man"]
    assert re.search(r"edge band \d+\.\d px wide", told[FIRST + 9, "boy"])


def walk(tmp_path: Path, blobs: dict[str, Blob], count: int = COUNT) -> tuple[dict, list[Mattes]]:
    pictures, mattes = render(count, blobs)
    return qc(tmp_path, pictures, mattes), mattes


def test_who_walks_through_the_frame_is_no_glitch(tmp_path: Path) -> None:
    data, mattes = walk(tmp_path, {"man": Blob(lambda t: (-80 + 640 * t, 140), 42, 20)})
    (man,) = data["objects"]
    assert mattes[0]["man"].max() == mattes[-1]["man"].max() == 0
    assert man["measures"]["score"][0] is None, "nothing to judge where it is not"
    assert man["score"] > 0.8


def test_who_passes_behind_something_is_no_glitch(tmp_path: Path) -> None:
    wall = Blob(lambda t: (240, 140), 80, 110)
    data, mattes = walk(tmp_path, {"man": Blob(lambda t: (110 + 260 * t, 140), 32, 20), "wall": wall})
    assert min(frame["man"].max() for frame in mattes) < 0.01, "wholly hidden in between"
    assert [item["score"] > 0.8 for item in data["objects"]] == [True, True]


def test_a_fast_ball_is_no_glitch_and_its_loss_is(tmp_path: Path) -> None:
    ball = Blob(lambda t: (60 + 360 * abs((t * 5) % 2 - 1), 140 - 80 * math.sin(t * 9)), 9, 20)
    pictures, mattes = render(COUNT, {"ball": ball})
    assert qc(tmp_path / "true", pictures, mattes)["objects"][0]["score"] > 0.8
    mattes[14]["ball"] = disc(240, 30, 9)
    assert worst(qc(tmp_path / "lost", pictures, mattes)) == [(FIRST + 14, "ball")]


def test_a_late_start_and_an_early_end_are_told(shot: Shot, tmp_path: Path) -> None:
    mattes = copied(shot[1])
    for frame in [*mattes[:8], *mattes[24:]]:
        frame["man"] = np.zeros_like(frame["man"])
    data = qc(tmp_path, shot[0], mattes)
    told = {item["frame"]: item["reasons"] for item in data["worst"] if item["score"] < 0.8}
    assert told == {
        FIRST + 8: ["begins here, although the frame before shows the same thing"],
        FIRST + 24: ["vanishes, although the picture still shows what was there"],
    }


def test_a_cut_is_no_glitch(shot: Shot, tmp_path: Path) -> None:
    other = render(COUNT, {"man": Blob(lambda t: (300, 90), 50, 60), "boy": Blob(lambda t: (120, 180), 30, 160)})
    pictures = [*shot[0][:16], *(255 - picture for picture in other[0][16:])]
    data = qc(tmp_path, pictures, [*shot[1][:16], *other[1][16:]])
    assert [item["score"] > 0.8 for item in data["objects"]] == [True, True]


def test_one_frame(shot: Shot, tmp_path: Path) -> None:
    data = qc(tmp_path, shot[0][:1], shot[1][:1])
    assert [(item["score"], item["measures"]["flow_iou"]) for item in data["objects"]] == [(1.0, [None])] * 2
    assert (tmp_path / "report.html").is_file()


@pytest.mark.parametrize("size", [(1, 1), (11, 200), (200, 11)])
def test_a_plate_too_small_for_optical_flow_has_a_report(tmp_path: Path, size: tuple[int, int]) -> None:
    mattes = [{"man": np.ones(size, np.float32)} for _ in range(3)]
    data = qc(tmp_path, [np.full((*size, 3), 90, np.uint8)] * 3, mattes)
    assert [item["score"] for item in data["objects"]] == [1.0 if max(size) > 1 else None]


def test_an_object_that_is_never_there_has_no_score(shot: Shot, tmp_path: Path) -> None:
    nothing = np.zeros((HEIGHT, WIDTH), np.float32)
    mattes = [{**frame, "ghost": nothing} for frame in shot[1][:6]]
    verdicts = {
        "man": Verdict("found", "x"),
        "boy": Verdict("found", "x"),
        "ghost": Verdict("not in shot", "No ghost."),
    }
    data = qc(tmp_path, shot[0][:6], mattes, presence=lambda i, n: 0.0 if n == "ghost" else 1.0, verdicts=verdicts)
    ghost = data["objects"][2]
    assert (ghost["score"], ghost["worst_frame"], ghost["verdict"]) == (None, None, "not in shot")
    assert result.below(data, 1.01) == result.below(data, 2.0)
    assert "ghost" not in {item.name for item in result.below(data, 2.0)}
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "nothing to judge" in page
    assert "No ghost." in page
    assert page.count('class="doubt"') == 1
    assert "No frame falls below" in page


def test_a_shot_where_nothing_was_found_is_not_called_good(shot: Shot, tmp_path: Path) -> None:
    mattes = [{"ghost": np.zeros((HEIGHT, WIDTH), np.float32)} for _ in range(6)]
    verdicts = {"ghost": Verdict("not in shot", "No ghost.")}
    qc(tmp_path, shot[0][:6], mattes, presence=lambda i, n: 0.0, verdicts=verdicts)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "There is no matte to judge." in page
    assert "No frame falls below" not in page


class Page(HTMLParser):
    """What is in the page: tags with attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_one_file_without_script_or_network_and_names_cannot_break_it(shot: Shot, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> & 犬"
    mattes = [{evil: frame["man"], "{{ 7 * 7 }}": frame["boy"]} for frame in shot[1]]
    mattes[9][evil] = np.zeros((HEIGHT, WIDTH), np.float32)
    objects = [ObjectSpec(evil, evil), ObjectSpec("{{ 7 * 7 }}", "</style></title>")]
    verdicts = {item.name: Verdict("found", "<b>because</b>") for item in objects}
    qc(tmp_path, shot[0], mattes, objects=objects, verdicts=verdicts)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    names = {tag for tag, _ in page.tags}
    assert "script" not in names
    assert evil in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "<b>because</b>" in page.text
    attributes = [(name, value or "") for _, attrs in page.tags for name, value in attrs.items()]
    assert not [name for name, _ in attributes if name.startswith("on")]
    sources = [value for name, value in attributes if name in ("src", "href")]
    assert sources
    assert all(value.startswith(("data:image/jpeg;base64,", "#")) for value in sources)
    anchors = {value for name, value in attributes if name == "id"}
    assert {value[1:] for value in sources if value.startswith("#")} <= anchors, "every link leads somewhere"


def test_worst_frames_come_first_and_lead_to_their_picture(shot: Shot, tmp_path: Path) -> None:
    mattes = copied(shot[1])
    mattes[9]["boy"] = mattes[9]["boy"] * (1 - disc(*BLOBS["boy"].path(9 / (COUNT - 1)), 12))
    mattes[21]["man"] = np.asarray(disc(60, 230, 30), np.float32)
    data = qc(tmp_path, shot[0], mattes)
    text = (tmp_path / "report.html").read_text("utf-8")
    shown = [int(frame) for frame in re.findall(r'<header><a href="#f(\d+)">', text)]
    assert shown == [item["frame"] for item in data["worst"] if item["score"] < 0.8] == [FIRST + 21, FIRST + 9]
    strip = [int(frame) for frame in re.findall(r'<figure id="f(\d+)">', text)]
    assert strip == sorted(strip), "a filmstrip runs as the shot does"
    assert set(shown) <= set(strip)
    bare = re.findall(r'alt="its matte" src="data:image/jpeg;base64,([^"]+)"', text)
    files = [np.frombuffer(base64.b64decode(text), np.uint8) for text in bare]
    images = [np.asarray(cv2.imdecode(file, cv2.IMREAD_UNCHANGED)) for file in files]
    assert len(images) == 6
    assert all(image.ndim == 2 for image in images), "grey"
    before, wrong, after = (float(image.mean()) for image in images[3:])
    assert wrong < 0.9 * min(before, after), "the hole in the boy is in his matte of that frame alone"


def test_the_page_of_a_long_shot_with_ten_objects_and_many_faults_stays_small_and_tells_of_all(tmp_path: Path) -> None:
    blobs = {f"object {i}": Blob(lambda t, i=i: (40 + 44 * i, 60 + 15 * i + 20 * t), 14, 17 * i) for i in range(10)}
    pictures, mattes = render(30, blobs)
    mattes = copied(mattes * 5)
    for t in range(3, 150, 6):
        for name in list(blobs)[:5]:
            mattes[t][name] = shifted(mattes[t][name], 9, -9)
    data = qc(tmp_path, pictures * 5, mattes)
    assert len(data["worst"]) == 100
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    text = (tmp_path / "report.html").read_text("utf-8")
    below = sum(s is not None and s < 0.8 for item in data["objects"] for s in item["measures"]["score"])
    assert below == 125
    cards = set(re.findall(r"#f(\d+)\"><b>.*?</span>\n<span>.*?</span>(.+?)</span>", text))
    assert len(cards) == 12
    listed = re.findall(r"<tr><td><b>(\d+)</b></td><td>(.+?)</td>", text)
    wanted = {(str(item["frame"]), item["object"]) for item in data["worst"]}
    assert cards | set(listed) == wanted
    assert f"<summary>{below - 12} more below 0.8</summary>" in text
    assert f"and {below - 100} more: qc.json has the score of every frame" in text


def test_plots_keep_every_spike_and_a_bounded_size() -> None:
    values: list[float | None] = [0.0] * 100_000
    values[54_321] = 9.0
    values[:1000] = [None] * 1000
    svg = plot.line(values, list(range(100_000)), "#fff", [54_321])
    assert len(svg) < 20_000
    assert re.search(r"L\d+\.\d 4\.0", svg), "the spike reaches the upper edge"
    scores: list[float | None] = [1.0] * 100_000
    scores[7] = 0.1
    strip = plot.ribbon(scores)
    assert plot.WORK in strip
    assert len(strip) < 1000


def test_ticks_are_frames_with_the_first_and_the_last_among_them() -> None:
    assert plot.ticks(range(1001, 3001), 5) == [
        (0.025, 1001),
        (25.025, 1501),
        (50.025, 2001),
        (74.975, 2500),
        (99.975, 3000),
    ]
    assert plot.ticks([7, 9], 5) == [(25.0, 7), (75.0, 9)]
    assert plot.ticks([7], 5) == [(50.0, 7)]


def test_the_same_frames_give_the_same_bytes(shot: Shot, tmp_path: Path) -> None:
    for name in ("one", "two"):
        qc(tmp_path / name, shot[0][:8], shot[1][:8])
    for name in (result.NAME, result.REPORT):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_qc_json_is_strict_json(shot: Shot, tmp_path: Path) -> None:
    qc(tmp_path, shot[0][:4], shot[1][:4])

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads((tmp_path / result.NAME).read_text("utf-8"), parse_constant=refuse)


def test_a_record_comes_back(tmp_path: Path, shot: Shot) -> None:
    scores = [{"presence": 0.9, "coverage": 0.1, "peak": 1.0}, {"presence": None, "coverage": 0.2, "peak": 0.7}]
    record = measure(Picture(7, shot[0][0]), list(shot[1][0].values()), scores)
    save(record, tmp_path / "a.record")
    again = load(tmp_path / "a.record")
    assert np.array_equal(again.mattes, record.mattes)
    assert (again.frame, again.area, again.soft, again.presence) == (7, record.area, record.soft, [0.9, 0.0])
    assert again.peak == [1.0, 0.7]
    assert abs(again.picture.astype(int) - record.picture).mean() < 5


@pytest.mark.parametrize("damage", ["gone", "torn", "empty"])
def test_a_damaged_record_is_named(tmp_path: Path, shot: Shot, damage: str) -> None:
    path = tmp_path / "a.record"
    save(measure(Picture(7, shot[0][0]), [shot[1][0]["man"]], [{"presence": 1, "coverage": 1, "peak": 1}]), path)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 300 if damage == "torn" else 0])
    with pytest.raises(OutputError, match=r"a\.record"):
        load(path)


def test_what_falls_below_a_bar(shot: Shot, tmp_path: Path) -> None:
    mattes = copied(shot[1])
    mattes[9]["boy"] = np.zeros_like(mattes[9]["boy"])
    data = qc(tmp_path, shot[0], mattes)
    (found,) = result.below(data, 0.7)
    assert (found.name, found.frame) == ("boy", FIRST + 9)
    assert "missing for 1 frame" in found.reason
    assert result.below(data, 0.0) == []
