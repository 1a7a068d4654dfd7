"""Edges fitted to the plate, by what colours object and background have just there.

In small neighbourhoods the colours of object and background are two Gaussians, weighted by the alpha that is known so
far, at first the logits'. They say how likely each cell is either one; with the logits as prior that is a better
alpha, and the two are found again in smaller neighbourhoods. This is expectation maximisation with the local region
models of Lankton and Tannenbaum (IEEE TIP 2008). Between the two means alpha is then the best linear function of colour
(on a line between two colours alpha is affine in colour: Levin et al., PAMI 2008). Its coefficients, smooth from cell
to cell, are enlarged and applied to the plate's own pixels, as in the fast guided filter (He and Sun, arXiv
1505.00996), so that a hair of one pixel is found at one pixel.

What is thinner than a cell is never seen pure in one. So the function is first applied to *points*, parts of a cell,
the two Gaussians are found once more from these, and the function from those.

How far colours are followed, against the logits, is measured and not set, around each cell and for each scale by
itself: for cells against the mean around them, and for that mean. Where logits are sure, all that colours say against
them is the colours' error; where logits are in doubt, it is that and what there is to find. The more of the first
there is in the second, the less is followed (shrinkage, as of wavelets by Donoho and Johnstone, Biometrika 1994). So
texture before a like texture, motion blur and defocus leave alpha as smooth as the logits; hair before a wall makes
its own alpha. And no pixel may go further from its logit than logits err.

Alpha may change only in a band around where the logits are in doubt: the core stays solid and the far background stays
empty whatever the colours say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from .logits import Logits
from .window import Map

# Chosen on the tuning half of benchmarks/mattes.
# Reach of the neighbourhoods, in cells, from the first round to the last, and of those that points are seen in.
_RADII, _OF_POINTS = (10, 3), 2
# Half width of the band beyond the doubtful pixels, in pixels of the logits, and its least in cells.
_BAND_LOGIT_PIXELS, _BAND_CELLS = 1.5, 2.0
# Between this and one minus this, coverage is in doubt.
_DOUBT = 0.05
# Alpha from which on a cell counts as a sample of a side.
_SAMPLE = 0.2
# Share of a neighbourhood that must be samples of either side for their colours to be believed.
_ENOUGH = 0.01
# Colour variance that camera noise makes, as a share of full scale squared.
_NOISE = 5e-5
# What colours weigh against logits: the coarser the logits (in cells), the more there is to correct; never more than
# as if every second cell told something new. And the most that one cell may say, as a log likelihood ratio.
_WEIGHT_PER_CELL, _WEIGHT_MOST, _MOST = 0.3, 0.55, 4.0
# Reach, in cells, over which the error of colours is measured.
_MEASURED = 4
# Error over finding at which one half of what colours say is followed: for cells and their means, and more by what
# colours weigh; and for pixels, which hold more than cells show.
_HALF, _HALF_PER_WEIGHT, _HALF_PIXELS = 0.35, 0.8, 1.2
# What colours say is looked at no further outside of 0..1 than this.
_BEYOND = 0.5
# The variance, in alpha, of a pixel around what logits say: at least, and more by what colours weigh.
_VARIANCE, _VARIANCE_PER_WEIGHT = 0.5, 0.45
# Where logits are sure they err less than in the middle: so many times further from 0 they bound what colours may do.
_FIRMER = 1.8
# How far a pixel may go from its logit, in logits: at least, and more by what colours weigh.
_FREE, _FREE_PER_WEIGHT = 4.0, 3.3
_SUREST = 3e-4

#: Edges mix in light and the plate is seen as sRGB: colours are raised to this, between the one, which would drown the
#: dark in the bright, and the other.
LIGHT = 1.45

#: How far from the band cells count for what is done in it: two box filters that measure, one before and one after.
NEAR = 2 * _MEASURED + 2
#: How far from the band anything counts for it.
LOOKS = max(2 * max(_RADII), NEAR + 2 * max(_RADII[-1], _OF_POINTS))
#: How many cells around a cell its result depends on: two box filters a round, the function, its points, the function.
SEES = 2 * sum(_RADII) + NEAR + 1 + 2 * _OF_POINTS + NEAR

Planes = Values = Any  # numpy or torch, float32


def band(coarse: Map, logit: float, wider: float) -> Map:
    """How far alpha may move, 0..1, for each cell. ``logit``: size of the logits' pixels in cells; ``wider``: cells by
    which the user wants the band wider."""
    doubtful = (coarse > _DOUBT) & (coarse < 1.0 - _DOUBT)
    inside = (coarse > 0.5).astype(np.uint8)
    edge = cv2.dilate(inside, np.ones((3, 3), np.uint8)) > cv2.erode(inside, np.ones((3, 3), np.uint8))
    middle = (doubtful | edge).astype(np.uint8)
    width = max(_BAND_CELLS, _BAND_LOGIT_PIXELS * logit) + wider
    found = np.zeros_like(coarse)
    # What is further away than the band is wide need not be looked at. OpenCV counts a step as 0.955 cells.
    x, y, across, down = cv2.boundingRect(middle)
    more = math.ceil(width / 0.95)
    near = np.s_[max(0, y - more) : y + down + more, max(0, x - more) : x + across + more]
    away = cv2.distanceTransform(1 - middle[near], cv2.DIST_L2, 3)
    found[near] = np.clip(2.0 - 2.0 * np.minimum(away, width) / width, 0.0, 1.0)
    return found


def weight(logit: float) -> float:
    """What colours weigh for logits whose pixels are ``logit`` cells large."""
    return min(_WEIGHT_MOST, _WEIGHT_PER_CELL * logit)


class Prior(NamedTuple):
    """What ``logits`` say before colours are looked at. ``coverage`` and ``band``: of the cells of the window that is
    looked at, (h, w), 0..1; ``weight``: see :func:`weight`."""

    coverage: Map
    band: Map
    logits: Logits
    weight: float


class Cells(Protocol):
    """What numpy and torch do in different ways. Planes are (..., h, w), values (..., n): those of the cells that
    count, or of all, still (..., h, w)."""

    def near(self, planes: Planes) -> Values:
        """The values of ``planes``."""
        ...

    def whole(self, values: Values, elsewhere: Planes | float) -> Planes:
        """``values`` as planes."""
        ...

    def box(self, values: Values, reach: int, times: int = 1) -> Values:
        """The mean over 2 ``reach`` + 1 cells each way, ``times`` over, nothing being beyond the border."""
        ...

    def sums(self, terms: Sequence[Planes], samples: Planes, reach: int, of_points: bool = False) -> Values:
        """:meth:`box` twice over each of ``terms`` times each of ``samples``: (terms, samples, ...). ``of_points``:
        they are planes of points, and averaged over cells first."""
        ...

    def means(self, points: Planes) -> Planes:
        """Planes of points averaged over cells."""
        ...

    def points(self, values: Values) -> Planes:
        """``values`` enlarged to planes of points, 0 where no cells count."""
        ...


def fit(xp: Any, cells: Cells, guide: Planes, logits: Planes, coarse: Planes, band: Planes, weight: float) -> Planes:
    """Alpha as a function of logit and colour, for each cell: (6, h, w), what :func:`at` takes; all 0 where logits
    alone decide.

    ``guide``: colours of points, (3, points down, points across), 0..1, see :data:`LIGHT`; ``logits`` of the same
    points, of which a cell has :data:`.window.POINTS` each way; the others, of cells: see :class:`Prior`. ``xp`` is
    numpy or torch, whose arrays all of these are.
    """
    means = cells.means(guide)
    terms, everywhere = _terms(xp, means), xp.clip(coarse, _SUREST, 1.0 - _SUREST)
    colour, coarse, band, known = map(cells.near, (means, coarse, band, everywhere))
    prior = _logit(xp, known)
    alpha, sides = known, None
    for reach in _RADII:
        samples = _samples(xp, cells.whole(alpha, everywhere))
        sides = _gaussians(cells.sums(terms, samples, reach))
        inside, outside = _surprise(xp, colour[:, None], sides)
        likelier = xp.clip(outside - inside, -_MOST, _MOST)
        alpha = _sigmoid(xp, prior + weight * _believed(xp, sides) * likelier)
        alpha = xp.clip(band * alpha + (1.0 - band) * known, _SUREST, 1.0 - _SUREST)
    assert sides
    known = _Known(colour, coarse, band, known, prior, alpha)
    found = cells.points(_function(xp, cells, known, sides, weight))
    samples = _samples(xp, at(xp, found, guide, logits, weight))
    sides = _gaussians(cells.sums(_terms(xp, guide), samples, _OF_POINTS, of_points=True))
    return cells.whole(_function(xp, cells, known, sides, weight), 0.0)


class _Known(NamedTuple):
    """What is known of each cell: its ``colour`` (3, ...), coverage by its logits, band, that coverage as it may be
    taken the logit of, and that, and alpha by colours and logits."""

    colour: Values
    coarse: Values
    band: Values
    coverage: Values
    logit: Values
    alpha: Values


def _function(xp: Any, cells: Cells, known: _Known, sides: _Sides, weight: float) -> Values:
    """What :func:`fit` returns, by the colours of the two sides."""
    colour, coarse, band, coverage, prior, alpha = known
    believed = _believed(xp, sides)
    background = sides.mean[:, 1]
    apart = sides.mean[:, 0] - background
    # The same rule on both sides of the edge, so that its errors can be compared.
    spread = [0.5 * (inside + outside) for inside, outside in sides.covariance]
    factors = _factors(xp, spread)
    reduced = _reduced(factors, apart)
    weights = xp.stack(_solved(factors, reduced))
    contrast = _length(factors, reduced)
    said = _dot(weights, colour - background) / (contrast + 1e-3)
    # Precision-weighted mean of the colours' word and the logit's.
    doubt = 1.0 / (_VARIANCE + _VARIANCE_PER_WEIGHT * weight)
    weights = band * believed * weights / (believed * contrast + doubt)
    constant = -_dot(weights, background)
    share = _dot(weights, apart)
    means = 1.0 / cells.box(xp.ones_like(coarse)[None], 1)
    move = _dot(weights, colour) + constant + (1.0 - share) * alpha - coarse
    broad = (cells.box(move[None], 1) * means)[0]
    for_cells, for_means, for_pixels = _followed(xp, cells, means, coarse, said, weight)
    weights, constant, share = for_pixels * weights, for_pixels * constant, for_pixels * share
    middle = (for_pixels * alpha + (1.0 - for_pixels) * coverage - share * alpha) / (1.0 - share)
    shift = _logit(xp, xp.clip(middle, _SUREST, 1.0 - _SUREST)) - prior
    red, green, blue, constant, shift, share = cells.box(xp.stack([*weights, constant, shift, share]), 1) * means
    rest = (for_cells - for_pixels) * (move - broad) + (for_means - for_pixels) * broad
    return xp.stack([red, green, blue, constant + rest, shift, share])


def at(xp: Any, found: Planes, guide: Planes, logits: Planes, weight: float) -> Planes:
    """Alpha, 0..1, of places with colours ``guide`` and ``logits``. ``found``, enlarged to these places: the weights of
    R, G and B, a constant, what is added to the logit, and the share of its sigmoid that the other four stand for."""
    red, green, blue, constant, shift, share = found
    logits = logits + shift
    alpha = _dot((red, green, blue), guide) + constant + (1.0 - share) * _sigmoid(xp, logits)
    return bounded(xp, alpha, logits, weight)


def _followed(
    xp: Any, cells: Cells, means: Values, coarse: Values, said: Values, weight: float
) -> tuple[Values, Values, Values]:
    """How far, 0..1, to follow what colours say: in cells against the mean of cells around them, in that mean, and in
    pixels against their cell. ``said``: alpha by colours alone; ``means``: one over how much of a mean there is."""
    off = xp.clip(said, -_BEYOND, 1.0 + _BEYOND) - coarse
    broad = (cells.box(off[None], 1) * means)[0]
    fine = off - broad
    sure = ((2.0 * coarse - 1.0) ** 2) ** 2
    here = xp.stack([xp.ones_like(off), fine * fine, broad * broad])
    sums = cells.box(xp.concatenate([sure * here, (1.0 - sure) * here]), _MEASURED, 2)
    surely, error_fine, error_broad, doubtful, found_fine, found_broad = sums
    scale = (doubtful + 1e-3) / (surely + 1e-3)
    in_cells = scale * (error_fine + 1e-4) / (found_fine + 1e-4)
    in_means = scale * (error_broad + 1e-4) / (found_broad + 1e-4)
    half = _HALF + _HALF_PER_WEIGHT * weight
    return _half(in_cells, half), _half(in_means, half), _half(in_cells, _HALF_PIXELS)


def _half(ratio: Planes, at: float) -> Planes:
    """From 1 down to 0 as ``ratio`` grows, one half where it is ``at``."""
    return 1.0 / (1.0 + (ratio / at) ** 2)


def bounded(xp: Any, alpha: Planes, logits: Planes, weight: float) -> Planes:
    """``alpha`` no further from its logit than logits err, and in 0..1; a logit of 0 leaves it all but free."""
    free = math.exp(_FREE + _FREE_PER_WEIGHT * weight)
    spare, odds = 1.0 / (1.0 + free), xp.exp(-_FIRMER * logits)
    least, most = ((1.0 + 2.0 * spare) / (1.0 + odds * way) - spare for way in (free, 1.0 / free))
    return xp.clip(xp.minimum(xp.maximum(alpha, least), most), 0.0, 1.0)


def _sigmoid(xp: Any, logits: Planes) -> Planes:
    return 1.0 / (1.0 + xp.exp(-logits))


def _logit(xp: Any, share: Planes) -> Planes:
    return xp.log(share / (1.0 - share))


def _terms(xp: Any, guide: Planes) -> list[Planes]:
    """1, the colour and its six products."""
    r, g, b = guide
    return [xp.ones_like(r), r, g, b, *_products(guide)]


def _products(colour: Sequence[Values]) -> list[Values]:
    r, g, b = colour
    return [r * r, r * g, r * b, g * g, g * b, b * b]


class _Sides(NamedTuple):
    """The colours of object and background around each cell: ``mean`` (3, 2, ...), ``covariance`` (six of (2, ...); of
    R with R, G, B, of G with G, B, of B), and the share of samples, ``amount`` (2, ...)."""

    mean: Values
    covariance: Sequence[Values]
    amount: Values


def _samples(xp: Any, alpha: Planes) -> Planes:
    """How far each cell is a sample of the object and of the background."""
    return xp.clip((xp.stack([alpha, 1.0 - alpha]) - _SAMPLE) / (1.0 - _SAMPLE), 0.0, 1.0)


def _gaussians(sums: Values) -> _Sides:
    amount = sums[0]
    moments = sums[1:] / (amount + 1e-6)
    mean = moments[:3]
    covariance = [both - product for both, product in zip(moments[3:], _products(mean), strict=True)]
    return _Sides(mean, covariance, amount)


def _believed(xp: Any, sides: _Sides) -> Values:
    return xp.clip(xp.minimum(sides.amount[0], sides.amount[1]) / _ENOUGH, 0.0, 1.0)


def _surprise(xp: Any, colour: Values, sides: _Sides) -> Values:
    """Minus the log likelihood of ``colour``, but for a constant."""
    factors = _factors(xp, sides.covariance)
    *_, first, second, third = factors
    return 0.5 * (_length(factors, _reduced(factors, colour - sides.mean)) + xp.log(first * second * third))


def _factors(xp: Any, covariance: Sequence[Values]) -> tuple[Values, ...]:
    """Of symmetric 3 x 3 matrices with camera noise on their diagonal: L (of G with R, of B with R, G) and D of their
    L D L'. Unlike their determinants, which differences of large products make, D is never lost in roundings; noise is
    the least that it can be."""
    rr, rg, rb, gg, gb, bb = covariance
    first = xp.clip(rr + _NOISE, _NOISE, None)
    gr, br = rg / first, rb / first
    second = xp.clip(gg + _NOISE - gr * rg, _NOISE, None)
    rest = gb - br * rg
    bg = rest / second
    third = xp.clip(bb + _NOISE - br * rb - bg * rest, _NOISE, None)
    return gr, br, bg, first, second, third


def _reduced(factors: Sequence[Values], vector: Values) -> list[Values]:
    """L's inverse times ``vector``."""
    gr, br, bg, *_ = factors
    r, g, b = vector
    g = g - gr * r
    return [r, g, b - br * r - bg * g]


def _length(factors: Sequence[Values], reduced: Sequence[Values]) -> Values:
    """The square of a vector's Mahalanobis length, from what :func:`_reduced` makes of it."""
    *_, first, second, third = factors
    r, g, b = reduced
    return r * r / first + g * g / second + b * b / third


def _solved(factors: Sequence[Values], reduced: Sequence[Values]) -> list[Values]:
    """The matrices' inverses times a vector, from what :func:`_reduced` makes of it."""
    gr, br, bg, first, second, third = factors
    r, g, b = reduced
    b = b / third
    g = g / second - bg * b
    return [r / first - gr * g - br * b, g, b]


def _dot(one: Sequence[Values], other: Sequence[Values]) -> Values:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
