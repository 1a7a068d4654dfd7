"""Edges fitted to the plate, by what colours object and background have just there.

In small neighbourhoods the colours of object and background are two Gaussians, weighted by the alpha that is known so
far, at first the logits'. They say how likely each cell is either one; with the logits as prior that is a better
alpha, and the two are found again in smaller neighbourhoods, three times over. This is expectation maximisation with
the local region models of Lankton and Tannenbaum (IEEE TIP 2008). Between the two means alpha is then the best linear
function of colour (on a line between two colours alpha is affine in colour: Levin et al., PAMI 2008). Its
coefficients, smooth from cell to cell, are enlarged and applied to the plate's own pixels, as in the fast guided
filter (He and Sun, arXiv 1505.00996), so that a hair of one pixel is found at one pixel.

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
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .window import Map, sigmoid

# Chosen on the tuning half of benchmarks/mattes, where each was varied by itself.
#: Reach of the neighbourhoods, in cells, from the first round to the last.
_RADII = (8, 5, 3)
# Half width of the band beyond the doubtful pixels, in pixels of the logits, and its least in cells.
_BAND_LOGIT_PIXELS, _BAND_CELLS = 3.0, 2.0
# Between this and one minus this, coverage is in doubt.
_DOUBT = 0.05
# Alpha from which on a cell counts as a sample of a side.
_SAMPLE = 0.1
# Share of a neighbourhood that must be samples of either side for their colours to be believed.
_ENOUGH = 0.03
# Colour variance that camera noise makes, as a share of full scale squared.
_NOISE = 2e-4
# What colours weigh against logits: the coarser the logits (in cells), the more there is to correct; never more than
# as if every second cell told something new. And the most that one cell may say, as a log likelihood ratio.
_WEIGHT_PER_CELL, _WEIGHT_MOST, _MOST = 0.27, 0.5, 6.0
# Reach, in cells, over which the error of colours is measured.
_MEASURED = 4
# Error over finding at which one half of what colours say is followed: for cells and their means, and more by what
# colours weigh; and for pixels, which hold more than cells show.
_HALF, _HALF_PER_WEIGHT, _HALF_PIXELS = 0.35, 0.4, 1.5
# What colours say is looked at no further outside of 0..1 than this.
_BEYOND = 0.5
# The variance, in alpha, of a pixel around what logits say: at least, and more by what colours weigh.
_VARIANCE, _VARIANCE_PER_WEIGHT = 0.65, 0.5
# Logits are this many times as sure as they are right: so much nearer to 0 they bound what colours may do.
_OVERSURE = 1.2
# How far a pixel may go from its logit, in logits: at least, and more by what colours weigh.
_FREE, _FREE_PER_WEIGHT = 2.5, 2.5
_SUREST = 3e-4

#: Edges mix in light and the plate is seen as sRGB: colours are raised to this, between the one, which would drown the
#: dark in the bright, and the other.
LIGHT = 1.3
_IN_LIGHT = ((np.arange(256) / 255.0) ** LIGHT).astype(np.float32)

#: How many cells around a cell its result depends on: two box filters a round, three that measure, one at the end.
SEES = 2 * sum(_RADII) + 2 * _MEASURED + 2

Planes = Any  # numpy or torch, float32 (n, h, w)
Box = Callable[[Planes, int], Planes]


def band(coarse: Map, logit: float, wider: float) -> Map:
    """How far alpha may move, 0..1, for each cell. ``logit``: size of the logits' pixels in cells; ``wider``: cells by
    which the user wants the band wider."""
    doubtful = (coarse > _DOUBT) & (coarse < 1.0 - _DOUBT)
    inside = (coarse > 0.5).astype(np.uint8)
    edge = cv2.dilate(inside, np.ones((3, 3), np.uint8)) > cv2.erode(inside, np.ones((3, 3), np.uint8))
    away = cv2.distanceTransform((~(doubtful | edge)).astype(np.uint8), cv2.DIST_L2, 3)
    width = max(_BAND_CELLS, _BAND_LOGIT_PIXELS * logit) + wider
    return np.asarray(np.clip(2.0 - 2.0 * np.minimum(away, width) / width, 0.0, 1.0), np.float32)


def weight(logit: float) -> float:
    """What colours weigh for logits whose pixels are ``logit`` cells large."""
    return min(_WEIGHT_MOST, _WEIGHT_PER_CELL * logit)


def fit(xp: Any, box: Box, guide: Planes, coarse: Planes, band: Planes, weight: float) -> Planes:
    """Alpha as a function of logit and colour, for each cell: (6, h, w), the weights of R, G, B, a constant, what is
    added to the logit, and the weight of its sigmoid.

    ``guide``: (3, h, w), 0..1, see :data:`LIGHT`; ``coarse`` and ``band``: (h, w), 0..1; ``weight``: see
    :func:`weight`. ``xp`` is numpy or torch, whose arrays all of these are, and ``box(planes, r)`` is the mean over
    2r + 1 cells each way, nothing being beyond the border.
    """
    known = xp.clip(coarse, _SUREST, 1.0 - _SUREST)
    prior = _logit(xp, known)
    terms = _terms(xp, guide)
    inside = outside = None
    believed = alpha = known
    for reach in _RADII:
        inside = _gaussian(xp, box, terms, alpha, reach)
        outside = _gaussian(xp, box, terms, 1.0 - alpha, reach)
        believed = xp.clip(xp.minimum(inside.amount, outside.amount) / _ENOUGH, 0.0, 1.0)
        likelier = _surprise(xp, guide, outside) - _surprise(xp, guide, inside)
        alpha = _sigmoid(xp, prior + weight * believed * xp.clip(likelier, -_MOST, _MOST))
        alpha = xp.clip(band * alpha + (1.0 - band) * known, _SUREST, 1.0 - _SUREST)
    assert inside
    assert outside
    apart = inside.mean - outside.mean
    # The same rule on both sides of the edge, so that its errors can be compared.
    spread = 0.5 * (inside.covariance + outside.covariance)
    weights = _times(xp, _inverse(xp, spread)[0], apart)
    contrast = (weights * apart).sum(0)
    said = (weights * (guide - outside.mean)).sum(0) / (contrast + 1e-3)
    # Precision-weighted mean of the colours' word and the logit's.
    doubt = 1.0 / (_VARIANCE + _VARIANCE_PER_WEIGHT * weight)
    weights = band * believed * weights / (believed * contrast + doubt)
    constant = -(weights * outside.mean).sum(0)
    share = (weights * apart).sum(0)
    means = 1.0 / box(xp.ones_like(coarse)[None], 1)
    move = (weights * guide).sum(0) + constant + (1.0 - share) * alpha - coarse
    broad = (box(move[None], 1) * means)[0]
    for_cells, for_means, for_pixels = _followed(xp, box, means, coarse, said, weight)
    weights, constant, share = for_pixels * weights, for_pixels * constant, for_pixels * share
    middle = (for_pixels * alpha + (1.0 - for_pixels) * known - share * alpha) / (1.0 - share)
    shift = _logit(xp, xp.clip(middle, _SUREST, 1.0 - _SUREST)) - prior
    found = box(xp.stack([*weights, constant, shift, 1.0 - share]), 1) * means
    rest = (for_cells - for_pixels) * (move - broad) + (for_means - for_pixels) * broad
    return xp.stack([*found[:3], found[3] + rest, found[4], found[5]])


def _followed(
    xp: Any, box: Box, means: Planes, coarse: Planes, said: Planes, weight: float
) -> tuple[Planes, Planes, Planes]:
    """How far, 0..1, to follow what colours say: in cells against the mean of cells around them, in that mean, and in
    pixels against their cell. ``said``: alpha by colours alone; ``means``: one over how much of a mean there is."""
    off = xp.clip(said, -_BEYOND, 1.0 + _BEYOND) - coarse
    broad = (box(off[None], 1) * means)[0]
    fine = off - broad
    sure = (2.0 * coarse - 1.0) ** 4
    here = xp.stack([xp.ones_like(off), fine * fine, broad * broad])
    surely, error_fine, error_broad = box(box(sure * here, _MEASURED), _MEASURED)
    doubtful, found_fine, found_broad = box(box((1.0 - sure) * here, _MEASURED), _MEASURED)
    scale = (doubtful + 1e-3) / (surely + 1e-3)
    in_cells = scale * (error_fine + 1e-4) / (found_fine + 1e-4)
    in_means = scale * (error_broad + 1e-4) / (found_broad + 1e-4)
    half = _HALF + _HALF_PER_WEIGHT * weight
    return _half(in_cells, half), _half(in_means, half), _half(in_cells, _HALF_PIXELS)


def _half(ratio: Planes, at: float) -> Planes:
    """From 1 down to 0 as ``ratio`` grows, one half where it is ``at``."""
    return 1.0 / (1.0 + (ratio / at) ** 2)


def in_light(guide: NDArray[np.uint8]) -> Map:
    """What :func:`apply` takes for a picture, uint8 (h, w, 3): float32 (3, h, w), 0..1, see :data:`LIGHT`."""
    return np.asarray([cv2.LUT(channel, _IN_LIGHT) for channel in cv2.split(guide)], np.float32)


def apply(found: Planes, guide: Map, logits: Map, weight: float, cell: int) -> Map:
    """:func:`fit`'s functions on the plate's own pixels. ``found``: (6, h + 2, w + 2), the cells of ``guide`` and one
    more on each side; ``guide``: of :func:`in_light`, (3, h * cell, w * cell); ``logits``: of the guide's size.
    Returns alpha, 0..1, of the guide's size."""
    height, width = logits.shape
    trim = np.s_[cell : cell + height, cell : cell + width]
    large = (width + 2 * cell, height + 2 * cell)
    *weights, constant, shift, keep = (cv2.resize(p, large, interpolation=cv2.INTER_LINEAR)[trim] for p in found)
    logits = logits + shift
    alpha = constant + keep * sigmoid(logits)
    for weighs, channel in zip(weights, guide, strict=True):
        alpha += weighs * channel
    return np.asarray(bounded(np, alpha, logits, weight), np.float32)


