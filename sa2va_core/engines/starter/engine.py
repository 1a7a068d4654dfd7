"""The starter engine: small real networks, word rules and optical flow, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.jobspec import ObjectSpec

from sa2va_core.engines.base import Engine, EngineFactory, EngineInfo
from sa2va_core.media.frames import FrameSource

from .networks import Networks
from .session import StarterSession

VERSION = "3"


class StarterEngine(Engine):
    """Knows 80 kinds of things and "hand", by words alone: no points, boxes or mask pins."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory, self._networks = factory, Networks()

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            name="starter",
            label="starter",
            version=VERSION,
            model="SSD-MobileNetV2 + MediaPipe Selfie + U2-NetP",
            device=f"cpu (OpenCV {cv2.__version__})",
            weights=dict(self._networks.hashes),
        )

    def check(self, objects: Sequence[ObjectSpec], second_look: bool = False) -> None:
        self._factory.check(objects, second_look)

    def open_shot(
        self,
        source: FrameSource,
        objects: Sequence[ObjectSpec],
        state: Mapping[str, NDArray[np.generic]] | None = None,
        second_look: bool = False,
    ) -> StarterSession:
        self.check(objects, second_look)
        return StarterSession(self._networks, source, objects, state)
