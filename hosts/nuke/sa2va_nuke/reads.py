"""A Read node's knobs -> the shot of a job. No Nuke in here.

What a worker can read by itself is passed by path. :class:`NeedsRender` says why something cannot be.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from sa2va_plugin.errors import MediaError
from sa2va_plugin.jobspec import Shot
from sa2va_plugin.naming import FramePattern

MOVIES = (".mov", ".mp4", ".m4v", ".mxf", ".mkv", ".avi", ".ts")
#: What Nuke's own LUTs are called, where the worker knows the same curve.
_NUKE_LUTS = {"srgb": "sRGB", "rec709": "rec709", "linear": "linear"}
_MISSING = {"error": "error", "black": "skip", "checkerboard": "skip", "nearest frame": "hold"}
#: A graph scope variable of Nuke 16 and later (``%{shot}``, ``%shot``) that Nuke did not put its value for; neither a
#: frame number nor a view. ``%version`` is a view in front of ``ersion`` to older ones: only Nuke can tell.
_VARIABLE = re.compile(r"%(?:\{|[^\W\ddvV]|[vV]\w)")
_DEFAULT = re.compile(r"^default \((?P<name>.*)\)$")
#: A role as Nuke shows it: with the space that the configuration gives it.
_ROLE = re.compile(
    r"^(?:scene_linear|compositing_linear|compositing_log|rendering|matte_paint|texture_paint|color_picking"
    r"|color_timing|data|reference|aces_interchange|cie_xyz_d65_interchange) \((?P<name>.*)\)$"
)


class NeedsRender(Exception):
    """The worker cannot read the input from its files; the reason is for the user."""


@dataclass(frozen=True)
class ReadFacts:
    """The knobs of a Read that say which picture stands at which frame.

    ``path``: expressions evaluated, frame numbers and views still open. ``first``, ``last``: of the file's own
    numbers. ``shown_first``: the comp frame on which ``first`` stands, as Nuke reports it.
    """

    path: str
    first: int
    last: int
    shown_first: int
    before: str = "hold"
    after: str = "hold"
    frame_mode: str = "expression"
    frame: str = ""
    on_error: str = "error"
    colour_space: str = "default"
    raw: bool = False


@dataclass(frozen=True)
class Colour:
    """The script's colour settings. ``ocio``: managed by OCIO. ``config``: its path; empty when only $OCIO says it.
    ``working``: the space that rendered pixels are in. The others are Nuke's own curves for files of 8 and 16 bits and
    of float, for a Read that says no more than "default"."""

    ocio: bool = False
    config: str = ""
    working: str = "linear"
    int8: str = "sRGB"
    int16: str = "sRGB"
    floating: str = "linear"


def shot(
    read: ReadFacts,
    colour: Colour,
    first: int,
    last: int,
    view: str = "",
    override: str = "",
    fps: Optional[float] = None,
) -> Shot:
    """The shot of comp frames ``first`` to ``last``. Results carry comp frame numbers.

    ``override``: the colour space that the user chose instead. ``fps``: of the script; a movie has its own.
    Raises NeedsRender, MediaError.
    """
    if not read.path:
        raise MediaError("The Read names no file.", "Choose one in its properties.")
    if _VARIABLE.search(read.path):
        raise NeedsRender("its path has a variable that only Nuke knows")
    space = override or _space(read, colour)
    config = colour.config if colour.ocio else ""
    missing = _MISSING.get(read.on_error)
    if missing is None:
        raise NeedsRender(f"its missing frames are set to {read.on_error!r}")
    path, step = read.path.replace("\\", "/"), _shift(read)
    movie = path.lower().endswith(MOVIES)
    if not movie and FramePattern.parse(path) is None:
        # One still for the whole range: every result frame is the same picture.
        raise NeedsRender("it is a single picture")
    frames: list[tuple[int, int]] = []
    for comp in range(first, last + 1):
        plate = _outside(comp - step, read)
        if plate is not None:
            frames.append((comp, plate))
    if not frames:
        raise MediaError(
            f"The clip has nothing on the frames {first}-{last}.", f"It has {read.first + step}-{read.last + step}."
        )
    comps = [comp for comp, _ in frames]
    plates = tuple(plate for _, plate in frames)
    if comps != list(range(comps[0], comps[-1] + 1)):
        raise NeedsRender("it is black between frames")
    straight = plates == tuple(range(plates[0], plates[-1] + 1))
    return Shot(
        path,
        range=(plates[0], plates[-1]) if straight else None,
        frames=None if straight else plates,
        output_first=None if straight and comps[0] == plates[0] else comps[0],
        fps=None if movie else fps,
        missing=missing,
        view=view if re.search(r"%[vV]", path) else "",
        colour_space=space,
        ocio_config=config,
    )


def rendered(path: str, colour: Colour, first: int, last: int, override: str = "", fps: Optional[float] = None) -> Shot:
    """The shot of what Nuke wrote: working space, linear half float, numbered as the comp is."""
    config = colour.config if colour.ocio else ""
    return Shot(path, range=(first, last), fps=fps, colour_space=override or colour.working, ocio_config=config)


def colour_name(text: str) -> str:
    """A colour space out of what its knob says: ``default (ACEScg)``, ``scene_linear (ACEScg)``,
    ``ACEScg\\tScene/ACEScg`` -> ``ACEScg``."""
    name = re.split(r"[\t,]", text.strip(), maxsplit=1)[0].strip()
    for form in (_DEFAULT, _ROLE):
        match = form.match(name)
        name = match["name"].strip() if match else name
    return name


def _space(read: ReadFacts, colour: Colour) -> str:
    if read.raw:
        # Stored numbers enter the comp as they are, so they count as the comp's own space.
        return colour.working
    name = colour_name(read.colour_space)
    if name in ("", "default"):
        name = _default_space(read.path, colour)
    if colour.ocio:
        return name
    known = _NUKE_LUTS.get(name.lower().replace(".", ""))
    if known is None:
        raise NeedsRender(f"its colour space {name!r} is Nuke's own")
    return known


def _default_space(path: str, colour: Colour) -> str:
    suffix = path.lower().rpartition(".")[2]
    if not colour.ocio and suffix in ("exr", "hdr"):
        return colour.floating
    if not colour.ocio and suffix in ("png", "jpg", "jpeg", "tif", "tiff", "tga") and colour.int8 == colour.int16:
        return colour.int8
    raise NeedsRender("its colour space is Nuke's default for the file")


def _shift(read: ReadFacts) -> int:
    """By how many frames the clip is moved: comp frame minus the file's frame."""
    text = read.frame.strip()
    if not text or (read.frame_mode == "expression" and text == "frame"):
        shift = 0
    elif read.frame_mode in ("start at", "offset"):
        try:
            value = int(text)
        except ValueError:
            raise NeedsRender("its frames follow an expression") from None
        shift = value - read.first if read.frame_mode == "start at" else value
    else:
        raise NeedsRender("its frames follow an expression")
    if read.first + shift != read.shown_first:
        # Nuke itself says where the clip starts. Where the two differ, one of them is not understood.
        raise NeedsRender("its frames are moved in a way of their own")
    return shift


def _outside(frame: int, read: ReadFacts) -> Optional[int]:
    """The file's frame that stands where ``frame`` would; None for black."""
    first, last = read.first, read.last
    if first <= frame <= last:
        return frame
    mode = read.before if frame < first else read.after
    count = last - first + 1
    if mode == "hold":
        return first if frame < first else last
    if mode == "loop":
        return first + (frame - first) % count
    if mode == "bounce":
        if count == 1:
            return first
        at = (frame - first) % (2 * count - 2)
        return first + (at if at < count else 2 * count - 2 - at)
    return None
