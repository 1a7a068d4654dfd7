"""Edges fitted to the plate, by what colours object and background have just there.

In small neighbourhoods the colours of object and background are two Gaussians, weighted by the alpha that is known so
far, at first the logits'. They say how likely each cell is either one; with the logits as prior that is a better
alpha, and the two are found again in smaller neighbourhoods, three times over. This is expectation maximisation with
the local region models of Lankton and Tannenbaum (IEEE TIP 2008). Between the two means alpha is then the best linear
function of colour (on a line between two colours alpha is affine in colour: Levin et al., PAMI 2008), drawn towards
what the cells say by as much as the colours leave open. Its coefficients, smooth from cell to cell, are enlarged and
applied to the plate's own pixels, as in the fast guided filter (He and Sun, arXiv 1505.00996), so that a hair of one
pixel is found at one pixel.

Alpha may change only in a band around where the logits are in doubt: the core stays solid and the far background stays
empty whatever the colours say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .window import Map

# Chosen on the tuning half of benchmarks/mattes, where each was varied by itself.
#: Reach of the neighbourhoods, in cells, from the first round to the last.
_RADII = (6, 4, 2)
# Half width of the band beyond the doubtful pixels, in pixels of the logits, and its least in cells.
_BAND_LOGIT_PIXELS, _BAND_CELLS = 3.0, 2.0
# Between this and one minus this, coverage is in doubt.
_DOUBT = 0.05
# Alpha from which on a cell counts as a sample of a side.
_SAMPLE = 0.1
# Share of a neighbourhood that must be samples of either side for their colours to be believed.
_ENOUGH = 0.05
# Colour variance that camera noise makes, as a share of full scale squared.
_NOISE = 6e-4
# What colours weigh against logits: the coarser the logits (in cells), the more there is to correct; never more than
# as if every second cell told something new. And the most that one cell may say, as a log likelihood ratio.
_WEIGHT_PER_CELL, _WEIGHT_MOST, _MOST = 0.27, 0.5, 6.0
# How far, in alpha, a pixel may be from its cell (a standard deviation).
_WITHIN_CELL = 0.4
_SUREST = 3e-4

#: How many cells around a cell its result depends on: two box filters a round, one at the end.
SEES = 2 * sum(_RADII) + 1

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
    """Alpha as a linear function of colour, for each cell: (4, h, w), weights of R, G, B and a constant.

    ``guide``: (3, h, w), 0..1; ``coarse`` and ``band``: (h, w), 0..1; ``weight``: see :func:`weight`. ``xp`` is numpy
    or torch, whose arrays all of these are, and ``box(planes, r)`` is the mean over 2r + 1 cells each way, nothing
    being beyond the border.
    """
    known = xp.clip(coarse, _SUREST, 1.0 - _SUREST)
    prior = xp.log(known / (1.0 - known))
    terms = _terms(xp, guide)
    inside = outside = None
    believed = alpha = coarse
    for reach in _RADII:
        inside = _gaussian(xp, box, terms, alpha, reach)
        outside = _gaussian(xp, box, terms, 1.0 - alpha, reach)
        believed = xp.clip(xp.minimum(inside.amount, outside.amount) / _ENOUGH, 0.0, 1.0)
        likelier = _surprise(xp, guide, outside) - _surprise(xp, guide, inside)
        alpha = 1.0 / (1.0 + xp.exp(-prior - weight * believed * xp.clip(likelier, -_MOST, _MOST)))
        alpha = band * alpha + (1.0 - band) * coarse
    assert inside
    assert outside
    spread = alpha * alpha * inside.covariance + (1.0 - alpha) * (1.0 - alpha) * outside.covariance
    apart = inside.mean - outside.mean
    weights = _times(xp, _inverse(xp, spread)[0], apart) * believed
    contrast = (weights * apart).sum(0)
    # Precision-weighted mean of the colours' word and the cell's.
    cell = _WITHIN_CELL**-2
    weights = weights / (contrast + cell)
    constant = cell * alpha / (contrast + cell) - (weights * outside.mean).sum(0)
    found = xp.concatenate([weights * band, (band * constant + (1.0 - band) * coarse)[None]])
    return box(found, 1) / box(xp.ones_like(coarse)[None], 1)


def apply(found: Planes, guide: NDArray[np.uint8], cell: int) -> Map:
    """:func:`fit`'s functions on the plate's own pixels. ``found``: (4, h + 2, w + 2), the cells of ``guide`` and one
    more on each side; ``guide``: uint8 (h * cell, w * cell, 3). Returns alpha, 0..1, of the guide's size."""
    height, width = guide.shape[:2]
    trim = np.s_[cell : cell + height, cell : cell + width]
    large = (width + 2 * cell, height + 2 * cell)
    alpha = cv2.resize(found[3], large, interpolation=cv2.INTER_LINEAR)[trim]
    for weights, channel in zip(found, cv2.split(guide), strict=False):
        alpha = alpha + cv2.multiply(
            cv2.resize(weights, large, interpolation=cv2.INTER_LINEAR)[trim], channel, scale=1 / 255, dtype=cv2.CV_32F
        )
    return np.asarray(np.clip(alpha, 0.0, 1.0), np.float32)


def box(planes: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The box filter of :func:`fit` for numpy."""
    size = (2 * reach + 1, 2 * reach + 1)
    return np.stack([cv2.blur(plane, size, borderType=cv2.BORDER_CONSTANT) for plane in planes])


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
