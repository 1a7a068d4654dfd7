"""Optical flow in torch: dense inverse search (Kroeger et al., ECCV 2016), every patch of a level at once.

What :class:`cv2.DISOpticalFlow` does for the CPU, as few large operations instead of a walk from patch to patch. From
coarse to fine, small patches of one picture look for their place in the other by Gauss-Newton steps whose gradients and
Hessians are the patch's own and so are found once (the *inverse* in inverse search). A patch starts from the best of
its own guess, its neighbours' and rest, which stands for the paper's passing on of guesses, and keeps its start where
the search did not bring it nearer. The flow of a pixel is the mean of the patches over it, weighted by how well each
one explains it. In place of the paper's variational refinement the search ends on a level twice as fine.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Chosen on the tuning half of benchmarks/mattes, on CPU torch.
_PATCH, _STRIDE, _STEPS = 8, 4, 6
# The coarsest level has no side under this; the finest is this many halvings from the pictures given.
_COARSEST, _FINEST = 12, 1
# Squared grey levels that noise adds to a patch's gradients: a patch without texture stays where it started.
_NOISE = 16.0


def flow(here: Tensor, there: Tensor) -> Tensor:
    """From each pixel of ``here`` to where it is in each of ``there``, in pixels: (n, 2, h, w), x before y.

    ``here``: (h, w), ``there``: (n, h, w), float32 grey levels, 0..255. The same numbers every time on one device.
    """
    count, height, width = there.shape
    if min(height, width) < _PATCH << _FINEST:
        return there.new_zeros((count, 2, height, width))
    levels = [torch.cat([here[None], there])[:, None]]
    while len(levels) <= _FINEST or min(levels[-1].shape[-2:]) >= 2 * _COARSEST:
        levels.append(functional.avg_pool2d(levels[-1], 2, ceil_mode=True, count_include_pad=False))
    found = there.new_zeros((count, 2, *levels[-1].shape[-2:]))
    for level in reversed(levels[_FINEST:]):
        size = level.shape[-2:]
        if found.shape[-2:] != size:
            found = _enlarged(found)[..., : size[0], : size[1]]
        found = _Level(level[:1], level[1:]).searched(found)
    for _ in range(_FINEST):
        found = _enlarged(found)
    return found[..., :height, :width]


def _enlarged(found: Tensor) -> Tensor:
    return 2.0 * functional.interpolate(found, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Level:
    """One level of the pyramid. Patches lie on a lattice of ``_STRIDE`` pixels that covers the picture, which is
    continued beyond its border; tensors of patches are (n, ..., pixels of a patch, patches down * across)."""

    def __init__(self, here: Tensor, there: Tensor) -> None:
        self._there = there
        self._size = height, width = here.shape[-2:]
        # One patch more on each side, so that each pixel has as many patches as any other.
        self._before = _PATCH - _STRIDE
        self._down, self._across = (-(-side // _STRIDE) + 1 for side in self._size)
        self._padded = tuple((n - 1) * _STRIDE + _PATCH for n in (self._down, self._across))
        below, right = (p - self._before - s for p, s in zip(self._padded, self._size, strict=True))
        pad = (self._before, right, self._before, below)
        self._pad = pad
        wider = functional.pad(here, (pad[0] + 1, pad[1] + 1, pad[2] + 1, pad[3] + 1), mode="replicate")
        slope_x = (wider[..., 1:-1, 2:] - wider[..., 1:-1, :-2]) / 2.0
        slope_y = (wider[..., 2:, 1:-1] - wider[..., :-2, 1:-1]) / 2.0
        patches = functional.unfold(torch.cat([wider[..., 1:-1, 1:-1], slope_x, slope_y], 1), _PATCH, stride=_STRIDE)
        pixels = _PATCH * _PATCH
        self._patch, slope_x, slope_y = patches.view(1, 3, pixels, -1).unbind(1)
        # Brightness may differ by a constant: gradients without their mean do not see it.
        slope_x, slope_y = slope_x - slope_x.mean(1, keepdim=True), slope_y - slope_y.mean(1, keepdim=True)
        xx, yy = (slope_x * slope_x).sum(1) + _NOISE, (slope_y * slope_y).sum(1) + _NOISE
        xy = (slope_x * slope_y).sum(1)
        determinant = xx * yy - xy * xy
        # Step for a difference of one grey level at each pixel of a patch: (1, 2, pixels, patches).
        self._step = torch.stack([yy * slope_x - xy * slope_y, xx * slope_y - xy * slope_x], 1) / determinant
        device = here.device
        y, x = torch.meshgrid(
            torch.arange(self._padded[0], dtype=torch.float32, device=device) - self._before,
            torch.arange(self._padded[1], dtype=torch.float32, device=device) - self._before,
            indexing="ij",
        )
        places = functional.unfold(torch.stack([x, y])[None], _PATCH, stride=_STRIDE).view(1, 2, pixels, -1)
        # As grid_sample wants them: -1 and 1 are the outer borders of the first and the last pixel.
        self._scale = torch.stack([here.new_full((), 2.0 / side) for side in (width, height)]).view(1, 2, 1, 1)
        self._places = (places + 0.5) * self._scale - 1.0

    def searched(self, start: Tensor) -> Tensor:
        """``start`` and the result: (n, 2, h, w)."""
        first, worst = self._best(start)
        now = first
        for _ in range(_STEPS):
            # The step's mean over the patch is 0, so that of what it is multiplied by does not count.
            moved = now - (self._step[:, :, :, None] * self._apart(now)[:, None]).sum(2)
            now = torch.minimum(torch.maximum(moved, first - _PATCH), first + _PATCH)
        difference = self._difference(now)
        worse = _energy(difference) > worst
        now = torch.where(worse[:, None], first, now)
        difference = torch.where(worse[:, None], self._difference(first), difference)
        return self._spread(now[:, :, 0], difference[:, :, 0])

    def _best(self, start: Tensor) -> tuple[Tensor, Tensor]:
        """Where each patch starts, (n, 2, 1, patches), and its energy there, (n, 1, patches)."""
        middle = functional.pad(start, self._pad, mode="replicate")
        own = functional.avg_pool2d(middle, _PATCH, _STRIDE)
        around = functional.pad(own, (1, 1, 1, 1), mode="replicate")
        guesses = torch.stack(
            [
                own,
                around[..., :-2, 1:-1],
                around[..., 2:, 1:-1],
                around[..., 1:-1, :-2],
                around[..., 1:-1, 2:],
                torch.zeros_like(own),
            ],
            2,
        ).flatten(3)
        least, which = _energy(self._difference(guesses)).min(1, keepdim=True)
        return torch.gather(guesses, 2, which[:, None].expand(-1, 2, -1, -1)), least

    def _difference(self, guesses: Tensor) -> Tensor:
        """:meth:`_apart` but for its mean over the patch."""
        apart = self._apart(guesses)
        return apart - apart.mean(1, keepdim=True)

    def _apart(self, guesses: Tensor) -> Tensor:
        """The other picture's grey at the patches' pixels less this one's, (n, pixels of a patch, guesses, patches).
        ``guesses``: how far each patch has moved, (n, 2, guesses, patches)."""
        at = self._places[:, :, :, None] + (guesses * self._scale)[:, :, None]
        grid = at.flatten(3).permute(0, 2, 3, 1)
        seen = functional.grid_sample(self._there, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return seen[:, 0].unflatten(2, guesses.shape[2:]) - self._patch[:, :, None]

    def _spread(self, moved: Tensor, difference: Tensor) -> Tensor:
        """The patches' flow on pixels."""
        weight = 1.0 / torch.clamp(difference.abs(), min=1.0)
        weighted = torch.cat([weight[:, None], weight[:, None] * moved[:, :, None]], 1).flatten(1, 2)
        sums = functional.fold(weighted, self._padded, _PATCH, stride=_STRIDE)
        height, width = self._size
        inside = sums[..., self._before : self._before + height, self._before : self._before + width]
        return inside[:, 1:] / inside[:, :1]


def _energy(difference: Tensor) -> Tensor:
    return difference.square().sum(1)
