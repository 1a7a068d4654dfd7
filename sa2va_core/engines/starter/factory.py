"""What the registry knows of the starter engine."""

from __future__ import annotations

import importlib.util

from sa2va_plugin.errors import EngineError
from sa2va_plugin.jobspec import EngineSpec

from sa2va_core.engines.base import Engine, EngineFactory


class StarterFactory(EngineFactory):
    name = "starter"
    label = "starter"

    def unavailable(self) -> str | None:
        if importlib.util.find_spec("cv2") is None:
            return "OpenCV is not installed: pip install opencv-contrib-python-headless"
        return None

    def create(self, spec: EngineSpec) -> Engine:
        if spec.model:
            raise EngineError(
                f"The starter engine has one set of weights, so it cannot use the model {spec.model!r}.",
                "Leave the model out, or choose the engine sa2va.",
            )
        if spec.device not in ("auto", "cpu"):
            raise EngineError(f"The starter engine runs on the CPU, not on {spec.device!r}.", "Use auto or cpu.")
        from .engine import StarterEngine

        return StarterEngine()


FACTORY = StarterFactory()