def bounded(xp: Any, alpha: Planes, logits: Planes, weight: float) -> Planes:
    """``alpha`` no further from its logit than logits err, and in 0..1; a logit of 0 leaves it all but free."""
    middle, free = logits / _OVERSURE, _FREE + _FREE_PER_WEIGHT * weight
    spare = 1.0 / (1.0 + math.exp(free))
    least, most = ((1.0 + 2.0 * spare) * _sigmoid(xp, middle + way) - spare for way in (-free, free))
    return xp.clip(xp.minimum(xp.maximum(alpha, least), most), 0.0, 1.0)


def box(planes: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The box filter of :func:`fit` for numpy."""
    size, result = (2 * reach + 1, 2 * reach + 1), np.empty_like(planes)
    for plane, mean in zip(planes, result, strict=True):
        cv2.blur(plane, size, mean, borderType=cv2.BORDER_CONSTANT)
    return result


def _sigmoid(xp: Any, logits: Planes) -> Planes:
    return 1.0 / (1.0 + xp.exp(-logits))


def _logit(xp: Any, share: Planes) -> Planes:
    return xp.log(share / (1.0 - share))


def _terms(xp: Any, guide: Planes) -> Planes:
    """1, the colour and its six products: (10, h, w)."""
    r, g, b = guide
    return xp.stack([xp.ones_like(r), r, g, b, r * r, r * g, r * b, g * g, g * b, b * b])


class _Gaussian(NamedTuple):
    """The colours of one side around each cell: ``mean`` (3, h, w), ``covariance`` (6, h, w; of R with R, G, B, of G
    with G, B, of B), and the share of samples, ``amount`` (h, w)."""

    mean: Planes
    covariance: Planes
    amount: Planes


def _gaussian(xp: Any, box: Box, terms: Planes, alpha: Planes, reach: int) -> _Gaussian:
    weight = xp.clip((alpha - _SAMPLE) / (1.0 - _SAMPLE), 0.0, 1.0)
    sums = box(box(terms * weight, reach), reach)
    amount = sums[0]
    moments = sums[1:] / (amount + 1e-6)
    r, g, b = mean = moments[:3]
    return _Gaussian(mean, moments[3:] - xp.stack([r * r, r * g, r * b, g * g, g * b, b * b]), amount)


def _inverse(xp: Any, covariance: Planes) -> tuple[Planes, Planes]:
    """The inverse of symmetric 3 x 3 matrices with camera noise on their diagonal, and their determinants."""
    rr, rg, rb, gg, gb, bb = covariance
    rr, gg, bb = rr + _NOISE, gg + _NOISE, bb + _NOISE
    a, b, c = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    d, e, f = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    determinant = rr * a + rg * b + rb * c
    return xp.stack([a, b, c, d, e, f]) / determinant, determinant


def _times(xp: Any, matrix: Planes, vector: Planes) -> Planes:
    rr, rg, rb, gg, gb, bb = matrix
    r, g, b = vector
    return xp.stack([rr * r + rg * g + rb * b, rg * r + gg * g + gb * b, rb * r + gb * g + bb * b])


def _surprise(xp: Any, colour: Planes, side: _Gaussian) -> Planes:
    """Minus the log likelihood of ``colour``, but for a constant."""
    inverse, determinant = _inverse(xp, side.covariance)
    off = colour - side.mean
    return 0.5 * ((_times(xp, inverse, off) * off).sum(0) + xp.log(determinant))
