"""SplineSet: the outlines of a job's objects as closed cubic Béziers, the same for every host.

Coordinates are pixels of the plate's display window, origin top left, y down, pixel centres at .5, as those of
:class:`~sa2va_plugin.jobspec.Point`; they may lie outside the plate. Frames are result frames. An object's matte at a
frame is made by going through its shapes in order: a shape fills its inside, a hole clears its inside.

The file is versioned JSON, read strictly: anything unknown or ill-typed is a ResultError that names its place.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Generator, NamedTuple, Optional, Tuple, Union

from . import json_steps
from .errors import ResultError
from .strict import Reader, encode

VERSION = 1
NAME = "splines.json"
_MEND = "Make them again from the job's mattes: `sa2va splines FOLDER`."
_READER = Reader("file of splines", ResultError, _MEND, _MEND)


class SplinePoint(NamedTuple):
    """A point that the curve goes through, and its two handles, all absolute. The curve leaves by the right handle
    and comes in by the left one of the next point."""

    x: float
    y: float
    left_x: float
    left_y: float
    right_x: float
    right_y: float


Points = Tuple[SplinePoint, ...]


@dataclass(frozen=True)
class SplineKey:
    """The whole pose of a shape at one frame."""

    frame: int
    points: Points


@dataclass(frozen=True)
class SplineShape:
    """One closed curve of as many points on every frame of its span, ``first`` to ``last`` inclusive.

    ``keys`` rise in frame; the first lies on ``first`` and the last on ``last``. Between keys every number moves in a
    straight line. ``cuts``: for a hole, the name of the shape that it is a hole in; else None. A hole's span lies
    in its shape's, and it comes after it.
    """

    name: str
    first: int
    last: int
    keys: tuple[SplineKey, ...]
    cuts: Optional[str] = None

    def __post_init__(self) -> None:
        frames = [key.frame for key in self.keys]
        if not frames or frames != sorted(set(frames)) or (frames[0], frames[-1]) != (self.first, self.last):
            raise _error(f"the keys of the shape {self.name!r} do not span {self.first}-{self.last} in rising order")
        counts = {len(key.points) for key in self.keys}
        if len(counts) > 1 or counts < {2}:
            raise _error(
                f"the keys of the shape {self.name!r} have {sorted(counts)} points; all need one number from 2"
            )

    @property
    def hole(self) -> bool:
        return self.cuts is not None

    def points_at(self, frame: float) -> Optional[Points]:
        """The curve at ``frame``, which may lie between two frames; None outside the span."""
        if not self.first <= frame <= self.last:
            return None
        at = bisect_right([key.frame for key in self.keys], frame)
        before = self.keys[at - 1]
        if before.frame == frame:
            return before.points
        after = self.keys[at]
        t = (frame - before.frame) / (after.frame - before.frame)
        return tuple(SplinePoint(*(a + (b - a) * t for a, b in zip(p, q))) for p, q in zip(before.points, after.points))


@dataclass(frozen=True)
class SplineFit:
    """How far the curves are from the matte that they were made of, over all frames, those of ``bridged`` too.

    ``worst_px``: the greatest distance, in pixels, between the drawn outline and the matte's outline at one half,
    either way, and ``worst_frame`` where. ``iou``: intersection over union of drawn shapes and matte at one half, the
    mean over frames; ``worst_iou`` the lowest. ``bridged``: frames on which the matte jumps for a moment and the curves
    go straight on instead. ``dropped``: the greatest area, in pixels, of a speck or pinhole that got no shape.
    """

    worst_px: float
    worst_frame: Optional[int]
    iou: float
    worst_iou: float
    bridged: tuple[int, ...] = ()
    dropped: float = 0.0


@dataclass(frozen=True)
class SplineObject:
    """One object's shapes, in drawing order. No shapes: the object is not in the shot."""

    name: str
    phrase: str
    shapes: tuple[SplineShape, ...]
    fit: SplineFit

    def __post_init__(self) -> None:
        seen: dict[str, SplineShape] = {}
        for shape in self.shapes:
            if shape.name in seen:
                raise _error(f"two shapes of {self.name!r} are called {shape.name!r}")
            if shape.cuts is not None:
                cut = seen.get(shape.cuts)
                if cut is None or cut.hole or not cut.first <= shape.first <= shape.last <= cut.last:
                    raise _error(f"the hole {shape.name!r} cuts {shape.cuts!r}, which is no shape around it")
            seen[shape.name] = shape


@dataclass(frozen=True)
class SplineSet:
    """All objects of one job. ``width`` and ``height``: the plate's display window; ``pixel_aspect``: width over height
    of its pixels; ``fps``: an exact fraction like ``24000/1001``; ``first`` and ``last``: the job's result frames;
    ``tolerance``: what the curves were fitted to, in pixels."""

    width: int
    height: int
    pixel_aspect: float
    fps: str
    first: int
    last: int
    tolerance: float
    objects: tuple[SplineObject, ...]

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.pixel_aspect <= 0:
            raise _error(f"the plate is {self.width} x {self.height} pixels of aspect {self.pixel_aspect}")
        if self.first > self.last:
            raise _error(f"the frames {self.first}-{self.last} end before they start")
        if not re.fullmatch(r"[1-9]\d*/[1-9]\d*", self.fps):
            raise _error(f"{self.fps!r} is not a frame rate like 24/1")

    def to_json(self) -> str:
        data = {"version": VERSION, **encode(self)}
        return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: Union[str, bytes]) -> SplineSet:
        """Raises ResultError."""
        steps = cls.read_in_steps(text)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    @staticmethod
    def read_in_steps(text: Union[str, bytes]) -> Generator[None, None, SplineSet]:
        """As :meth:`from_json`, a key at a time, for a thread that must not wait for all of them."""
        try:
            # As deep as its keys lie.
            data = yield from json_steps.loads(text if isinstance(text, str) else text.decode("utf-8"), 6)
        except (ValueError, RecursionError) as error:
            raise _error(f"it is not valid JSON: {error}") from error
        version = data.pop("version", None) if isinstance(data, dict) else None
        if type(version) is not int or version < 1:
            raise _error("it does not say its version")
        if version > VERSION:
            raise ResultError(
                f"The splines are of version {version}; this program reads versions up to {VERSION}.",
                "Update Sa2VA Roto on this machine.",
            )
        objects = _items(data, "objects")
        for o, item in enumerate(objects):
            shapes = _items(item, "shapes")
            for s, shape in enumerate(shapes):
                keys = _items(shape, "keys")
                for k, key in enumerate(keys):
                    keys[k] = _READER.read(SplineKey, key, f"objects[{o}].shapes[{s}].keys[{k}]")
                    yield
                shapes[s] = _READER.read(SplineShape, shape, f"objects[{o}].shapes[{s}]")
                yield
            objects[o] = _READER.read(SplineObject, item, f"objects[{o}]")
            yield
        return _READER.read(SplineSet, data)

    def object(self, name: str) -> SplineObject:
        """The object of that name. Raises ResultError."""
        for item in self.objects:
            if item.name == name:
                return item
        known = ", ".join(repr(item.name) for item in self.objects) or "none"
        raise ResultError(f"There are no splines of {name!r}.", f"Objects here: {known}.")


def _items(data: Any, name: str) -> list[Any]:
    """A list in JSON that nobody has checked yet."""
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, list) else []


def _error(what: str) -> ResultError:
    return ResultError(f"The splines are damaged: {what}.", _MEND)
