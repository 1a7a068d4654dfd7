"""Two frames compared: does each matte move as the picture moves?

The picture's motion is dense inverse search flow (Kroeger et al., "Fast Optical Flow using Dense Inverse Search",
ECCV 2016), from OpenCV. All lengths here are working pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from .record import Record

#: A matte smaller than this, in working pixels of area, counts as empty.
LEAST_AREA = 8.0
# Mean difference, in levels of 255, between a frame and the warped one before: more is a cut, a flash or a lost flow,
# about which mattes say nothing.
_CUT = 25.0
# Levels of local difference from which the picture itself changed there (something was covered or came into view).
_CHANGED = 14.0
_AROUND = 5
# Share of a matte's place that must be comparable before anything is said about it.
_SEEN = 0.3
# The matte's own shift must explain the picture so much better than the flow does before it replaces the flow.
_BETTER, _BETTER_LEVELS = 0.7, 1.0
_TRY_SHIFT_BELOW = 0.85
# A matte is another's when it agrees with that one's place (IoU) and hardly with its own.
_OWN_AT_MOST, _OTHER_AT_LEAST = 0.3, 0.5
# Two mattes of one frame are the same from this IoU on.
_TWINS = 0.8
# A matte lies inside another with at least this share of it.
_INSIDE = 0.9
_MARGIN = 12
# Under this side DIS fails, or ends the process.
_LEAST_SIDE = 16

_Part = tuple[slice, slice]


@dataclass(frozen=True)
class Shape:
    """One matte on one frame: ``area``, its boundary's length (``edge``), whether it is cut by the frame's border, its
    ``centre`` (x, y; NaN when it is empty)."""

    area: float
    edge: float
    at_border: bool
    centre: tuple[float, float]

    @property
    def present(self) -> bool:
        return self.area >= LEAST_AREA

    @property
    def radius(self) -> float:
        """That of a disc of the same area."""
        return float(np.sqrt(self.area / np.pi))


@dataclass(frozen=True)
class Agreement:
    """A matte against the one expected, over the pixels where the picture is the same thing on both frames.

    ``iou``: soft intersection over union, 0..1; ``displacement``: mean distance between the boundaries; ``growth``:
    natural logarithm of the ratio of the areas.
    """

    iou: float
    displacement: float
    growth: float


@dataclass(frozen=True)
class Link:
    """One object between two frames, both of which or one of which have it.

    ``agreement``: with the earlier matte, moved as the picture moves; None where too little of it can be compared, or
    where one of the two is empty. ``other``: index of the object whose earlier place this matte fills instead of its
    own, and ``share``, the IoU with that place. ``unexplained``: mean difference in levels of 255, where the matte is
    or should be, between the picture and the moved earlier picture: low means that the same thing is in view.
    """

    agreement: Agreement | None
    other: int | None
    share: float
    unexplained: float


def shape(matte: NDArray[np.uint8]) -> Shape:
    """Measure one matte, uint8 (h, w)."""
    border = (matte[0], matte[-1], matte[:, 0], matte[:, -1])
    area = _sum(matte)
    centre = _centre(matte) if area > 0 else (math.nan, math.nan)
    return Shape(area, _edge(matte), any(bool((line > 127).any()) for line in border), centre)


@dataclass(frozen=True)
class Twin:
    """Another object of the same frame that has the same matte: its index, and the IoU of the two."""

    other: int
    iou: float


@dataclass(frozen=True)
class Overlap:
    """Two mattes of one frame: their IoU, and which share of the smaller one lies ``inside`` the larger."""

    iou: float
    inside: float


#: Pairs of objects, by index, the lower one first.
Overlaps = Mapping[tuple[int, int], Overlap]


def overlaps(record: Record, shapes: Sequence[Shape]) -> Overlaps:
    """Of all objects that are there, two by two."""
    found: dict[tuple[int, int], Overlap] = {}
    for a, b in combinations([i for i, shape in enumerate(shapes) if shape.present], 2):
        common, areas = _sum(cv2.min(record.mattes[a], record.mattes[b])), (shapes[a].area, shapes[b].area)
        found[a, b] = Overlap(common / (sum(areas) - common), common / min(areas))
    return found


def twins(index: int, frames: Sequence[Overlaps]) -> list[Twin | None]:
    """For one object and each frame, the other object that has the same matte, if there is one.

    One that lies inside the other on every frame where both are, and on some makes up clearly less than it, is a part
    of it ("the girl", "all the people"): they may be the same while nothing else of the whole is in view.
    """
    pairs = {pair for its in frames for pair in its if index in pair}
    apart = [pair for pair in pairs if not _nested([its[pair] for its in frames if pair in its])]
    found: list[Twin | None] = []
    for its in frames:
        same = [(its[pair].iou, pair) for pair in apart if pair in its and its[pair].iou >= _TWINS]
        iou, pair = max(same, default=(0.0, ()))
        found.append(next((Twin(other, iou) for other in pair if other != index), None))
    return found


def _nested(met: Sequence[Overlap]) -> bool:
    return min(its.inside for its in met) >= _INSIDE and min(its.iou for its in met) < _TWINS


def compare(before: Record, now: Record) -> list[Link | None] | None:
    """A link for each object; None for an object that neither frame has; None alone when there is a cut between."""
    greys = [np.asarray(cv2.cvtColor(record.picture, cv2.COLOR_BGR2GRAY), np.uint8) for record in (before, now)]
    back, forth = _flow(greys[1], greys[0]), _flow(greys[0], greys[1])
    height, width = greys[0].shape
    columns, rows = _grid(width, height)
    dx, dy = np.ascontiguousarray(back[..., 0]), np.ascontiguousarray(back[..., 1])
    x, y = columns + dx, rows + dy
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    # What the way there and back does not return to came into view between the frames (Sundaram, Brox and Keutzer,
    # "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow", ECCV 2010).
    there = np.asarray(cv2.remap(forth, x, y, cv2.INTER_LINEAR), np.float32)
    tx, ty = there[..., 0], there[..., 1]
    lengths = (dx * dx + dy * dy) + (tx * tx + ty * ty)
    returned = np.square(dx + tx) + np.square(dy + ty) < 0.01 * lengths + 0.5
    valid = np.where(inside & returned, 255, 0).astype(np.uint8)
    moved = _Moved(before, x, y, valid, (*cv2.minMaxLoc(dx)[:2], *cv2.minMaxLoc(dy)[:2]))
    if cv2.mean(_difference(now.picture, moved.picture), valid)[0] > _CUT:
        return None
    return [_link(index, before, now, moved) for index in range(len(now.mattes))]


class _Moved:
    """The earlier frame, moved as the picture moves. ``valid``: 255 where both frames show the same point."""

    def __init__(
        self,
        before: Record,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        valid: NDArray[np.uint8],
        reach: tuple[float, float, float, float],
    ) -> None:
        """``x`` and ``y``: where each pixel was; ``reach``: the least and greatest way there across, and down."""
        self._mattes, self._x, self._y, self._reach = before.mattes, x, y, reach
        self.picture = _remap(before.picture, x, y, cv2.BORDER_REPLICATE)
        self.valid = valid

    def matte(self, index: int, part: _Part = np.s_[:, :]) -> NDArray[np.uint8]:
        """That part of the frame of a moved matte."""
        return _remap(self._mattes[index], self._x[part], self._y[part], cv2.BORDER_CONSTANT)

    def goes_to(self, rect: _Rect) -> _Rect:
        """What of the frame can show what was in ``rect``."""
        left, right, up, down = self._reach
        return _Rect(rect.x0 - right - 1, rect.y0 - down - 1, rect.x1 - left + 1, rect.y1 - up + 1)


@dataclass(frozen=True)
class _Rect:
    """From ``x0``, ``y0`` to before ``x1``, ``y1``."""

    x0: float
    y0: float
    x1: float
    y1: float

    @staticmethod
    def around(matte: NDArray[np.uint8], x: int = 0, y: int = 0) -> _Rect | None:
        """What is not empty of a matte whose corner lies at ``x``, ``y``; None when all of it is empty."""
        left, top, width, height = cv2.boundingRect(matte)
        return _Rect(x + left, y + top, x + left + width, y + top + height) if width else None

    def part(self, margin: int = 0) -> _Part:
        rows = slice(max(0, math.floor(self.y0) - margin), max(0, math.ceil(self.y1) + margin))
        return rows, slice(max(0, math.floor(self.x0) - margin), max(0, math.ceil(self.x1) + margin))


def _union(rects: Sequence[_Rect | None]) -> _Rect:
    known = [rect for rect in rects if rect is not None]
    return _Rect(
        min(rect.x0 for rect in known),
        min(rect.y0 for rect in known),
        max(rect.x1 for rect in known),
        max(rect.y1 for rect in known),
    )


def _link(index: int, before: Record, now: Record, moved: _Moved) -> Link | None:
    had, has = _sum(before.mattes[index]) >= LEAST_AREA, _sum(now.mattes[index]) >= LEAST_AREA
    if not had and not has:
        return None
    # Everything happens in the box around the mattes, which is most often a small part of the frame.
    was, is_now = _Rect.around(before.mattes[index]), _Rect.around(now.mattes[index])
    went = None
    if was is not None:
        rows, columns = part = moved.goes_to(was).part()
        went = _Rect.around(moved.matte(index, part), columns.start, rows.start)
    box = _union([was, is_now, went]).part(_MARGIN)
    matte, expected, picture = now.mattes[index][box], moved.matte(index, box), now.picture[box]
    place = np.where((matte if has else expected) > 127, 255, 0).astype(np.uint8)
    difference = _difference(picture, moved.picture[box])
    unexplained = cv2.mean(difference, place)[0]
    if not (had and has):
        return Link(None, None, 0.0, unexplained)
    agreement = _agreement(matte, expected, difference, moved.valid[box])
    if agreement is None or agreement.iou < _TRY_SHIFT_BELOW:
        shifted, shifted_picture = _shifted(before.mattes[index][box], matte, before.picture[box])
        alone = _difference(picture, shifted_picture)
        residue = cv2.mean(alone, place)[0]
        if residue < _BETTER * unexplained - _BETTER_LEVELS:
            # Too fast for the flow: the picture under the matte moved as the matte did.
            unexplained = residue
            agreement = _agreement(matte, shifted, alone, moved.valid[box])
    other, share = None, 0.0
    if agreement is None or agreement.iou < _OWN_AT_MOST:
        places = [moved.matte(other) for other in range(len(now.mattes))]
        other, share = _other(index, now.mattes[index], places)
    return Link(agreement, other, share, unexplained)


def _other(index: int, matte: NDArray[np.uint8], places: Sequence[NDArray[np.uint8]]) -> tuple[int | None, float]:
    """Whose place ``matte`` took, and its IoU with that place."""
    shares = [_sum(cv2.min(matte, place)) / _sum(cv2.max(matte, place)) for place in places]
    shares[index] = 0.0
    best = int(np.argmax(shares))
    return (best, shares[best]) if shares[best] >= _OTHER_AT_LEAST else (None, 0.0)


def _agreement(
    matte: NDArray[np.uint8], expected: cv2.typing.MatLike, difference: cv2.typing.MatLike, valid: NDArray[np.uint8]
) -> Agreement | None:
    same = cv2.threshold(cv2.blur(difference, (_AROUND, _AROUND)), _CHANGED, 255, cv2.THRESH_BINARY_INV)[1]
    same = cv2.bitwise_and(same, valid)
    a, b = cv2.bitwise_and(matte, same), cv2.bitwise_and(expected, same)
    union = _sum(cv2.max(a, b))
    if union < max(LEAST_AREA, _SEEN * _sum(cv2.max(matte, expected))):
        return None
    # The boundary that can be compared; where next to none can, a share of all of it, lest a few pixels make a mile.
    edge = 0.5 * max(_edge(matte, same) + _edge(expected, same), _SEEN * (_edge(matte) + _edge(expected)), 2.0)
    growth = float(np.log(max(_sum(a), 1.0) / max(_sum(b), 1.0)))
    # The area between two curves over their length is their mean distance, in fractions of a pixel too.
    return Agreement(_sum(cv2.min(a, b)) / union, _sum(cv2.absdiff(a, b)) / edge, growth)


def _shifted(
    earlier: NDArray[np.uint8], matte: NDArray[np.uint8], picture: NDArray[np.uint8]
) -> tuple[cv2.typing.MatLike, cv2.typing.MatLike]:
    """The earlier matte and picture, moved as the matte's centre moved."""
    (x0, y0), (x1, y1) = _centre(earlier), _centre(matte)
    move = np.array([[1, 0, x1 - x0], [0, 1, y1 - y0]], np.float32)
    size = matte.shape[1], matte.shape[0]
    return cv2.warpAffine(earlier, move, size), cv2.warpAffine(picture, move, size, borderMode=cv2.BORDER_REPLICATE)


