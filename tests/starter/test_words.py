from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sa2va_plugin.errors import PhraseError

from sa2va_core.engines.starter import vocabulary
from sa2va_core.engines.starter.words import ColourTest, Query, parse

ROWS = [
    # phrase, noun, classes, count, place, rank, colours
    ("the man", "man", {1}, 1, None, 0, []),
    ("man", "man", {1}, 1, None, 0, []),
    ("The Man!", "man", {1}, 1, None, 0, []),
    ("a person", "person", {1}, 1, None, 0, []),
    ("the ball", "ball", {34, 37}, 1, None, 0, []),
    ("the frisbee", "frisbee", {34}, 1, None, 0, []),
    ("the football", "ball", {34, 37}, 1, None, 0, []),
    ("the football player", "football player", {1}, 1, None, 0, []),
    ("the hand", "hand", set(), 1, None, 0, []),
    ("both hands", "hand", set(), 2, None, 0, []),
    ("the left hand", "hand", set(), 1, "left", 0, []),
    ("the girl on the right", "girl", {1}, 1, "right", 0, []),
    ("the man on the left-hand side of the picture", "man", {1}, 1, "left", 0, []),
    ("the leftmost dog", "dog", {18}, 1, "left", 0, []),
    ("the bird at the top", "bird", {16}, 1, "top", 0, []),
    ("the bottom sandwich", "sandwich", {54}, 1, "bottom", 0, []),
    ("the man in the middle", "man", {1}, 1, "middle", 0, []),
    ("the nearest bus", "bus", {6}, 1, "largest", 0, []),
    ("the smallest sheep", "sheep", {20}, 1, "smallest", 0, []),
    ("the second man from the left", "man", {1}, 1, "left", 1, []),
    ("the 3rd car from the right", "car", {3}, 1, "right", 2, []),
    ("all the people", "person", {1}, None, None, 0, []),
    ("everyone", "person", {1}, None, None, 0, []),
    ("every car", "car", {3}, None, None, 0, []),
    ("the elephants", "elephant", {22}, None, None, 0, []),
    ("the people on the left", "person", {1}, None, "left", 0, []),
    ("three dogs", "dog", {18}, 3, None, 0, []),
    ("the two children", "child", {1}, 2, None, 0, []),
    ("wine glasses", "wine glass", {46}, None, None, 0, []),
    ("a cup of coffee", "cup", {47}, 1, None, 0, []),
    ("the orange", "orange", {55}, 1, None, 0, []),
    ("the orange car", "car", {3}, 1, None, 0, [("orange", "all")]),
    ("the black and white cat", "cat", {17}, 1, None, 0, [("black", "all"), ("white", "all")]),
    ("the blue bus", "bus", {6}, 1, None, 0, [("blue", "all")]),
    ("the man in black", "man", {1}, 1, None, 0, [("black", "all")]),
    ("the man in the red shirt", "man", {1}, 1, None, 0, [("red", "upper")]),
    ("the woman wearing a green jacket", "woman", {1}, 1, None, 0, [("green", "upper")]),
    ("the man in the red shirt and blue trousers", "man", {1}, 1, None, 0, [("red", "upper"), ("blue", "lower")]),
    ("the boy in the black and white T-shirt", "boy", {1}, 1, None, 0, [("black", "upper"), ("white", "upper")]),
    ("the girl who is dressed in grey on the left", "girl", {1}, 1, "left", 0, [("grey", "all")]),
    ("the stop sign", "stop sign", {13}, 1, None, 0, []),
    ("the computer mouse", "computer mouse", {74}, 1, None, 0, []),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_understood(row):
    phrase, noun, classes, count, place, rank, colours = row
    query = parse(phrase)
    got = (query.noun, set(query.classes), query.count, query.place, query.rank, list(query.colours))
    assert got == (noun, classes, count, place, rank, [ColourTest(*c) for c in colours])


@pytest.mark.parametrize(
    ("phrase", "word"),
    [
        ("the second runner who falls", "falls"),
        ("the man holding the ball", "holding"),
        ("the man with the ball", "ball"),
        ("the man and the ball", "and"),
        ("the man behind the car", "behind"),
        ("the man in the hat", "hat"),
        ("the man in the coat", "coat"),
        ("the red man's hat", "hat"),
        ("the tall man", "tall"),
        ("the grey-haired man", "grey-haired"),
        ("the man wearing", "wearing"),
        ("the car wearing red", "wearing"),
        ("not the man", "not"),
        ("the wooden blocks", "blocks"),
        ("the second man", "side"),
        ("the left man on the right", "places"),
        ("the black and cat", "and"),
        ("the white hand", "skin"),
        ("", "no thing"),
        ("the", "no thing"),
        ("the red", "no thing"),
        ("l'homme à gauche", "gauche"),
        ("男の人", "男の人"),
        ("the man <left>", "signs"),
        ("the only man", "only"),
        ("the man on top of the bed", "bed"),
    ],
)
def test_refused_with_the_known_words(phrase: str, word: str):
    with pytest.raises(PhraseError) as caught:
        parse(phrase)
    assert word in caught.value.message
    assert caught.value.hint.startswith("I know these words: person, bicycle, car")


@pytest.mark.parametrize(
    ("phrase", "meant"), [("the hnad", "hand"), ("the elefant", "elephant"), ("the man in the yelow shirt", "yellow")]
)
def test_a_misspelt_word_is_answered_with_the_closest(phrase: str, meant: str):
    with pytest.raises(PhraseError, match=f"did you mean '{meant}'\\?"):
        parse(phrase)


def test_a_long_word_leaves_room_for_the_reason():
    with pytest.raises(PhraseError) as caught:
        parse("a" * 10_000)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("noun", ["man", "woman", "girl", "boy", "child", "runner"])
def test_what_is_not_told_apart_is_said(noun: str):
    assert f"'{noun}' is read as person." in parse(f"the {noun}").notes


def test_depth_is_judged_by_size_and_says_so():
    assert parse("the nearest car").notes == ("'nearest' is judged by size in the picture.",)


def test_plain_words_need_no_note():
    assert parse("the person").notes == parse("the ball").notes == ()


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str):
    with suppress(PhraseError):
        assert isinstance(parse(text), Query)


@given(st.sampled_from(sorted(vocabulary.COCO)), st.text("bcdfghjklmnpqrtvwxyz", min_size=6, max_size=12))
def test_an_unknown_word_is_never_passed_over(noun: str, word: str):
    for phrase in (f"the {word} {noun}", f"the {noun} that {word}"):
        with pytest.raises(PhraseError):
            parse(phrase)


@pytest.mark.parametrize("noun", sorted(vocabulary.COCO))
def test_every_kind_is_known_alone_and_in_the_plural(noun: str):
    assert vocabulary.COCO[noun] in parse(f"the {noun}").classes
    assert parse(f"all the {noun}").count is None
