"""Which memories a frame attends to, in both directions, and that nothing older is kept."""

from __future__ import annotations

import pytest
import torch

from benchmarks import random_sa2va
from sa2va_core.engines.sa2va.sam2.model import Features, Masks, Sam2
from sa2va_core.engines.sa2va.tracker import Conditioning, Tracker


class Spy:
    """Notes what the memory attention is given, and lets it work."""

    def __init__(self, sam2: Sam2, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[list[int], int]] = []
        attend = sam2.attend

        def noted(features, maps, slots, pointers):
            self.calls.append((list(slots), pointers.shape[1]))
            return attend(features, maps, slots, pointers)

        monkeypatch.setattr(sam2, "attend", noted)


@pytest.fixture(scope="module")
def sam2() -> Sam2:
    torch.manual_seed(0)
    model = Sam2(random_sa2va.SAM_TINY, stock=False).eval().requires_grad_(False)
    model.finish()
    return model


def features(sam2: Sam2, seed: int) -> Features:
    with torch.inference_mode():
        noise = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(seed))
        return sam2.encode(noise)


def given(sam2: Sam2, frame: int, count: int = 1) -> Conditioning:
    with torch.inference_mode():
        f = features(sam2, frame)
        masks = sam2.ground(f, torch.ones(count, 64))
        return Conditioning((frame,) * count, masks, sam2.remember(f, masks.logits))


def test_window_of_maps_and_pointers(sam2, monkeypatch):
    spy = Spy(sam2, monkeypatch)
    tracker = Tracker(sam2, [given(sam2, 0)], direction=1, hide=False, official=True)
    f = features(sam2, 1)
    for frame in range(20):
        tracker.step(f, frame)
    # Frame 0 is given, frame 1 sees it alone, later ones up to six maps and fifteen pointers before them.
    assert spy.calls[0] == ([6], 1)
    assert spy.calls[1] == ([6, 0], 2)
    assert spy.calls[2] == ([6, 1, 0], 3)
    assert spy.calls[-1] == ([6, 5, 4, 3, 2, 1, 0], 1 + 15)
    maps, pointers = tracker.memory
    assert [p.frame for p in maps] == list(range(14, 20))
    assert [p.frame for p in pointers] == list(range(5, 20))


def test_pointers_of_the_future_are_left_out_as_in_stock_sam2(sam2, monkeypatch):
    spy = Spy(sam2, monkeypatch)
    conditioning = [given(sam2, 0), given(sam2, 4)]
    for mode in (True, False):
        tracker = Tracker(sam2, conditioning, direction=1, hide=False, official=mode)
        for frame in range(6):
            tracker.step(features(sam2, 2), frame)
    official, ours = spy.calls[:4], spy.calls[4:]
    # Frames 1, 2, 3 lie before the second key frame: its map counts, its pointer does not. At 5 frame 4 is no
    # predecessor, since it conditions: the nearest is two frames away.
    assert official == [([6, 6], 1), ([6, 6, 0], 2), ([6, 6, 1, 0], 3), ([6, 6, 3, 2, 1], 5)]
    # Otherwise both pointers always count, and frames 0 and 4 are predecessors as well.
    assert ours == [([6, 6, 0], 3), ([6, 6, 1, 0], 4), ([6, 6, 2, 1, 0], 5), ([6, 6, 4, 3, 2, 1, 0], 7)]


def test_backwards_mirrors_forwards(sam2):
    """A clip played backwards gives the same masks as the clip walked backwards."""
    pictures = [features(sam2, i) for i in range(5)]
    conditioning = given(sam2, 4)
    back = Tracker(sam2, [conditioning], direction=-1, hide=True, official=True)
    backwards = [back.step(pictures[i], i).logits for i in reversed(range(5))]
    mirrored = Conditioning((0,), conditioning.masks, conditioning.maps)
    forth = Tracker(sam2, [mirrored], direction=1, hide=True, official=True)
    forwards = [forth.step(pictures[4 - i], i).logits for i in range(5)]
    for a, b in zip(backwards, forwards, strict=True):
        assert torch.equal(a, b)


def test_turning_keeps_what_was_seen(sam2, monkeypatch):
    tracker = Tracker(sam2, [given(sam2, 3)], direction=1, hide=True, official=False)
    for frame in (5, 6):
        tracker.step(features(sam2, frame), frame)
    spy = Spy(sam2, monkeypatch)
    turned = tracker.turned()
    turned.step(features(sam2, 4), 4)
    tracker.step(features(sam2, 7), 7)
    assert spy.calls == [([6, 0, 1], 3), ([6, 1, 0], 3)]


def test_objects_do_not_touch_each_other(sam2):
    """Two objects in one batch come out as they do alone, also when one of them is given a frame in between."""
    pictures = [features(sam2, i) for i in range(4)]
    one, two = given(sam2, 0), given(sam2, 2)
    both = Tracker(sam2, [Conditioning.cat([one, two])], direction=1, hide=False, official=False)
    found = [both.step(f, i) for i, f in enumerate(pictures)]
    alone = Tracker(sam2, [one], direction=1, hide=False, official=False)
    for i, f in enumerate(pictures):
        assert torch.allclose(alone.step(f, i).logits[0], found[i].logits[0], atol=1e-4)
    assert torch.equal(found[2].logits[1], two.masks.logits[0])
    halves = [both.rows([i]).look(pictures[3], 4).logits for i in (0, 1)]
    whole = both.look(pictures[3], 4).logits
    assert torch.allclose(torch.cat(halves), whole, atol=1e-4)


def test_hidden_objects_leave_an_empty_memory(sam2):
    """An object that is not visible writes "nothing" into the memory, where stock behaviour is asked for."""
    f = features(sam2, 0)
    shown = Masks(torch.ones(2, 32, 32), torch.tensor([1.0, -1.0]), torch.ones(2), torch.zeros(2, 64))
    hidden = shown.hidden_where_absent()
    assert hidden.logits[0].eq(1).all()
    assert hidden.logits[1].eq(-1024).all()
    with torch.inference_mode():
        maps = sam2.remember(f, hidden.logits).tokens
        nothing = sam2.remember(f, torch.full((1, 32, 32), -1024.0)).tokens
    # Two in a batch may be rounded in another order than one alone.
    assert torch.allclose(maps[1], nothing[0], atol=1e-2)
    assert not torch.allclose(maps[0], nothing[0], atol=1e-2)


def test_masks_of_several_clicks_fall_back_when_unstable():
    """One mask is asked for after several clicks; an unstable one gives way to the best of three."""
    from sa2va_core.engines.sa2va.sam2.model import stable

    logits = torch.stack([torch.full((8, 8), 5.0), torch.full((8, 8), 0.01), torch.full((8, 8), -5.0)])
    assert stable(logits).tolist() == [True, False, True]


def test_given_masks_come_back(sam2):
    mask = torch.zeros(2, 128, 128)
    mask[0, 32:64, 16:96] = 1.0
    with torch.inference_mode():
        masks = sam2.adopt(features(sam2, 0), mask)
    assert torch.equal(masks.logits[0] > 0, mask[0, ::4, ::4] > 0)
    assert masks.presence.tolist() == [10.0, -10.0]
    assert torch.equal(masks.pointer[1], sam2.no_obj_ptr[0])
