"""Small plots over the frames of a shot as SVG: at most :data:`COLUMNS` points each, whatever the shot's length."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from .score import BAD, GOOD

COLUMNS = 500
_WIDTH, _HEIGHT, _PAD = 1000.0, 56.0, 4.0
ABSENT, FINE, LOOK, WORK = "#3a3a3e", "#3f9b6c", "#e0a32e", "#e2574c"


def colour_of(score: float | None) -> str:
    """Grey for nothing to judge, green, amber or red."""
    if score is None:
        return ABSENT
    return FINE if score >= GOOD else LOOK if score >= BAD else WORK


def line(
    values: Sequence[float | None], frames: Sequence[int], colour: str, marks: Sequence[int], top: float | None = None
) -> Markup:
    """One measure, from 0 up; None leaves a gap. ``top``: value at the upper edge, the largest one by default.
    ``marks``: indices of frames to point out, each a link to the picture of its frame."""
    known = [value for value in values if value is not None]
    high = top if top is not None else max(known, default=0.0)
    high = high or 1.0
    parts: list[str] = []
    pen_down = False
    for x, value in _thinned(values):
        if value is None:
            pen_down = False
            continue
        y = _HEIGHT - _PAD - (_HEIGHT - 2 * _PAD) * min(value / high, 1.0)
        # A lone point is drawn too: a line of no length with round ends.
        parts.append(f"L{x:.1f} {y:.1f}" if pen_down else f"M{x:.1f} {y:.1f}h0")
        pen_down = True
    lines = [
        f'<a href="#f{frames[index]}"><line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT:.0f}">'
        f"<title>{frames[index]}</title></line></a>"
        for index in marks
        for x in [_x(index, len(values))]
    ]
    return Markup(
        f'<svg class="plot" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" preserveAspectRatio="none" role="img">'
        f'{"".join(lines)}<path d="{"".join(parts)}" stroke="{escape(colour)}"/></svg>'
    )


def ribbon(scores: Sequence[float | None]) -> Markup:
    """Scores as a coloured strip; a column of many frames shows the worst of them."""
    count = len(scores)
    columns = min(count, COLUMNS)
    rects: list[tuple[float, float, str]] = []
    for column in range(columns):
        start, end = column * count // columns, (column + 1) * count // columns
        judged = [score for score in scores[start:end] if score is not None]
        colour = colour_of(min(judged, default=None))
        left, right = start * _WIDTH / count, end * _WIDTH / count
        if rects and rects[-1][2] == colour:
            rects[-1] = (rects[-1][0], right, colour)
        else:
            rects.append((left, right, colour))
    shapes = "".join(f'<rect x="{a:.2f}" width="{b - a:.2f}" height="10" fill="{c}"/>' for a, b, c in rects)
    return Markup(f'<svg class="ribbon" viewBox="0 0 {_WIDTH:.0f} 10" preserveAspectRatio="none">{shapes}</svg>')


def ticks(frames: Sequence[int], most: int) -> list[tuple[float, int]]:
    """Frames to label below a plot, the first and the last among them: (where, in per cent of the width; number)."""
    count = len(frames)
    picked = sorted({round(i * (count - 1) / max(1, most - 1)) for i in range(most)})
    return [(100 * _x(index, count) / _WIDTH, frames[index]) for index in picked]


def _x(index: float, count: int) -> float:
    """The middle of a frame's share of the width, as in the ribbon."""
    return (index + 0.5) * _WIDTH / count


def _thinned(values: Sequence[float | None]) -> list[tuple[float, float | None]]:
    """(x, value) of each frame, or of each column's least and greatest, so that no spike is lost."""
    count = len(values)
    if count <= COLUMNS:
        return [(_x(i, count), value) for i, value in enumerate(values)]
    points: list[tuple[float, float | None]] = []
    for column in range(COLUMNS // 2):
        start, end = column * 2 * count // COLUMNS, (column + 1) * 2 * count // COLUMNS
        known = [i for i in range(start, end) if values[i] is not None]
        if not known:
            points.append((_x(start, count), None))
            continue
        ends = {min(known, key=lambda i: values[i] or 0.0), max(known, key=lambda i: values[i] or 0.0)}
        points += [(_x(i, count), values[i]) for i in sorted(ends)]
    return points


def shown(value: float) -> str:
    """A number for a label, three digits."""
    if not math.isfinite(value):
        return ""
    return f"{value:.3g}"
