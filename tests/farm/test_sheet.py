"""Sheets in every form, and every way in which they can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sa2va_plugin.errors import JobSpecError

from sa2va_core.farm.entries import SheetError
from sa2va_core.farm.fields import COLUMNS, SCHEMAS, read_text
from sa2va_core.farm.plan import ShotJob, plan
from sa2va_core.farm.sheet import MAX_BYTES, read_sheet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two plates: a.1001-1010.png and b.1-5.png."""
    for name, first, count in (("a", 1001, 10), ("b", 1, 5)):
        for frame in range(first, first + count):
            cv2.imwrite(str(tmp_path / f"{name}.{frame:04d}.png"), np.zeros((4, 6, 3), np.uint8))
    return tmp_path


def planned(folder: Path, text: str | bytes, name: str = "sheet.csv", **filters: list[str]) -> dict[str, ShotJob]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return {job.shot: job for job in plan(path, folder / "out", **filters)}


def problems(folder: Path, text: str | bytes, name: str = "sheet.csv") -> list[str]:
    with pytest.raises(SheetError) as caught:
        planned(folder, text, name)
    assert "nothing was run" in caught.value.message
    assert "docs/batch.md" in caught.value.hint
    return [str(problem) for problem in caught.value.problems]


TABLE = """shot,plate,range,colour space,name,phrase,negative
sh010,a.####.png,1002-1005,ACEScg,man,the man,the handbag|the tie
,,,,ball,the ball,
sh020,b.####.png,,,,the person on the left,
sh0*,,,,cups,all the cups,
"""


def test_rows_of_a_table_become_one_job_a_shot(folder: Path) -> None:
    jobs = planned(folder, TABLE)
    first, second = jobs["sh010"].spec, jobs["sh020"].spec
    assert first.shot.path == str(folder / "a.####.png")
    assert (first.shot.range, first.shot.colour_space) == ((1002, 1005), "ACEScg")
    assert [(item.name, item.phrase) for item in first.objects] == [
        ("man", "the man"),
        ("ball", "the ball"),
        ("cups", "all the cups"),
    ]
    assert first.objects[0].negative_phrases == ("the handbag", "the tie")
    assert first.outputs.folder == str(folder / "out" / "sh010")
    assert second.shot.range is None
    assert [item.name for item in second.objects] == ["person_on_the_left", "cups"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "# a remark, with a comma\n\n" + text + ",,,,,,\n",
        lambda text: text.replace("the man", '"the man"').replace("shot,", '"Shot",'),
    ],
    ids=["semicolons", "tabs", "windows line ends", "byte order mark", "remarks", "quotes"],
)
def test_what_spreadsheets_write_reads_the_same(folder: Path, change) -> None:
    changed, plain = planned(folder, change(TABLE)), planned(folder, TABLE)
    assert [(name, job.spec) for name, job in changed.items()] == [(name, job.spec) for name, job in plain.items()]


def test_yaml_and_json_say_the_same(folder: Path) -> None:
    text = """
settings:
  engine: starter
  matte.refine: no
  outputs: {compression: zips}
shots:
  - shot: 010
    plate: a.####.png
    range: 1002-1005
    objects:
      - {name: man, phrase: the man, negative: the handbag}
  - {shot: sh020, plate: b.####.png, range: 3, matte: {refine: true}}
objects:
  - {phrase: the ball, shots: ["0*"]}
  - {name: cups, phrase: all the cups}
"""
    jobs = planned(folder, text, "sheet.yaml")
    first, second = jobs["010"].spec, jobs["sh020"].spec
    assert first.shot.range == (1002, 1005)
    assert not first.matte.refine
    assert second.matte.refine
    assert {first.outputs.compression, second.outputs.compression} == {"zips"}
    assert second.shot.range == (3, 3)
    assert [item.name for item in first.objects] == ["man", "ball", "cups"]
    assert first.objects[0].negative_phrases == ("the handbag",)
    assert [item.name for item in second.objects] == ["cups"]
    data = {
        "settings": {"engine": "starter", "matte.refine": False, "outputs": {"compression": "zips"}},
        "shots": [
            {
                "shot": "010",
                "plate": "a.####.png",
                "range": [1002, 1005],
                "objects": [{"name": "man", "phrase": "the man", "negative_phrases": ["the handbag"]}],
            },
            {"shot": "sh020", "plate": "b.####.png", "range": "3", "matte": {"refine": True}},
        ],
        "objects": [{"phrase": "the ball", "shots": "0*"}, {"name": "cups", "phrase": "all the cups"}],
    }
    again = planned(folder, json.dumps(data), "sheet.json")
    assert {name: job.spec for name, job in again.items()} == {name: job.spec for name, job in jobs.items()}


