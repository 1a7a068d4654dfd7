"""Two frames compared: does each matte move as the picture moves?

The picture's motion is dense inverse search flow (Kroeger et al., "Fast Optical Flow using Dense Inverse Search",
ECCV 2016), from OpenCV. All lengths here are working pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

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
_MARGIN = 12


@dataclass(frozen=True)
class Shape:
    """One matte on one frame: ``area``, its boundary's length (``edge``), whether it is cut by the frame's border."""

    area: float
    edge: float
    at_border: bool

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
    return Shape(_sum(matte), _edge(matte), any(bool((line > 127).any()) for line in border))


def compare(before: Record, now: Record) -> list[Link | None] | None:
    """A link for each object; None for an object that neither frame has; None alone when there is a cut between."""
    greys = [np.asarray(cv2.cvtColor(record.picture, cv2.COLOR_BGR2GRAY), np.uint8) for record in (before, now)]
    back, forth = _flow(greys[1], greys[0]), _flow(greys[0], greys[1])
    height, width = greys[0].shape
    grid = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = grid[1] + back[..., 0], grid[0] + back[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    # What the way there and back does not return to came into view between the frames (Sundaram, Brox and Keutzer,
    # "Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow", ECCV 2010).
    there = np.asarray(cv2.remap(forth, x, y, cv2.INTER_LINEAR), np.float32)
    lengths = _squared(back) + _squared(there)
    returned = _squared(back + there) < 0.01 * lengths + 0.5
    valid = np.where(inside & returned, 255, 0).astype(np.uint8)
    moved = _Moved(
        _remap(before.picture, x, y, cv2.BORDER_REPLICATE),
        np.stack([_remap(matte, x, y, cv2.BORDER_CONSTANT) for matte in before.mattes]),
        valid,
    )
    if cv2.mean(_difference(now.picture, moved.picture), valid)[0] > _CUT:
        return None
    return [_link(index, before, now, moved) for index in range(len(now.mattes))]


@dataclass(frozen=True)
class _Moved:
    """The earlier frame, moved as the picture moves. ``valid``: 255 where both frames show the same point."""

    picture: NDArray[np.uint8]
    mattes: NDArray[np.uint8]
    valid: NDArray[np.uint8]


def _link(index: int, before: Record, now: Record, moved: _Moved) -> Link | None:
    had, has = _sum(before.mattes[index]) >= LEAST_AREA, _sum(now.mattes[index]) >= LEAST_AREA
    if not had and not has:
        return None
    # Everything happens in the box around both mattes, which is most often a small part of the frame.
    box = _box(np.maximum.reduce([before.mattes[index], now.mattes[index], moved.mattes[index]]))
    matte, expected, picture = now.mattes[index][box], moved.mattes[index][box], now.picture[box]
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
        other, share = _other(index, now.mattes[index], moved.mattes)
    return Link(agreement, other, share, unexplained)


def _other(index: int, matte: NDArray[np.uint8], warped: NDArray[np.uint8]) -> tuple[int | None, float]:
    """Whose place ``matte`` took, and its IoU with that place."""
    shares = [_sum(cv2.min(matte, place)) / _sum(cv2.max(matte, place)) for place in warped]
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
    """(h, w, 2): where each pixel of ``a`` is in ``b``."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return np.asarray(method.calc(a, b, None), np.float32)  # pyright: ignore[reportArgumentType, reportCallIssue]


def _squared(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.square(flow[..., 0]) + np.square(flow[..., 1])


def _box(mask: NDArray[np.uint8]) -> tuple[slice, slice]:
    x, y, width, height = cv2.boundingRect(mask)
    return np.s_[max(0, y - _MARGIN) : y + height + _MARGIN, max(0, x - _MARGIN) : x + width + _MARGIN]


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
