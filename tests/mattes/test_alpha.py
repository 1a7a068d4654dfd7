"""Logits to alpha at plate scale, against a drawn truth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sa2va_plugin.jobspec import MatteSettings

from sa2va_core.engines.base import Detail, ObjectTrack
from sa2va_core.mattes import alpha as alphas
from sa2va_core.mattes import cpu, edges
from sa2va_core.mattes.cpu import Cpu
from sa2va_core.mattes.device import Device
from sa2va_core.mattes.logits import Logits
from sa2va_core.mattes.matte import Matte
from sa2va_core.mattes.window import EMPTY
from sa2va_core.media.frames import Picture

WIDTH, HEIGHT = 960, 540
Alpha = NDArray[np.float32]
Scene = tuple[Alpha, Picture, ObjectTrack]


def matte(track: ObjectTrack, picture: Picture, size: tuple[int, int], settings: MatteSettings, runs: Device) -> Matte:
    return runs.fetched(alphas.matte(track, runs.hold(picture, size), size, settings, runs))


def alpha(track: ObjectTrack, picture: Picture, size: tuple[int, int], **settings: float) -> Alpha:
    return matte(track, picture, size, MatteSettings(**settings), Cpu()).whole(size)  # type: ignore[arg-type]


def logits_of(truth: Alpha, size: tuple[int, int]) -> Alpha:
    small = cv2.GaussianBlur(cv2.resize(truth, size, interpolation=cv2.INTER_AREA), (0, 0), 1.2)
    small = np.clip(small, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(small / (1 - small)), np.float32)


def picture_of(truth: Alpha, seed: int = 7) -> Picture:
    noise = np.random.default_rng(seed).normal(0, 4, (*truth.shape, 3))
    rgb = np.array([40, 50, 60]) * truth[..., None] + np.array([190, 180, 170]) * (1 - truth[..., None]) + noise
    return Picture(1, np.clip(rgb, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def hairy() -> Scene:
    """A disc with thin hairs: its true alpha, a picture of it, and logits as a network of 256 pixels would see it."""
    random = np.random.default_rng(7)
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(drawn, (480, 270), 140, 255, -1, cv2.LINE_AA)
    for angle in random.uniform(0, 2 * np.pi, 220):
        start = np.array([480 + 138 * np.cos(angle), 270 + 138 * np.sin(angle)])
        end = start + random.uniform(10, 30) * np.array([np.cos(angle + 0.3), np.sin(angle + 0.3)])
        cv2.line(drawn, tuple((start * 16).astype(int)), tuple((end * 16).astype(int)), 255, 1, cv2.LINE_AA, 4)
    truth = np.asarray(drawn / 255, np.float32)
    return truth, picture_of(truth), ObjectTrack(logits_of(truth, (256, 144)), 1.0)


def error(found: Alpha, truth: Alpha) -> float:
    return float(np.abs(found - truth).sum())


def test_refined_edges_have_a_third_of_the_error_of_plain_upsampling(hairy: Scene) -> None:
    truth, picture, track = hairy
    plain, refined = (alpha(track, picture, (WIDTH, HEIGHT), refine=refine) for refine in (False, True))
    assert error(refined, truth) < error(plain, truth) / 3


@pytest.mark.parametrize("apart", [0, 25])
def test_texture_before_a_like_texture_leaves_little_dirt(apart: int) -> None:
    """Object and background are the same texture, or nearly: what their colours say is mostly wrong. Where they say
    nothing at all, chance makes the whole error a little larger; it stays at the edge."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.hypot(x - 480, y - 270)
    truth = np.asarray(np.clip(140.5 - radius, 0, 1), np.float32)
    texture = 180 * cv2.GaussianBlur(np.random.default_rng(5).normal(0, 1, (HEIGHT, WIDTH, 3)), (0, 0), 2.0)
    rgb = np.clip(128 + apart * (2 * truth[..., None] - 1) + texture, 0, 255).astype(np.uint8)
    track = ObjectTrack(logits_of(truth, (480, 270)), 1.0)
    plain, refined = (alpha(track, Picture(1, rgb), (WIDTH, HEIGHT), refine=refine) for refine in (False, True))
    assert error(refined, truth) < error(plain, truth) * (0.7 if apart else 1.08)
    assert refined[radius > 146.5].sum() < 20
    assert (1 - refined[radius < 134]).sum() < 30


