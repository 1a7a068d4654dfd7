"""Where a span's Bézier points sit: corners first, then as few as the tolerance allows, on all of its keys at once.

An outline at a key is its marks; a place on it is a fractional mark, the same place at every key.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .bezier import fit, fit_loops
from .corners import ARC, View, corners
from .follow import Places, Samples

#: This share of a segment keeps the tolerance, all of it so many times the tolerance: a ragged spot takes no point.
_MOSTLY, _RAGGED = 0.92, 1.6
#: Two handles that turn by less than this are made to lie in line.
_SMOOTH = np.radians(45)
#: Keys that the first choice of points looks at, and rounds in which points are added where some key needs more.
_VIEWS, _ROUNDS = 7, 8
#: Lengths that a segment is tried at, then lengths between the last that will do and the next.
_TRIES, _FINER = 14, 6
#: Shares of the tolerance with which knots are first chosen: the strictest that asks for no more of them has them the
#: most evenly.
_STRICT = np.arange(1, 9) / 8
#: Knots so many places apart are tried without at once: what comes of each going is then told apart.
_APART = 3
#: Single segments do not meet smoothly yet, so the first choice is stricter.
_STRICTER = 0.75
#: Curves that keep to a distance are mostly off by this part of it on the mean; and the share of segments that are good
#: enough where a curve is to be closer on the mean.
_SPREAD, _BETTER = 4.0, 0.75


def poses(
    outlines: Sequence[Samples], tolerance: float, room: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Closed Béziers (K, N, 6) of few points: x, y, left x, left y, right x, right y; and how far they are off on the
    mean along each outline (K). ``outlines`` are the same marks at K keys. Curves keep within ``tolerance`` pixels of
    them and, on the mean, within ``room`` (K)."""
    views = [View(outline) for outline in outlines]
    fixed = corners(views[len(views) // 2])
    views = [view.anchored(fixed) for view in views]
    some = [views[i] for i in np.unique(np.linspace(0, len(views) - 1, _VIEWS).round().astype(int))]
    knots = choose(some, fixed, _STRICTER * min(tolerance, _SPREAD * float(room.min())))
    for _ in range(_ROUNDS):
        more = _Fitted(views, knots, fixed).wanting(tolerance, room)
        if not len(more):
            break
        knots = np.sort(np.append(knots, more))
    found = _thinned(views, knots, fixed, tolerance, room)
    return found.poses(), found.means()


class _Fitted:
    """Closed curves through ``knots`` on every view. Which knots are smooth is the same on all of them."""

    def __init__(self, views: Sequence[View], knots: Places, fixed: Places) -> None:
        self.views, self.knots, self.count = views, knots, len(views[0].samples)
        ends = np.append(knots[1:], knots[0] + self.count)
        arcs = np.stack([view.arcs(knots, ends) for view in views])
        self.lengths = _lengths(arcs)
        one, two, _ = fit(arcs)
        turns = _turns(arcs, one, two)
        smooth = ~np.isin(knots, fixed) & (np.median(turns, axis=0) < _SMOOTH)
        # Where the outline turns sharply at this key alone, the handles keep their own directions.
        self._loops = fit_loops(arcs, smooth & (turns < 2 * _SMOOTH))

    def off(self) -> NDArray[np.float64]:
        """By how much each segment is off (K, N)."""
        return _ragged(self._loops.gaps)

    def lost(self) -> NDArray[np.float64]:
        """The area between each segment and the outline (K, N)."""
        return self._loops.gaps.mean(-1) * self.lengths

    def means(self) -> NDArray[np.float64]:
        """How far each view's outline is off, on the mean along it (K)."""
        return self.lost().sum(1) / self.lengths.sum(1)

    def wanting(self, tolerance: float, room: NDArray[np.float64]) -> Places:
        """Marks at which more knots are needed. Of neighbours that are off, the worse one first: its knot helps the
        other."""
        off = self.off()
        worst, view = off.max(0), off.argmax(0)
        over = self.means() / room
        if worst.max() <= tolerance and over.max() > 1:
            # Near enough everywhere, but not on the whole: where most is lost.
            view[:] = over.argmax()
            worst = self.lost()[view[0]]
            tolerance = float(np.quantile(worst, _BETTER))
        gaps = self._loops.gaps[view, np.arange(len(self.knots))]
        # Not at the very ends of a segment, where a knot would be of no use.
        t = np.clip(gaps.argmax(1) / (ARC - 1), 0.15, 0.85)
        ends = np.append(self.knots[1:], self.knots[0] + self.count)
        peaks = (worst >= np.roll(worst, 1)) & (worst >= np.roll(worst, -1)) & (ends - self.knots > 2)
        return (self.knots + (ends - self.knots) * t)[peaks & (worst > tolerance)] % self.count

    def poses(self) -> NDArray[np.float64]:
        p, left, right = self._loops.points, self._loops.left, self._loops.right
        return np.stack([p.real, p.imag, left.real, left.imag, right.real, right.imag], -1)


def _thinned(
    views: Sequence[View], knots: Places, fixed: Places, tolerance: float, room: NDArray[np.float64]
) -> _Fitted:
    """Without the knots that are not needed, those first without which single segments lose least."""
    best = _Fitted(views, knots, fixed)
    limit, room = max(tolerance, float(best.off().max())), np.maximum(room, best.means())
    kept: set[float] = set()
    most = len(knots)
    while len(best.knots) > 3:
        knots = best.knots
        before, after = np.roll(knots, 1), np.roll(knots, -1)
        before[0] -= best.count
        after[-1] += best.count
        arcs = np.stack([view.arcs(before, after) for view in views])
        gaps = fit(arcs)[2]
        off = _ragged(gaps).max(0)
        own = best.lost()
        lost = gaps.mean(-1) * _lengths(arcs) - own - np.roll(own, 1, axis=1)
        # What each knot's going takes of the room, by view.
        taken = lost / (best.lengths.sum(1) * room)[:, None]
        left = 1.0 - best.means() / room
        out: list[int] = []
        for i in np.argsort(taken.max(0), kind="stable").tolist():
            if len(out) == min(most, len(knots) - 3):
                break
            alone = all(_APART <= abs(i - j) <= len(knots) - _APART for j in out)
            if alone and knots[i] not in kept and off[i] <= limit and (taken[:, i] <= left).all():
                out.append(i)
                left = left - taken[:, i]
        if not out:
            break
        tried = _Fitted(views, np.delete(knots, out), fixed)
        over = tried.off().max(0) > limit
        if not over.any() and (tried.means() <= room).all():
            best = tried
            continue
        # Those beside which a segment is off now, or the only one.
        near = over | np.roll(over, 1) | np.roll(over, -1)
        gone = knots[out]
        needed = gone[near[np.searchsorted(tried.knots, gone) - 1]] if len(out) > 1 else gone
        if len(needed):
            kept.update(needed.tolist())
        else:
            most = len(out) // 2
    return best


def _ragged(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far off segments count as, of the distances (..., ARC) of their points."""
    # As np.quantile has it, which takes its time on short rows.
    place = _MOSTLY * (gaps.shape[-1] - 1)
    low, share = int(place), place % 1
    rising = np.sort(gaps, -1)
    mostly = rising[..., low] * (1 - share) + rising[..., low + 1] * share
    return np.maximum(mostly, rising[..., -1] / _RAGGED)


def _lengths(arcs: Samples) -> NDArray[np.float64]:
    return np.abs(np.diff(arcs)).sum(-1)


def _turns(arcs: Samples, one: Samples, two: Samples) -> NDArray[np.float64]:
    """By how much the handles at each knot (K, N) are out of line, in radians."""
    coming, going = arcs[..., 0] - np.roll(two, 1, axis=1), one - arcs[..., 0]
    return np.abs(np.angle(going * coming.conj()))


def choose(views: Sequence[View], fixed: Places, tolerance: float) -> Places:
    """Marks of few knots, the ``fixed`` ones among them, between which one Bézier each comes within ``tolerance``
    pixels of the outline on every view. Rising, at least two."""
    count = len(views[0].samples)
    fixed = fixed if len(fixed) else np.array([0.0])
    ends = np.append(fixed[1:], fixed[0] + count)
    knots = np.concatenate(_walks(views, fixed, ends, tolerance * _STRICT))
    if len(knots) < 2:
        knots = np.append(knots, knots[0] + count / 2)
    return np.sort(knots % count)


def _walks(views: Sequence[View], starts: Places, ends: Places, rising: Places) -> list[Places]:
    """For each stretch, the knots from its start up to, but without, its end. Stretches are walked together, and each
    with all of the ``rising`` tolerances, a knot at a time: the first to arrive has the fewest."""
    count = len(views[0].samples)
    found: list[Places] = []
    # (stretches, tolerances, knots): to begin with, all tolerances are at one place.
    walks = starts[:, None, None]
    while len(walks):
        here = walks[..., -1]
        # A whole turn cannot be one segment, nor nearly one.
        most = np.minimum(ends[:, None] - here, count * 0.6)
        tries = here[..., None] + np.geomspace(np.minimum(1.0, most), most, _TRIES, axis=-1)
        reached, beyond = _farthest(views, here, tries, rising)
        walks = np.broadcast_to(walks, (*reached.shape, walks.shape[-1]))
        on = (ends[:, None] - reached >= 0.5).all(1)
        finer = np.linspace(reached[on], beyond[on], _FINER, axis=-1)[..., :-1]
        reached[on] = _farthest(views, here[on], finer, rising)[0]
        arrived = ends[:, None] - reached < 0.5
        found += [walk[np.argmax(there)] for walk, there in zip(walks, arrived, strict=True) if there.any()]
        on = ~arrived.any(1)
        walks, ends = np.append(walks[on], reached[on][..., None], -1), ends[on]
    return found


def _farthest(views: Sequence[View], starts: Places, tries: Places, rising: Places) -> tuple[Places, Places]:
    """The last of the ``tries`` (S, T, n) to which one Bézier from ``starts`` keeps each of the ``rising`` tolerances
    (T) on all views, and the try after it: (S, T). The first one is taken untested."""
    ends = tries[..., 1:]
    begins = np.broadcast_to(starts[..., None], ends.shape)
    off = np.max([_ragged(fit(view.arcs(begins, ends))[2]) for view in views], axis=0)
    good = off <= rising[:, None]
    last = np.where(good.any(-1), ends.shape[-1] - np.argmax(good[..., ::-1], -1), 0)[..., None]
    tries = np.broadcast_to(tries, (*good.shape[:-1], tries.shape[-1]))
    after = np.minimum(last + 1, ends.shape[-1])
    return np.take_along_axis(tries, last, -1)[..., 0], np.take_along_axis(tries, after, -1)[..., 0]
