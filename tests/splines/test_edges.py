"""Mattes at the edge of what splines are for: nothing, everything, borders, specks, glitches."""

from __future__ import annotations

import numpy as np
import pytest
from sa2va_plugin.errors import OutputError

from sa2va_core.mattes.splines.measure import distances, raster
from sa2va_core.mattes.splines.outline import StoredOutlines, outlines

from . import redraw
from .conftest import Alpha, Fit
from .scenes import blob, coverage, moved, ngon

SIZE = (200, 120)


def disc(x: float, y: float, radius: float) -> Alpha:
    return coverage([(moved(blob(radius, {}), x, y), False)], SIZE)


def test_an_outline_lies_where_coverage_is_one_half() -> None:
    (ring,) = outlines(disc(100, 60, 30))
    assert np.abs(np.hypot(*(ring.points - (100, 60)).T) - 30).max() < 0.2
    assert ring.area == pytest.approx(np.pi * 900, rel=0.005)


def test_a_ramp_gives_the_place_between_pixels() -> None:
    ramp = np.clip(np.arange(40)[None] / 10 - 1, 0, 1).astype(np.float32)
    alpha = np.repeat(ramp, 30, 0)
    (ring,) = outlines(alpha)
    # Coverage is .5 at index 15, the centre of which is 15.5.
    assert ring.points[:, 0].min() == pytest.approx(15.5)


def test_nothing_gives_no_shape(fit: Fit) -> None:
    item = fit([np.zeros((120, 200), np.float32)] * 3)
    assert item.shapes == ()
    assert (item.fit.worst_px, item.fit.iou, item.fit.worst_frame) == (0, 1, None)


def test_a_full_frame_is_one_shape_that_covers_the_border(fit: Fit) -> None:
    item = fit([np.ones((120, 200), np.float32)] * 5)
    (shape,) = item.shapes
    assert len(shape.keys[0].points) == 4
    assert redraw.mask_of(item, 3, SIZE).all()
    assert item.fit.worst_iou == 1


def test_an_object_may_touch_and_leave_the_frame(fit: Fit) -> None:
    alphas = [disc(150 + 8 * i, 60, 30) for i in range(12)]
    item = fit(alphas)
    (shape,) = item.shapes
    gone = next(i for i, alpha in enumerate(alphas, 1) if (alpha > 0.5).sum() < 13)
    assert shape.first == 1
    assert gone - 2 <= shape.last <= gone
    for frame in range(1, shape.last + 1):
        assert redraw.iou(redraw.mask_of(item, frame, SIZE), alphas[frame - 1] > 0.5) > 0.94
    assert item.fit.worst_px < 1.5


def test_one_frame_makes_a_span_of_one_frame(fit: Fit) -> None:
    item = fit([disc(100, 60, 30)], first=1001)
    (shape,) = item.shapes
    assert (shape.first, shape.last, len(shape.keys)) == (1001, 1001, 1)
    assert item.fit.worst_iou > 0.985


def test_an_object_that_comes_for_one_frame_is_kept(fit: Fit) -> None:
    nothing = np.zeros((120, 200), np.float32)
    (shape,) = fit([nothing, nothing, disc(100, 60, 30), nothing]).shapes
    assert (shape.first, shape.last) == (3, 3)