def test_no_pixel_goes_further_from_its_logit_than_logits_err() -> None:
    logits = np.array([-12, -6, 0, 0, 6, 12], np.float32)
    said = np.array([1, 1, 0, 1, 0, 0], np.float32)
    found = edges.bounded(np, said, logits, weight=0.1)
    assert found[0] < 0.01
    assert found[1] < 0.2
    np.testing.assert_allclose(found[2:4], [0, 1], atol=0.03)
    np.testing.assert_allclose(found[4:], 1 - found[1::-1], atol=1e-6)


def test_colours_of_greys_far_apart_are_not_lost_in_roundings() -> None:
    """The determinant of their covariance is a difference of numbers ten thousand times as large: it came out as
    anything, and a matte had a hole of NaN."""
    random = np.random.default_rng(3)
    samples = random.random((2000, 1, 40)) * random.random((2000, 1, 1)) + random.normal(0, 1e-4, (2000, 3, 40))
    covariance = np.stack([np.cov(colours, bias=True) for colours in samples])
    rows, columns = np.triu_indices(3)
    given = list(covariance[:, rows, columns].T.astype(np.float32))
    colour = (samples[:, :, 0] - samples.mean(2)).T.astype(np.float32)
    found = edges._surprise(np, colour, edges._Sides(np.zeros_like(colour), given, np.ones(2000, np.float32)))
    noisy = covariance + edges._NOISE * np.eye(3)
    length = np.einsum("ni,nij,nj->n", colour.T, np.linalg.inv(noisy), colour.T)
    np.testing.assert_allclose(found, (length + np.linalg.slogdet(noisy)[1]) / 2, atol=0.02)


def test_core_and_far_background_are_left_alone(hairy: Scene) -> None:
    _, picture, track = hairy
    refined = alpha(track, picture, (WIDTH, HEIGHT))
    assert refined.dtype == np.float32
    assert refined.min() >= 0
    assert refined.max() <= 1
    yy, xx = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(xx - 480, yy - 270)
    assert refined[distance < 110].min() > 0.99
    assert refined[distance > 220].max() == 0


def test_without_refinement_it_is_the_sigmoid_of_bilinear_logits(hairy: Scene) -> None:
    _, picture, track = hairy
    expected = 1 / (1 + np.exp(-cv2.resize(track.logits, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)))
    found = alpha(track, picture, (WIDTH, HEIGHT), refine=False)
    soft = expected < 1 - 2**-12
    np.testing.assert_allclose(found[soft], expected[soft], atol=1e-6)


def test_without_refinement_a_core_is_solid_in_files_of_16_bits_too(hairy: Scene) -> None:
    """Logits end near 9.2, those of 0.9999: 65528 of 65535."""
    _, picture, track = hairy
    found = alpha(track, picture, (WIDTH, HEIGHT), refine=False)
    core = cv2.resize(track.logits, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST) > 9.2
    assert core.sum() > 1000
    np.testing.assert_array_equal(found[cv2.erode(core.astype(np.uint8), np.ones((9, 9))) > 0], 1)
    assert ((found > 0.99) & (found < 1)).any(), "what is less sure stays soft"


@pytest.mark.parametrize("refine", [False, True])
def test_an_absent_object_is_exactly_empty_in_half_precision(hairy: Scene, refine: bool) -> None:
    _, picture, _ = hairy
    found = alpha(ObjectTrack.absent(), picture, (WIDTH, HEIGHT), refine=refine)
    assert found.shape == (HEIGHT, WIDTH)
    assert not found.astype(np.float16).any()


def test_an_object_that_fills_the_frame_is_solid(hairy: Scene) -> None:
    _, picture, _ = hairy
    full = ObjectTrack(np.full((8, 8), 12.0, np.float32), 1.0)
    assert alpha(full, picture, (WIDTH, HEIGHT)).min() > 0.99