def _difference(a: cv2.typing.MatLike, b: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """(h, w): the largest difference of the three colours."""
    blue, green, red = cv2.split(cv2.absdiff(a, b))
    return cv2.max(cv2.max(blue, green), red)


def _flow(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w, 2): where each pixel of ``a`` is in ``b``; at rest in pictures too small for flow."""
    if min(a.shape) < _LEAST_SIDE:
        return np.zeros((*a.shape, 2), np.float32)
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(method.calc(a, b, None), np.float32)  # pyright: ignore[reportArgumentType, reportCallIssue]


@lru_cache(maxsize=2)
def _grid(width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The column and the row of each pixel, (h, w)."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return columns, rows


def _centre(matte: NDArray[np.uint8]) -> tuple[float, float]:
    moments = cv2.moments(matte)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]


def _remap(image: NDArray[np.uint8], x: NDArray[np.float32], y: NDArray[np.float32], border: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=border), np.uint8)


def _sum(matte: cv2.typing.MatLike) -> float:
    return cv2.sumElems(matte)[0] / 255.0


def _edge(matte: cv2.typing.MatLike, where: cv2.typing.MatLike | None = None) -> float:
    """Length of the boundary: by the coarea formula, the sum of the gradient's length over the matte."""
    x = cv2.Sobel(matte, cv2.CV_32F, 1, 0, ksize=1)
    y = cv2.Sobel(matte, cv2.CV_32F, 0, 1, ksize=1)
    length = cv2.magnitude(x, y)
    return cv2.mean(length, where)[0] * (length.size if where is None else cv2.countNonZero(where)) / 510.0
