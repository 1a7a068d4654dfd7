"""Names that hosts, files and layers share.

Layer rules are those of the pickiest reader, Nuke: ``[A-Za-z_][A-Za-z0-9_]*``, never a number first, and none of the
names that Nuke keeps for itself.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Optional

from .errors import Sa2vaError

MAX_LAYER_LENGTH = 40
#: Frame numbers lie between this and its negative: files and hosts count in 32 bits. Longer ones are dates or the like.
LAST_FRAME = 999_999_999
#: The layers that Nuke has already, which take no channels of others; ``Ci``, which its EXR reader takes for the main
#: layer; and the words of its channel menus.
RESERVED_LAYERS = frozenset(
    {"rgba", "rgb", "alpha", "depth", "other", "all", "none", "motion", "forward", "backward", "mask"}
    | {"deep", "disparity", "disparityl", "disparityr", "rotopaint_mask", "mask_planartrack", "mask_splinewarp", "ci"}
)
_ARTICLES = re.compile(r"^(?:the|a|an|all|every|each)\s+(?:of\s+)?(?:the\s+)?", re.IGNORECASE)
# Letters that Unicode decomposition leaves alone.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L", "đ": "d"}
)


def layer_name(name: str) -> str:
    """``name`` as an EXR layer: ASCII letters, digits and underscores, at most 40 long, never empty.

    >>> layer_name("Zoë's 2nd bag"), layer_name("42"), layer_name("alpha")
    ('Zoe_s_2nd_bag', '_42', 'alpha_')
    """
    plain = unicodedata.normalize("NFKD", name.translate(_LETTERS)).encode("ascii", "ignore").decode("ascii")
    layer = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:MAX_LAYER_LENGTH].rstrip("_")
    if not layer:
        # Names in other scripts still need a name that is theirs alone and the same on every run.
        layer = "object_" + "_".join(f"{ord(c):x}" for c in name.strip()[:6])
    if layer[0].isdigit():
        layer = "_" + layer
    layer = layer[:MAX_LAYER_LENGTH]
    return layer + "_" if layer.lower() in RESERVED_LAYERS else layer


def name_from_phrase(phrase: str) -> str:
    """A short object name for a phrase that was given without one: ``"the man on the left"`` -> ``man_on_the_left``."""
    return layer_name(_ARTICLES.sub("", phrase.strip()) or phrase)


def part_names(name: str, count: int, others: Iterable[str]) -> list[str]:
    """Names for the ``count`` things that one object turned out to be; each is its own layer, and none of ``others``'.

    >>> part_names("people", 2, ["people", "ball"]), part_names("people", 2, ["people_1"])
    (['people_1', 'people_2'], ['people_2', 'people_3'])
    """
    taken = {layer_name(other).lower() for other in others}
    names: list[str] = []
    number = 0
    while len(names) < count:
        number += 1
        suffix = f"_{number}"
        part = layer_name(name)[: MAX_LAYER_LENGTH - len(suffix)].rstrip("_") + suffix
        if part.lower() not in taken:
            names.append(part)
    return names


def split_object(text: str) -> tuple[Optional[str], str]:
    """``"name=phrase"`` -> (name, phrase); a bare phrase gives (None, phrase)."""
    name, equals, phrase = text.partition("=")
    return (name.strip(), phrase.strip()) if equals else (None, text.strip())


def require_text(text: str, error: type[Sa2vaError], thing: str) -> None:
    """Raise ``error`` where UTF-8 cannot hold ``text``, which is so with file names in another encoding. ``thing`` is
    what the message calls it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as found:
        there = ascii(text[max(0, found.start - 30) : found.end + 30])
        raise error(
            f"{thing} is not UTF-8 text, near {there}",
            "Rename it; or, where it looks right, use a UTF-8 locale (LC_ALL=C.UTF-8).",
        ) from None


class FramePattern:
    """A file sequence's name: what stands before and after the frame number, and how the number is padded."""

    _TOKENS = re.compile(r"(?P<hash>#+)|(?P<printf>%(?:0(?P<digits>\d+))?d)|(?P<angle><f(?P<adigits>\d*)>)")

    def __init__(self, prefix: str, padding: int, suffix: str) -> None:
        self.prefix, self.padding, self.suffix = prefix, padding, suffix

    @classmethod
    def parse(cls, path: str) -> Optional[FramePattern]:
        """The pattern in ``path`` (``####``, ``%04d``, ``%d``, ``<f>``, ``<f4>``), or None when there is none.

        The last token counts: folders may hold ``#`` of their own.
        """
        matches = list(cls._TOKENS.finditer(path))
        if not matches:
            return None
        match = matches[-1]
        if match["hash"]:
            padding = len(match["hash"])
        else:
            padding = int(match["digits"] or match["adigits"] or (4 if match["angle"] else 1))
        return cls(path[: match.start()], padding, path[match.end() :])

    def path(self, frame: int) -> str:
        sign = "-" if frame < 0 else ""
        return f"{self.prefix}{sign}{abs(frame):0{self.padding}d}{self.suffix}"

    def __str__(self) -> str:
        return f"{self.prefix}{'#' * self.padding}{self.suffix}"


def cryptomatte_name(name: str) -> str:
    """What the object ``name`` is called in a Cryptomatte's manifest, where a picker finds it.

    Names stay as typed, in any script, but for commas, which separate names in Blender's and Nuke's pickers, and angle
    brackets, in which they take a number for an id.
    """
    return re.sub(r"[,<>\s]+", " ", name).strip() or layer_name(name)


def cryptomatte_pattern(stem: str) -> FramePattern:
    """Cryptomatte files inside the output folder: ``cryptomatte/plate_crypto.1001.exr``."""
    return FramePattern(f"cryptomatte/{stem}_crypto.", 4, ".exr")


def matte_pattern(stem: str, extension: str, layer: str = "") -> FramePattern:
    """Result files inside the output folder: ``mattes/plate_mattes.1001.exr``, or one folder for each layer."""
    if layer:
        return FramePattern(f"mattes/{layer}/{stem}_{layer}.", 4, f".{extension}")
    return FramePattern(f"mattes/{stem}_mattes.", 4, f".{extension}")
