"""Phrases to queries, by rules: a noun that the networks know, and words that tell one such thing from another.

Every word of a phrase must be understood. A word that narrows the meaning is never passed over: "the runner who
falls" is refused rather than read as "the runner".
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from sa2va_plugin.errors import PhraseError

from . import vocabulary as v
from .vocabulary import Part, Place

PERSON = frozenset({v.COCO["person"]})


@dataclass(frozen=True)
class ColourTest:
    """``colour`` must show on ``part`` of the thing."""

    colour: str
    part: Part


@dataclass(frozen=True)
class Query:
    """What a phrase asks for.

    ``classes``: detector categories, or empty for bare skin ("hand"). ``count``: how many, None meaning all of them.
    ``rank``: from the side that ``place`` names, 0 is the outermost. ``notes``: how words were read more loosely than
    they were meant, as sentences.
    """

    noun: str
    classes: frozenset[int]
    count: int | None = 1
    place: Place | None = None
    rank: int = 0
    colours: tuple[ColourTest, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["person", "thing", "skin"]:
        if not self.classes:
            return "skin"
        return "person" if self.classes == PERSON else "thing"


@dataclass(frozen=True)
class _Noun:
    name: str
    classes: frozenset[int]
    notes: tuple[str, ...] = ()


def _classes(name: str) -> frozenset[int]:
    return frozenset(v.COCO[n] for n in (name, *v.CONFUSED_WITH.get(name, ())))


def _nouns() -> dict[str, _Noun]:
    table = {name: _Noun(name, _classes(name)) for name in v.COCO}
    for name, words in v.SAME.items():
        table.update({word.replace("_", " "): _Noun(name, _classes(name)) for word in words.split()})
    for name, words in v.NARROWER.items():
        for word in words.split():
            word = word.replace("_", " ")
            table[word] = _Noun(word, _classes(name), (f"'{word}' is read as {name}.",))
    table["mouse"] = _Noun("mouse", _classes("computer mouse"), ("'mouse' is read as computer mouse.",))
    table["hand"] = _Noun(
        "hand",
        frozenset(),
        ("'hand' is read as bare skin, by its colour, in a close-up: a face would be taken too.",),
    )
    return table


NOUNS = _nouns()
_SPELLINGS = sorted(
    {word for noun in NOUNS for word in noun.split()}.union(v.FILLERS, v.ALL_WORDS, v.COLOURS, v.PLACES, v.GARMENTS)
)
_LONGEST = max(len(noun.split()) for noun in NOUNS)


def known_words() -> str:
    """The words that phrases can be made of, as one line for a user."""
    nouns = ", ".join([*v.COCO, "hand"])
    colours = ", ".join(sorted(set(v.COLOURS)))
    return (
        f"I know these words: {nouns}; for people also man, woman, girl, boy, child and the like (not told apart); "
        f"colours ({colours}), also with clothes (in the red shirt, in blue trousers); left, right, top, bottom, "
        "middle, nearest, farthest, largest, smallest; second from the left; all, both, two ... six."
    )


def parse(phrase: str) -> Query:
    """Read one phrase. Raises PhraseError, its hint listing the known words, when any word is not understood."""
    return _Reader(phrase).read()


class _Reader:
    def __init__(self, phrase: str) -> None:
        self.phrase = phrase
        text = phrase.lower().replace("\u2019", "'").replace("t-shirt", "tshirt")
        text = re.sub(r"\b(left|right)[- ]hand side\b", r"\1", text)
        text = re.sub(r"\b(of|in|on) the (picture|frame|image|shot|screen|scene|plate|video|clip|photo)\b", "", text)
        text = re.sub(r"\b(left|right|top|bottom|upper|lower) side\b", r"\1", text)
        self.words = re.findall(r"[\w'-]+", text)
        if re.search(r"[^\w\s'\u2019.,;:!?-]", phrase):
            raise self.refuse("it holds signs that are not words")

    def refuse(self, why: str) -> PhraseError:
        stop = "" if why.endswith("?") else "."
        return PhraseError(f"The phrase {_brief(self.phrase)!r} is not understood: {why}{stop}", known_words())

    def read(self) -> Query:
        noun, plural, before, after = self._split()
        colours: list[ColourTest] = []
        places: list[tuple[str, Place]] = []
        rank: int | None = None
        count: int | None = None if plural else 1
        pending: list[str] = []  # colours after the noun, waiting for their garment
        every = False
        for index, word in enumerate(before + after):
            later = index >= len(before)
            if pending and word in v.GARMENTS and noun.classes == PERSON:
                colours += [ColourTest(colour, v.GARMENTS[word]) for colour in pending]
                pending = []
            elif word in v.COLOURS and later:
                pending.append(v.COLOURS[word])
            elif word in v.COLOURS:
                colours.append(ColourTest(v.COLOURS[word], "all"))
            elif word in v.PLACES:
                places.append((word, v.PLACES[word]))
            elif word in v.ORDINALS and rank is None:
                rank = v.ORDINALS[word]
            elif word in v.NUMBERS and not later:
                count, every = v.NUMBERS[word], True
            elif word in v.ALL_WORDS and not later:
                count, every = None, True
            elif word == "and" and not later and _between_colours(before, index):
                continue
            elif word in ("wearing", "dressed", "and") and later and noun.classes == PERSON:
                if not any(w in v.COLOURS for w in after[index - len(before) + 1 :]):
                    raise self.refuse(self._unknown(word))
            elif word in v.GARMENTS:
                raise self.refuse(f"{word!r} needs a colour before it (the man in the red {word})")
            elif word not in v.FILLERS:
                raise self.refuse(self._unknown(word))
        colours += [ColourTest(colour, "all") for colour in pending]
        if plural and every and count == 1:
            count = None
        return self._query(noun, count, places, rank, colours)

    def _query(
        self,
        noun: _Noun,
        count: int | None,
        places: list[tuple[str, Place]],
        rank: int | None,
        colours: list[ColourTest],
    ) -> Query:
        kinds: set[Place] = {place for _, place in places}
        if len(kinds) > 1:
            raise self.refuse("it names two places, and I can tell by one only")
        if rank is not None and not kinds & {"left", "right", "top", "bottom"}:
            raise self.refuse("say from which side to count (the second man from the left)")
        notes = [*noun.notes]
        notes += [f"'{word}' is judged by size in the picture." for word, _ in places if word in v.BY_SIZE]
        if noun.classes == frozenset() and colours:
            raise self.refuse("hands are found by the colour of skin, so a colour cannot narrow them down")
        return Query(
            noun.name,
            noun.classes,
            count,
            kinds.pop() if kinds else None,
            rank or 0,
            tuple(colours),
            tuple(dict.fromkeys(notes)),
        )

    def _split(self) -> tuple[_Noun, bool, list[str], list[str]]:
        """The head noun (the first, and the longest that fits there), and the words before and after it."""
        for start in range(len(self.words)):
            for length in range(min(_LONGEST, len(self.words) - start), 0, -1):
                stop = start + length
                found = _noun(" ".join(self.words[start:stop]))
                if found is None:
                    continue
                if self.words[start] in v.COLOURS and length == 1 and any(map(_noun, self.words[stop:])):
                    continue  # "the orange car": a colour, since another noun follows
                return *found, self.words[:start], self.words[stop:]
        unknown = [w for w in self.words if not self._understood(w)]
        if unknown:
            raise self.refuse(self._unknown(unknown[-1]))
        raise self.refuse("it names no thing")

    def _understood(self, word: str) -> bool:
        return any(word in words for words in (v.FILLERS, v.ALL_WORDS, v.COLOURS, v.PLACES, v.ORDINALS, v.NUMBERS))

    def _unknown(self, word: str) -> str:
        if word in ("not", "no", "without", "except", "but"):
            return f"I do not know {word!r} here (what to leave out goes into negative phrases: --negative)"
        if word == "and" or word in NOUNS:
            return f"one phrase is for one thing, and {word!r} starts another"
        meant = difflib.get_close_matches(word, _SPELLINGS, n=1, cutoff=0.75)
        return f"I do not know the word {_brief(word)!r}" + (f"; did you mean {meant[0]!r}?" if meant else "")


def _brief(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def _between_colours(words: list[str], index: int) -> bool:
    return {*words[index - 1 : index], *words[index + 1 : index + 2]} <= v.COLOURS.keys() and 0 < index < len(words) - 1


def _noun(text: str) -> tuple[_Noun, bool] | None:
    """The noun that ``text`` is, and whether it is a plural."""
    if text in NOUNS:
        return NOUNS[text], text in v.COLLECTIVE
    if text in v.IRREGULAR_PLURALS:
        return NOUNS[v.IRREGULAR_PLURALS[text]], True
    for ending, replacement in (("s", ""), ("es", ""), ("ies", "y")):
        if text.endswith(ending) and text[: -len(ending)] + replacement in NOUNS:
            return NOUNS[text[: -len(ending)] + replacement], True
    return None