def test_results_in_a_plates_own_folder_are_told(folder: Path) -> None:
    text = f"shot,plate,phrase\n{folder.name},a.####.png,the man\n"
    (folder / "sheet.csv").write_text(text)
    with pytest.raises(SheetError) as caught:
        plan(folder / "sheet.csv", folder.parent)
    (problem,) = caught.value.problems
    assert "The results would lie in the plate's own folder" in problem.text
    assert planned(folder, text)[folder.name].spec.outputs.folder == str(folder / "out" / folder.name)


def test_filters(folder: Path) -> None:
    assert set(planned(folder, TABLE, shots=["*20"])) == {"sh020"}
    jobs = planned(folder, TABLE, objects=["cups", "ball"])
    assert [[item.name for item in job.spec.objects] for job in jobs.values()] == [["ball", "cups"], ["cups"]]
    with pytest.raises(JobSpecError, match="leave nothing") as caught:
        planned(folder, TABLE, shots=["none"])
    assert "Its shots: sh010, sh020. Its objects: man, ball, cups, person_on_the_left." in caught.value.hint


def test_a_blank_shot_does_not_reach_over_a_pattern(folder: Path) -> None:
    text = "shot,plate,phrase\nsh1,a.####.png,the man\nsh*,,the cup\n,,the ball\n"
    [job] = planned(folder, text).values()
    assert [item.name for item in job.spec.objects] == ["man", "cup", "ball"]


