"""What shapes leave out, or cover too much, where that costs more overlap than they may lose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .follow import Samples
from .measure import Layers, filled, framed
from .outline import LEAST, eased, outlines
from .surface import Part

#: By so much more than the least overlap is asked, as the report draws finer; and of a piece so much is won, as its own
#: shape is not exact either.
_MARGIN, _WON = 0.001, 0.85
#: Pieces that are given shapes on a frame at once, and the share of the object that they are at least: the larger one
#: where they cannot bring the overlap to what it is to be.
_MOST, _SMALL, _LARGE = 12, 0.0004, 0.01
#: A piece reaches over what is right already by so many tolerances, so that no gap is left between shapes.
_OVER = 1.5

Mask = NDArray[np.bool_]


def falls_short(curves: Layers, matte: Layers, size: tuple[int, int]) -> bool:
    """Whether ``curves`` overlap the outlines ``matte`` by less than they are to."""
    window, _, curves, matte = framed(curves, matte, size)
    return _overdrawn(filled(curves, window), filled(matte, window)) > 0


def leftovers(curves: Layers, matte: Layers, size: tuple[int, int], tolerance: float, hair: bool) -> list[Part]:
    """The largest pieces that ``curves`` miss of the outlines ``matte``, and those that they cover beside it: as many
    as bring the overlap to what it is to be. ``size``: (width, height) of the plate; ``hair``: the matte is so fine
    that they cannot."""
    window, corner, curves, matte = framed(curves, matte, size)
    drawn, wanted = filled(curves, window), filled(matte, window)
    over = _overdrawn(drawn, wanted)
    if over <= 0:
        return []
    either = np.count_nonzero(drawn | wanted)
    pieces = sorted(
        (piece for cuts in (False, True) for piece in _pieces(drawn, wanted, cuts, tolerance)),
        key=lambda piece: -piece.area,
    )
    found: list[Part] = []
    for piece in pieces[:_MOST]:
        if over <= 0 or piece.area < (_LARGE if hair else _SMALL) * either:
            break
        over -= _WON * piece.area
        wider = cv2.dilate(piece.there().astype(np.uint8), _disc(2 * _OVER * tolerance)) > 0
        for ring in _outlined(wider & (wanted != piece.cuts), tolerance):
            found.append(Part(ring + complex(*corner.tolist()), piece.cuts))
    return found


def _overdrawn(drawn: Mask, wanted: Mask) -> float:
    """By how many pixels more than it may be ``drawn`` is wrong."""
    return np.count_nonzero(drawn != wanted) - (1 - LEAST - _MARGIN) * np.count_nonzero(drawn | wanted)


@dataclass(frozen=True)
class _Piece:
    """The pixels of ``labels`` that are ``label``; ``cuts``: they are too much, not missing."""

    area: int
    cuts: bool
    labels: NDArray[np.int32]
    label: int

    def there(self) -> Mask:
        return self.labels == self.label


def _pieces(drawn: Mask, wanted: Mask, cuts: bool, tolerance: float) -> list[_Piece]:
    """What is thick enough to be drawn of what is missing, or too much."""
    wrong = (drawn & ~wanted if cuts else wanted & ~drawn).astype(np.uint8)
    side = max(2, round(tolerance))
    thick = cv2.morphologyEx(wrong, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    count, labels = cv2.connectedComponents(thick)
    areas = np.bincount(labels.ravel(), minlength=count).tolist()
    return [_Piece(areas[label], cuts, np.asarray(labels, np.int32), label) for label in range(1, count)]


def _outlined(piece: Mask, tolerance: float) -> list[Samples]:
    rings = [item for item in outlines(eased(piece.astype(np.float32), tolerance)) if not item.hole]
    largest = sorted(rings, key=lambda item: -item.area)[:1]
    return [item.points[:, 0] + 1j * item.points[:, 1] for item in largest]


def _disc(across: float) -> NDArray[np.uint8]:
    """About ``across`` pixels wide."""
    size = 2 * max(1, round(across / 2)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
