"""From an engine's logits to finished mattes: what the runner calls.

:meth:`MatteStage.look` needs one frame, :meth:`MatteStage.finish` its neighbours too; both may be called by several
threads at once, and their results depend on nothing but what they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sa2va_plugin.jobspec import MatteSettings

from sa2va_core.engines.base import FrameResult

from . import controls
from .alpha import matte
from .cpu import Cpu
from .device import Device, Seen
from .matte import Matte
from .window import EMPTY, Map, Size


@dataclass(frozen=True)
class Look:
    """The mattes of one frame, by object name, each by itself, and the picture they were made from."""

    seen: Seen
    mattes: Mapping[str, Matte]


def device(name: str) -> Device:
    """The device for an engine that runs on ``name``: its first word is torch's name for it, such as ``cpu`` or
    ``cuda:0``."""
    where = name.partition(" ")[0]
    if not where.startswith("cuda"):
        return Cpu()
    from .gpu import TorchDevice

    return TorchDevice(where)


class MatteStage:
    """``size``: (width, height) of the plate. ``runs_on``: the engine's device, such as ``cpu`` or ``cuda:0``."""

    def __init__(self, settings: MatteSettings, size: Size, runs_on: str) -> None:
        self._settings, self._size, self._device = settings, size, device(runs_on)

    def look(self, result: FrameResult) -> Look:
        """Every object on one frame, by that frame alone."""
        seen = self._device.hold(result.picture, self._size)
        return Look(
            seen,
            {
                name: matte(track, seen, self._size, self._settings, self._device)
                for name, track in result.objects.items()
            },
        )

    def finish(self, look: Look, beside: Sequence[Look]) -> dict[str, Map]:
        """Finished mattes by object name: float32 (height, width), 0..1, linear coverage at the plate's size."""
        return {name: self._finished(name, found, look.seen, beside) for name, found in look.mattes.items()}

    def _finished(self, name: str, found: Matte, seen: Seen, beside: Sequence[Look]) -> Map:
        if found.pinned or found.window is None:
            return found.whole(self._size)
        if self._settings.steady:
            others = [(other.mattes[name], other.seen) for other in beside if name in other.mattes]
            found = self._device.steady(found, seen, others)
        return self._adjusted(self._device.fetched(found))

    def _adjusted(self, found: Matte) -> Map:
        whole = found.whole(self._size)
        assert found.window is not None
        x0, y0, x1, y1 = found.window.box
        more = controls.margin(self._settings)
        width, height = self._size
        box = np.s_[max(0, y0 - more) : min(height, y1 + more), max(0, x0 - more) : min(width, x1 + more)]
        part = whole[box]
        adjusted = controls.adjusted(part, self._settings)
        if adjusted is not part or not self._settings.refine:
            # Sigmoids and blurs end nowhere, and a blur's sums of ones may be more than one by a rounding.
            whole[box] = np.where(adjusted < EMPTY, np.float32(0.0), np.minimum(adjusted, np.float32(1.0)))
        return whole