@pytest.mark.parametrize("size", [(960, 540), (961, 541), (97, 61)])
@pytest.mark.parametrize("at", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.0)])
def test_an_object_that_leaves_the_picture_is_solid_up_to_its_border(
    size: tuple[int, int], at: tuple[float, float]
) -> None:
    width, height = size
    y, x = np.mgrid[:height, :width]
    cx, cy, radius = at[0] * (width - 1), at[1] * (height - 1), height / 3
    truth = np.asarray(np.clip(radius - np.hypot(x - cx, y - cy) + 0.5, 0, 1), np.float32)
    found = alpha(
        ObjectTrack(logits_of(truth, (max(8, width // 4), max(8, height // 4))), 1.0), picture_of(truth), size
    )
    assert found.shape == (height, width)
    assert found[round(cy), round(cx)] > 0.95
    assert error(found, truth) < 0.1 * truth.sum() + 4


def test_an_object_of_one_logit_is_found() -> None:
    truth = np.zeros((HEIGHT, WIDTH), np.float32)
    truth[300:303, 500:503] = 1
    logits = np.full((144, 256), -8.0, np.float32)
    logits[301 * 144 // HEIGHT, 501 * 256 // WIDTH] = 3.0
    found = alpha(ObjectTrack(logits, 1.0), picture_of(truth), (WIDTH, HEIGHT))
    assert found[301, 501] > 0.5
    assert found.sum() < 60


def test_an_anamorphic_plate_gets_mattes_in_its_own_pixels(hairy: Scene) -> None:
    truth, picture, track = hairy
    squeezed = alpha(track, picture, (WIDTH // 2, HEIGHT))
    assert squeezed.shape == (HEIGHT, WIDTH // 2)
    wanted = cv2.resize(truth, (WIDTH // 2, HEIGHT), interpolation=cv2.INTER_AREA)
    inside, true_inside = squeezed > 0.5, wanted > 0.5
    assert (inside & true_inside).sum() / (inside | true_inside).sum() > 0.98


def test_a_pin_is_returned_as_it_is(hairy: Scene) -> None:
    _, picture, track = hairy
    pin = np.random.default_rng(1).random((HEIGHT, WIDTH), np.float32)
    pinned = ObjectTrack(track.logits, 1.0, None, pin)
    for refine in (False, True):
        np.testing.assert_array_equal(alpha(pinned, picture, (WIDTH, HEIGHT), refine=refine), pin)


def test_edges_do_not_swim_where_the_window_lies_does_not_show(hairy: Scene) -> None:
    """A speck far away makes the window larger; the object's matte stays the same to rounding."""
    _, picture, track = hairy
    alone = matte(track, picture, (WIDTH, HEIGHT), MatteSettings(), Cpu())
    logits = track.logits.copy()
    logits[2, 3] = 5.0
    with_speck = matte(ObjectTrack(logits, 1.0), picture, (WIDTH, HEIGHT), MatteSettings(), Cpu())
    assert alone.window is not None
    assert with_speck.window is not None
    assert with_speck.window.box != alone.window.box
    inside = alone.window.pixels
    np.testing.assert_allclose(with_speck.whole((WIDTH, HEIGHT))[inside], alone.alpha, atol=2e-3)


@pytest.mark.parametrize("left_out", [0, 8])
def test_what_is_far_from_the_band_does_not_count(left_out: int, hairy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells far from the band are not looked at. All of them give the same, and fewer would not."""
    _, picture, track = hairy
    monkeypatch.setattr(edges, "NEAR", edges.NEAR - left_out)
    monkeypatch.setattr(edges, "LOOKS", edges.LOOKS - left_out)
    near = alpha(track, picture, (WIDTH, HEIGHT))
    monkeypatch.setattr(edges, "NEAR", 300)
    monkeypatch.setattr(cpu, "_looked_at", lambda outer, inner, band: outer)
    everywhere = alpha(track, picture, (WIDTH, HEIGHT))
    # A pixel may be empty by a hair here and not there.
    change = np.abs(np.maximum(near, 1.1 * EMPTY) - np.maximum(everywhere, 1.1 * EMPTY)).max()
    assert (change < 1e-5) == (left_out == 0)


@pytest.mark.parametrize("wider", [0.0, 7.5, 58.0])
def test_the_band_is_as_wide_as_asked_for_on_every_side(wider: float) -> None:
    coarse = np.zeros((300, 400), np.float32)
    coarse[150:170, 180:190] = 1.0
    edge = np.zeros((300, 400), np.uint8)
    edge[149:171, 179:191] = 1
    edge[151:169, 181:189] = 0
    away = cv2.distanceTransform(1 - edge, cv2.DIST_L2, 3)
    width = 2.0 + wider
    expected = np.clip(2.0 - 2.0 * away / width, 0.0, 1.0)
    np.testing.assert_allclose(edges.band(coarse, 0.0, wider), expected, atol=1e-6)


def test_a_wider_band_reaches_blur_that_the_logits_do_not_show() -> None:
    """A hard-edged network on a badly defocused edge."""
    truth = np.zeros((HEIGHT, WIDTH), np.float32)
    truth[:, :480] = 1
    blurred = np.asarray(cv2.GaussianBlur(truth, (0, 0), 14.0), np.float32)
    hard = ObjectTrack(
        np.asarray(cv2.resize(truth, (480, 270), interpolation=cv2.INTER_AREA) * 16 - 8, np.float32), 1.0
    )
    picture = picture_of(blurred)
    errors = [error(alpha(hard, picture, (WIDTH, HEIGHT), blur_band=band), blurred) for band in (0.0, 30.0)]
    assert errors[1] < 0.6 * errors[0]


def test_enlarged_logits_stay_finite() -> None:
    assert np.isfinite(Logits.of(np.array([[-1e9, 1e9]], np.float32), (20, 10)).enlarged()).all()


# A detail laid over the logits


def quarter(scale: float = 1.0) -> tuple[Alpha, ObjectTrack, ObjectTrack]:
    """A small star in the picture: its truth, its track, and the same with a detail four times finer around it."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    turns = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2, 14, 40) * scale
    corners = np.stack([430 + reach * np.sin(turns), 250 - reach * np.cos(turns)], axis=1)
    cv2.fillPoly(drawn, [(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    truth = np.asarray(drawn / 255, np.float32)
    box = (330 / WIDTH, 175 / HEIGHT, 570 / WIDTH, 310 / HEIGHT)
    coarse, fine = logits_of(truth, (128, 72)), logits_of(truth[175:310, 330:570], (128, 72))
    return truth, ObjectTrack(coarse, 1.0), ObjectTrack(coarse, 1.0, details=(Detail(fine, box),))


@pytest.mark.parametrize("refine", [True, False])
def test_a_detail_brings_the_matte_nearer_to_the_truth(refine: bool) -> None:
    truth, plain, detailed = quarter()
    picture = picture_of(truth)
    without, with_it = (
        error(alpha(track, picture, truth.shape[::-1], refine=refine), truth) for track in (plain, detailed)
    )
    assert with_it < without / (1.5 if refine else 3)


def test_a_detail_of_the_same_logits_changes_nothing_and_leaves_no_seam() -> None:
    """Bilinear enlargement of the map's own logits: what the map gives, everywhere."""
    truth, plain, _ = quarter()
    box = (0.25, 0.25, 0.75, 0.75)
    at = [0.25 + (np.arange(n) + 0.5) / (2 * n) for n in (512, 288)]
    fine = cv2.remap(
        plain.logits,
        *np.meshgrid(np.float32(at[0] * 128 - 0.5), np.float32(at[1] * 72 - 0.5)),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    same = ObjectTrack(plain.logits, 1.0, details=(Detail(np.asarray(fine, np.float32), box),))
    one, other = (alpha(track, picture_of(truth), (WIDTH, HEIGHT), refine=False) for track in (plain, same))
    assert np.abs(one - other).max() < 0.03


def test_a_window_holds_what_a_detail_adds() -> None:
    """A detail may find something where the coarse map has nothing."""
    coarse = np.full((72, 128), -12.0, np.float32)
    fine = np.full((72, 128), -12.0, np.float32)
    fine[30:40, 50:70] = 12.0
    box = (0.5, 0.25, 0.75, 0.5)
    detailed = Logits.of(coarse, (WIDTH, HEIGHT), (Detail(fine, box),))
    found = detailed.around(0)
    assert Logits.of(coarse, (WIDTH, HEIGHT)).around(0) is None
    assert found is not None
    x0, y0, x1, y1 = found.box
    left, top = 0.5 * WIDTH + 50 * WIDTH / 512, 0.25 * HEIGHT + 30 * HEIGHT / 288
    assert x0 <= left < x1
    assert y0 <= top < y1
    assert x1 - x0 < 60
    shown = detailed.enlarged()
    assert shown[int(top) + 5, int(left) + 5] > 0.99
    assert (shown > 0.5).sum() == pytest.approx(20 * 10 * (WIDTH / 512) * (HEIGHT / 288), rel=0.1)
    inside = detailed.coverage(found)
    assert inside.sum() * found.cell**2 == pytest.approx((shown).sum(), rel=0.05)


def test_a_detail_over_the_side_of_the_plate() -> None:
    """The cells at the right and lower side reach beyond a plate whose size they do not divide."""
    size = (WIDTH - 1, HEIGHT - 3)
    coarse = np.full((72, 128), -12.0, np.float32)
    fine = np.full((72, 128), 12.0, np.float32)
    track = ObjectTrack(coarse, 1.0, details=(Detail(fine, (0.9, 0.9, 1.0, 1.0)),))
    picture = Picture(1, np.full((size[1], size[0], 3), 90, np.uint8))
    found = alpha(track, picture, size)
    assert found.shape == size[::-1]
    assert found[-1, -1] > 0.99
    assert found[int(0.9 * size[1]) - 30, int(0.9 * size[0]) - 30] == 0