HEAD = "shot,plate,range,name,phrase\n"
BAD_TABLES = {
    "empty": (b"", "it is empty"),
    "only headings": (HEAD, "no rows"),
    "unknown column": ("shot,phrase,colur space\ns,the man,x\n", "row 1, column 3: there is no column"),
    "no shot column": ("plate,phrase\na.####.png,the man\n", "row 1: there is no column shot"),
    "column twice": ("shot,plate,plate\ns,a,b\n", "row 1, column 3: 'plate' names a column a second time"),
    "no shot": (HEAD + ",a.####.png,,,the man\n", "row 2, column shot: no shot is named"),
    "missing file": (HEAD + "s,nothing.####.png,,,the man\n", "row 2: Nothing matches the plate's name"),
    "missing folder": (HEAD + "s,no/where/x.####.png,,,the man\n", "row 2: The folder does not exist"),
    "range": (HEAD + "s,a.####.png,ten,,the man\n", "row 2, column shot.range: must be a frame range"),
    "range backwards": (HEAD + "s,a.####.png,1005-1002,,the man\n", "ends before it starts"),
    "range outside": (HEAD + "s,a.####.png,1-2000,,the man\n", "row 2: The shot asks for 1-2000"),
    "two plates": (HEAD + "s,a.####.png,,,the man\ns,b.####.png,,,the ball\n", "row 3, column shot.path: the shot"),
    "two ranges": (HEAD + "s,a.####.png,1001,,the man\ns,,1002,,the ball\n", "has two values of shot.range"),
    "no plate": (HEAD + "s,,,,the man\n", "row 2: the shot 's' has no plate"),
    "no object": (HEAD + "s,a.####.png,,,\n", "row 2: the shot 's' has no object"),
    "empty phrase": (HEAD + "s,a.####.png,,man,\n", "row 2, column phrase: the phrase is empty"),
    "same layer": (HEAD + "s,a.####.png,,x,the man\n,,,X,the ball\n", "row 3: two objects of the shot 's' would share"),
    "unused pattern": (HEAD + "s,a.####.png,,,the man\nt*,,,,the ball\n", "row 3: no shot matches t*"),
    "shot is a path": (HEAD + "../s,a.####.png,,,the man\n", "cannot name a folder"),
    "folders alike": (HEAD + "s,a.####.png,,,the man\nS,b.####.png,,,the ball\n", "would share a folder"),
    "not understood": (HEAD + "s,a.####.png,,,the second runner who falls\n", "row 2: "),
    "cell too long": (HEAD + "s,a.####.png,,," + "x" * 20_000 + "\n", "row 2, column phrase: it has 20,000 letters"),
    "10 MB cell": (HEAD + "s,a.####.png,,," + "x" * 10_000_000 + "\n", "row 2: a cell is longer than 131,072"),
    "loose quote": (HEAD + 's,a.####.png,,,"the man\n', "row 2: unexpected end of data"),
    "no heading": (HEAD + "s,a.####.png,,,the man,more\n", "row 2, column 6: 'more' stands under no heading"),
    "latin-1": ((HEAD + "s,a.####.png,,,").encode() + b"the caf\xe9\n", "line 2: it is not UTF-8"),
    "utf-16": (TABLE.encode("utf-16"), "it is UTF-16"),
    "binary": (b"shot,plate\n\0\0\0", "line 2: it is not text"),
    "engine": ("shot,plate,phrase,engine\ns,a.####.png,the man,magic\n", "There is no engine 'magic'"),
    "second look": (HEAD[:-1] + ",matte.second_look\ns,a.####.png,,,the man,true\n", "starter cannot take a second"),
    "format": ("shot,plate,phrase,format\ns,a.####.png,the man,gif\n", "row 2, column outputs.format: "),
    "fps": ("shot,plate,phrase,fps\ns,a.####.png,the man,fast\n", "row 2, column shot.fps: must be a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TABLES)
def test_bad_tables(folder: Path, case: str) -> None:
    text, wanted = BAD_TABLES[case]
    found = problems(folder, text)
    assert any(wanted in line for line in found), found


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
SHOT = "shots:\n  - {shot: s, plate: a.####.png, objects: [{phrase: the man}]}\n"
BAD_DOCUMENTS = {
    "empty": ("", "it is empty"),
    "not a mapping": ("- a\n", "line 1: it must be a mapping"),
    "unknown part": ("shot: []\n" + SHOT, "line 1: there is no 'shot' here"),
    "no yaml": ("shots: [\n", "it is not YAML"),
    "bomb": (BOMB, "line 2: anchors and aliases are not read"),
    "deep": ("shots: " + "[" * 500 + "]" * 500, "nested more than 20 deep"),
    "code": ("shots: !!python/object/apply:os.system ['true']\n", "line 1: it must be a mapping"),
    "code in a text": ("settings: {model: !!python/name:os.system ''}\n", "it is not YAML"),
    "key twice": ("settings: {fps: 24,\n fps: 25}\n" + SHOT, "line 2: 'fps' stands here a second time"),
    "shot twice": (SHOT + "  - {shot: s, plate: a.####.png}\n", "line 3: the shot 's' stands here a second time"),
    "no name": ("shots:\n  - {plate: a.####.png}\n", "line 2: the shot has no name"),
    "shots no list": ("shots: {a: b}\n", "line 1: it must be a list"),
    "object key": ("shots:\n  - {shot: s, plate: a, objects: [{phrase: x, tint: red}]}\n", "an object has no 'tint'"),
    "empty phrase": ("shots:\n  - {shot: s, plate: a.####.png, objects: [{name: x}]}\n", "The phrase of 'x' is empty"),
    "own column in settings": ("settings: {phrase: x}\n" + SHOT, "line 1, phrase: it belongs to a shot or an object"),
    "refine": ("settings: {matte.refine: maybe}\n" + SHOT, "line 1, matte.refine: must be yes or no"),
    "handles": ("handles: -1\n" + SHOT, "line 1: handles must be"),
    "no timeline": ("timeline: cut.otio\n", "line 1: there is no timeline"),
    "long text": ("shots:\n  - {shot: s, plate: " + "x" * 20_000 + "}\n", "line 2: a text has 20,000 letters"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_bad_yaml(folder: Path, case: str) -> None:
    text, wanted = BAD_DOCUMENTS[case]
    found = problems(folder, text, "sheet.yaml")
    assert any(wanted in line for line in found), found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"shots": [}', "line 1: it is not JSON"),
        ('{"shots": [], "shots": []}', "shots: it stands here a second time"),
        ('{"shots": [{"shot": "s", "plate": "a.####.png", "objects": [{"points": 3}]}]}', "objects[0].points"),
        ('{"a":' * 300 + "1" + "}" * 300, "nested more than 20 deep"),
        ("[" * 100_000, "nested more than 20 deep"),
    ],
    ids=["broken", "key twice", "wrong type", "deep", "very deep"],
)  # fmt: skip
def test_bad_json(folder: Path, text: str, wanted: str) -> None:
    found = problems(folder, text, "sheet.json")
    assert any(wanted in line for line in found), found


def test_files_that_are_no_sheets(folder: Path) -> None:
    assert "sheets are" in problems(folder, "x", "sheet.docx")[0]
    assert "names no phrases" in problems(folder, "x", "cut.otio")[0]
    with pytest.raises(SheetError, match="cannot be read"):
        read_sheet(folder / "absent.csv")
    large = folder / "large.csv"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SheetError, match="larger than 64 MiB"):
        read_sheet(large)


def test_all_faults_are_told_at_once(folder: Path) -> None:
    rows = "".join(f"s{i},nothing{i}.####.png,,,the man\n" for i in range(30))
    path = folder / "many.csv"
    path.write_text(HEAD + rows)
    with pytest.raises(SheetError) as caught:
        plan(path, folder / "out")
    assert len(caught.value.problems) == 30
    assert "30 faults" in caught.value.message
    assert "and 10 more" in caught.value.message


def test_faults_of_rows_and_of_plates_are_told_together_in_order(folder: Path) -> None:
    text = (
        HEAD + "s1,nothing.####.png,,,the man\n"
        "s2,a.####.png,ten,,the man\n"
        "s3,a.####.png,,man,the man\n"
        ",,,ball,a wobbly quux\n"
        ",,,ball2,another quux\n"
        "s4,a.####.png,,x,\n"
        "s5,a.####.png,9-1,,the man\n"
    )
    found = problems(folder, text)
    assert [line.partition(":")[0] for line in found] == [
        "row 2",
        "row 3, column shot.range",
        "row 5",
        "row 6",
        "row 7, column phrase",
        "row 8",
    ]


def test_every_field_of_a_job_is_a_column() -> None:
    assert {"shot.missing", "engine.vram_gib", "matte.refine", "outputs.crop"} < set(SCHEMAS)
    assert "outputs.folder" not in SCHEMAS
    assert read_text("shot.frames", "1-3, 7") == [1, 2, 3, 7]
    assert read_text("engine.vram_gib", "8") == 8.0
    assert read_text("outputs.crop", "Yes") is True
    assert len(set(COLUMNS)) == len(COLUMNS)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=300) | st.text(alphabet=",;\n\"' {}[]:&*-#shotplate1", max_size=200).map(str.encode))
@pytest.mark.parametrize("name", ["fuzz.csv", "fuzz.yaml", "fuzz.json"])
def test_no_bytes_bring_a_traceback(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    try:
        plan(tmp_path / name, tmp_path / "out")
    except SheetError:
        return