def test_eight_components_are_eight_shapes(fit: Fit) -> None:
    def frame(i: int) -> Alpha:
        spots = [(moved(blob(11, {}), 25 + 48 * (k % 4) + i, 30 + 55 * (k // 4)), False) for k in range(8)]
        return coverage(spots, SIZE)

    item = fit([frame(i) for i in range(6)])
    assert len(item.shapes) == 8
    assert all((shape.first, shape.last, len(shape.keys)) == (1, 6, 2) for shape in item.shapes)
    assert item.fit.worst_iou > 0.97


def test_an_island_in_a_hole_is_drawn_after_the_hole(fit: Fit) -> None:
    parts = [
        (moved(blob(50, {}), 100, 60), False),
        (moved(blob(35, {}), 100, 60), True),
        (moved(blob(18, {}), 100, 60), False),
    ]
    alphas = [coverage(parts, SIZE)] * 3
    item = fit(alphas)
    assert [shape.hole for shape in item.shapes] == [False, True, False]
    assert redraw.iou(redraw.mask_of(item, 2, SIZE), alphas[0] > 0.5) > 0.98


def test_a_single_pixel_is_a_speck_and_is_reported(fit: Fit) -> None:
    alpha = disc(100, 60, 30)
    alpha[10, 10] = 1
    item = fit([alpha] * 3)
    assert len(item.shapes) == 1
    assert item.fit.dropped == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", ["gone", "elsewhere", "bitten", "pinhole", "spot"])
def test_a_glitch_of_one_frame_does_not_break_a_span(kind: str, fit: Fit) -> None:
    alphas = [disc(70 + 3 * i, 60, 30) for i in range(12)]
    spoilt = alphas[6].copy()
    if kind == "gone":
        spoilt[:] = 0
    elif kind == "elsewhere":
        spoilt = disc(170, 20, 18)
    elif kind == "bitten":
        spoilt[60:] = 0
    elif kind == "pinhole":
        spoilt[55:60, 84:90] = 0
    else:
        spoilt[5:10, 5:11] = 1
    alphas[6] = spoilt
    item = fit(alphas)
    (shape,) = item.shapes
    assert (shape.first, shape.last) == (1, 12)
    if kind in ("pinhole", "spot"):
        # No shape for what is there for one frame and costs 1 % of overlap, but the report says how large it was.
        assert item.fit.bridged == ()
        assert item.fit.dropped > 20
    else:
        assert item.fit.bridged == (7,)
    assert redraw.iou(redraw.mask_of(item, 7, SIZE), disc(88, 60, 30) > 0.5) > 0.97


@pytest.mark.parametrize("cuts", [False, True])
def test_what_costs_much_overlap_gets_a_shape_however_brief(cuts: bool, fit: Fit) -> None:
    """A spot, or a hole, of 6 % of the object on one frame: more than splines may lose."""
    alphas = [disc(70 + 3 * i, 60, 30) for i in range(12)]
    alphas[6] = alphas[6].copy()
    alphas[6][(slice(53, 67), slice(82, 95)) if cuts else (slice(5, 18), slice(5, 19))] = 0 if cuts else 1
    item = fit(alphas)
    body, more = item.shapes
    assert (body.first, body.last) == (1, 12)
    assert (more.first, more.last, more.cuts) == (7, 7, body.name if cuts else None)
    assert item.fit.worst_iou >= 0.98


def test_hair_gets_no_shape_for_every_strand(fit: Fit) -> None:
    """A disc with hairs of one pixel: the disc is drawn, and the report says what the hairs cost."""
    alpha = disc(100, 60, 30)
    alpha[10:110, 20:70:4] = 1
    item = fit([alpha] * 3, 2.0)
    assert len(item.shapes) <= 2
    assert sum(len(shape.keys[0].points) for shape in item.shapes) < 30
    assert item.fit.worst_iou < 0.9


def test_a_bounce_is_followed_not_bridged(fit: Fit) -> None:
    """A ball kicked back: on one frame alone it is where neither neighbour is, and larger, as it takes the shoe."""
    heights = [20, 26, 36, 50, 68, 90, 64, 46, 34, 26]
    alphas = [disc(100, y, 18 if y < 90 else 20) for y in heights]
    item = fit(alphas)
    assert item.fit.bridged == ()
    for frame, alpha in enumerate(alphas, 1):
        assert redraw.iou(redraw.mask_of(item, frame, SIZE), alpha > 0.5) > 0.95


def test_bridged_frames_count_in_the_reported_fit(fit: Fit) -> None:
    alphas = [disc(70 + 3 * i, 60, 30) for i in range(12)]
    alphas[6][60:] = 0
    item = fit(alphas)
    assert item.fit.bridged == (7,)
    seen = redraw.iou(redraw.mask_of(item, 7, SIZE), alphas[6] > 0.5)
    assert item.fit.worst_iou == pytest.approx(seen, abs=0.01)
    assert item.fit.worst_iou < 0.6
    assert item.fit.worst_frame == 7
    assert item.fit.worst_px > 20


@pytest.mark.parametrize("cracked", ["wall", "rim"])
def test_a_wall_of_two_pixels_that_breaks_is_no_glitch(cracked: str, fit: Fit) -> None:
    """Two holes are one for a frame, or open to the outside: outlines change, the object hardly does."""
    alphas = []
    for i in range(9):
        alpha = disc(90 + 2 * i, 60, 45)
        for side in (-1, 1):
            alpha[40:80, 74 + 2 * i + 17 * side : 106 + 2 * i + 17 * side] = 0
        alpha[40:80, 89 + 2 * i : 91 + 2 * i] = 1
        if i == 4:
            alpha[58:61, 95:102] = 0
            if cracked == "rim":
                alpha[58:61, 128:] = 0
        alphas.append(alpha)
    item = fit(alphas)
    assert item.fit.bridged == ()
    seen = redraw.iou(redraw.mask_of(item, 5, SIZE), alphas[4] > 0.5)
    assert seen > 0.95
    assert item.fit.worst_iou == pytest.approx(seen, abs=0.01)


def test_a_shape_is_not_passed_over_that_differs_clearly(fit: Fit) -> None:
    """A body of the same area on each frame that for one frame has slits, and is wider by as much."""
    plain, slit = np.zeros((120, 200), np.float32), np.zeros((120, 200), np.float32)
    plain[20:100, 60:140] = 1
    slit[20:100, 50:150] = 1
    for x in (70, 90, 110, 130):
        slit[30:, x : x + 6] = 0
    alphas = [slit if i == 6 else plain for i in range(12)]
    item = fit(alphas, 1.0)
    seen = redraw.iou(redraw.mask_of(item, 7, SIZE), slit > 0.5)
    assert seen > 0.9
    assert item.fit.bridged == ()


def test_a_small_object_is_held_closer_than_the_tolerance(fit: Fit) -> None:
    """Two pixels are much of a ball that is forty wide."""
    heights = [20 + 0.8 * (i - 6) ** 2 for i in range(12)]
    alphas = [disc(60 + 6 * i, 30 + y, 20) for i, y in enumerate(heights)]
    item = fit(alphas, 2.0)
    assert item.fit.iou > 0.97


def test_a_looser_tolerance_takes_fewer_points_and_keys(fit: Fit) -> None:
    shape = blob(45, {3: (0.2, 0.5), 5: (0.1, 1.0)})
    alphas = [coverage([(moved(shape, 80 + 2 * i, 60, 3 * i), False)], SIZE) for i in range(12)]
    (tight,), (loose,) = (fit(alphas, tolerance).shapes for tolerance in (0.1, 2.0))
    assert len(loose.keys[0].points) < len(tight.keys[0].points)
    assert len(loose.keys) < len(tight.keys)


def test_the_same_mattes_give_the_same_splines(fit: Fit) -> None:
    alphas = [coverage([(moved(ngon(5, 40, 22), 80 + 4 * i, 60, i), False)], SIZE) for i in range(6)]
    assert fit(alphas) == fit(alphas)


def test_outlines_that_are_gone_are_an_error_with_a_next_step(tmp_path) -> None:
    with pytest.raises(OutputError, match="gone or damaged") as raised:
        StoredOutlines(tmp_path / "none.npz").facts()
    assert "--overwrite" in raised.value.hint


def test_distances_are_those_of_looking_at_every_edge() -> None:
    random = np.random.default_rng(3)
    ring = np.cumsum(random.normal(size=(300, 2)), 0)
    points = random.normal(size=(200, 2)) * 15
    a, along = ring, np.roll(ring, -1, 0) - ring
    out = points[:, None] - a
    t = np.clip((out * along).sum(-1) / (along**2).sum(-1), 0, 1)
    wanted = np.sqrt(((out - t[..., None] * along) ** 2).sum(-1)).min(1)
    assert np.abs(distances(points, [ring]) - wanted).max() < 1e-9


def test_a_polygon_is_filled_by_pixel_centres() -> None:
    square = np.array([(2.5, 1.0), (6.6, 1.0), (6.6, 4.4), (2.5, 4.4)])
    mask = raster(square, (10, 6))
    assert np.argwhere(mask).min(0).tolist() == [1, 2]
    assert mask.sum() == 3 * 4 or mask.sum() == 3 * 5
    assert (mask == raster(square[::-1], (10, 6))).all()
