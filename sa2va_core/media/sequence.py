"""From what the user typed to files on disk: patterns, folders, one file of a sequence, a movie."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import OpenImageIO as oiio
from sa2va_plugin.errors import MediaError
from sa2va_plugin.naming import LAST_FRAME, FramePattern, require_text

MOVIE_EXTENSIONS = frozenset(
    (
        "mov",
        "mp4",
        "m4v",
        "mkv",
        "webm",
        "mxf",
        "avi",
        "mpg",
        "mpeg",
        "m2v",
        "ts",
        "mts",
        "m2ts",
        "wmv",
        "flv",
        "3gp",
        "ogv",
        "y4m",
    )
)
# What OpenImageIO names but no plate is: windows into its own memory, textures of its cache.
_NO_PLATES = frozenset({"null", "nul", "term", "ico", "env", "sm", "vsm", "gif"})
STILL_EXTENSIONS = (
    frozenset(
        extension
        for entry in str(oiio.get_string_attribute("extension_list")).split(";")
        for extension in entry.partition(":")[2].split(",")
    )
    - _NO_PLATES
)
# The number before the extension. A minus is a sign only after a separator; digits after a "v" are a version.
_NUMBERED = re.compile(r"^(?P<head>.*?)(?P<number>(?:(?<=[._ ])-|^-)?\d+)(?P<tail>\.[^.]+)$")
_VERSION = re.compile(r"(?:^|[^A-Za-z])[vV]$")
_VIEWS = {"left": "l", "right": "r", "l": "left", "r": "right"}


@dataclass(frozen=True)
class Plate:
    """A plate on disk. ``files`` maps plate frame numbers (rising) to files; a movie has one file and no numbers."""

    label: str
    stem: str
    files: Mapping[int, Path]
    movie: Path | None = None


def is_movie(path: Path) -> bool:
    return path.suffix[1:].lower() in MOVIE_EXTENSIONS


def is_still(path: Path) -> bool:
    return path.suffix[1:].lower() in STILL_EXTENSIONS


def view_names(view: str) -> list[str]:
    """The names that a stereo view goes by: its own, then its long or short form."""
    other = _VIEWS.get(view.lower())
    return [view, other] if other else [view]


def locate(path: str, view: str = "") -> Plate:
    """Find the plate that ``path`` names. Raises MediaError when there is none, or more than one.

    A still without a number in its name is frame 1.
    """
    candidates = _view_paths(path, view)
    for candidate in candidates:
        plate = _locate(candidate)
        if plate:
            require_text(str(plate.movie or next(iter(plate.files.values()))), MediaError, "The plate's path")
            return plate
    raise _nothing(candidates[0])


def _view_paths(path: str, view: str) -> list[str]:
    if not re.search(r"%[vV]", path):
        return [path]
    if not view:
        hint = "Set shot.view (--stereo-view), for example to left."
        raise MediaError(f"The path holds %V but the job names no view: {path}", hint)
    return [path.replace("%V", name).replace("%v", name) for name in view_names(view)]


def _locate(text: str) -> Plate | None:
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return _of_file(path)
        pattern = FramePattern.parse(str(path))
        return _of_pattern(pattern) if pattern else None
    except OSError as error:
        raise MediaError(f"The plate cannot be listed ({error.strerror}): {text}", "Check its permissions.") from error


def _of_file(path: Path) -> Plate:
    if is_movie(path):
        return Plate(path.name, path.stem, {}, path)
    if not is_still(path):
        raise MediaError(
            f"This kind of file is not a plate: {path}",
            "Plates are movies (mov, mp4, mkv, mxf ...) or stills (exr, dpx, tif, png, jpg, cin ...).",
        )
    # A hidden file is in none, but was asked for.
    alone = Plate(path.name, path.stem, {1: path})
    return next((plate for plate in _sequences(path.parent) if path in plate.files.values()), alone)


def _in_folder(folder: Path) -> Plate | None:
    found = _sequences(folder)
    if len(found) > 1:
        labels = [f"{plate.label} ({_extent(plate)})" for plate in found]
        shown = ", ".join(labels[:8]) + (f" and {len(labels) - 8} more" if len(labels) > 8 else "")
        raise MediaError(f"The folder holds {len(found)} plates: {shown}. {folder}", "Name one of them.")
    if not found:
        raise MediaError(f"The folder holds no images and no movie: {folder}", "Name the folder of the plate itself.")
    return found[0]


def _of_pattern(pattern: FramePattern) -> Plate | None:
    prefix = Path(pattern.prefix + "x")
    folder, head, tail = prefix.parent, prefix.name[:-1], pattern.suffix
    if "/" in tail or not folder.is_dir():
        return None
    names = re.compile(rf"^{re.escape(head)}(-?)(\d+){re.escape(tail)}$")
    files: dict[int, Path] = {}
    for file in folder.iterdir():
        match = names.match(file.name)
        if match and _padded(match[1], match[2], pattern.padding) and int(match[2]) <= LAST_FRAME:
            other = files.setdefault(int(match[1] + match[2]), file)
            if other != file:
                raise MediaError(
                    f"Two files are the same frame: {', '.join(sorted((file.name, other.name)))}. {folder}",
                    "Name the plate with as many # as its numbers have digits, or take one away.",
                )
    return _sequence(pattern, files) if files else None


def _padded(sign: str, digits: str, padding: int) -> bool:
    """Whether a number is written as the pattern pads it; one place (``#``, ``%d``) takes any."""
    # printf counts the sign into the width, others do not.
    width = len(digits)
    return padding == 1 or width in (padding, padding - len(sign)) or (width > padding and digits[0] != "0")


def _sequences(folder: Path) -> list[Plate]:
    """Every plate in a folder: sequences, lone stills and movies."""
    groups: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    plates: list[Plate] = []
    with os.scandir(folder) as entries:  # Knows files from folders without asking the server for each.
        # A link to nowhere counts as a frame: it is missed when it is read, not passed over.
        names = sorted(entry.name for entry in entries if not (entry.is_dir() or entry.name.startswith(".")))
    for file in (folder / name for name in names):
        if is_movie(file):
            plates.append(Plate(file.name, file.stem, {}, file))
        elif is_still(file):
            match = _NUMBERED.match(file.name)
            if match and not _VERSION.search(match["head"]) and abs(int(match["number"])) <= LAST_FRAME:
                groups.setdefault((match["head"], match["tail"]), []).append((match["number"], file))
            else:
                plates.append(Plate(file.name, file.stem, {1: file}))
    for (head, tail), members in groups.items():
        for files in _series(members):
            width = min(len(digits.lstrip("-")) for digits, _ in files)
            pattern = FramePattern(str(folder / head), width, tail)
            plates.append(_sequence(pattern, {int(digits): file for digits, file in files}))
    return plates


def _series(members: list[tuple[str, Path]]) -> list[list[tuple[str, Path]]]:
    """One series, by digits; where a number is there twice (1 and 0001), one for each number of digits."""
    if len({int(digits) for digits, _ in members}) == len(members):
        return [members]
    by_width: dict[int, list[tuple[str, Path]]] = {}
    for digits, file in members:
        by_width.setdefault(len(digits.lstrip("-")), []).append((digits, file))
    return list(by_width.values())


def _sequence(pattern: FramePattern, files: dict[int, Path]) -> Plate:
    # "x" keeps a folder with a trailing separator from losing it.
    prefix = Path(pattern.prefix + "x")
    stem = (prefix.name[:-1] + pattern.suffix.rpartition(".")[0]).strip("._- ") or prefix.parent.resolve().name
    label = str(pattern) if len(files) > 1 else str(next(iter(files.values())))
    return Plate(Path(label).name, stem, dict(sorted(files.items())))


def _extent(plate: Plate) -> str:
    return "movie" if plate.movie else describe(plate.files)


def describe(numbers: Iterable[int]) -> str:
    """Frame numbers as ranges: ``1001-1004, 1007``; long lists are cut."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(a) if a == b else f"{a}-{b}" for a, b in runs]
    return ", ".join(texts[:6]) + (f" and {len(texts) - 6} more ranges" if len(texts) > 6 else "")


def _nothing(text: str) -> MediaError:
    """There is no such plate; the hint tells what is near."""
    path = Path(text).expanduser()
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    if folder != path.parent:
        return MediaError(f"The folder does not exist: {path.parent}", f"The nearest that exists is {folder}")
    try:
        plates = _sequences(folder)
    except OSError:
        plates = []
    labels = {plate.label: _extent(plate) for plate in plates}
    close = difflib.get_close_matches(path.name, labels, n=3, cutoff=0.3) or list(labels)[:3]
    near = "; ".join(f"{label} ({labels[label]})" for label in close)
    return MediaError(
        f"Nothing matches the plate's name: {path}",
        f"The folder holds {near}." if near else "The folder has no plates.",
    )
