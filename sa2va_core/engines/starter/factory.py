"""What the registry knows of the starter engine."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from sa2va_plugin.errors import EngineError, PhraseError
from sa2va_plugin.jobspec import EngineSpec, ObjectSpec

from sa2va_core.engines.base import Engine, EngineFactory, Needs


class StarterFactory(EngineFactory):
    name = "starter"
    label = "starter"

    def unavailable(self) -> str | None:
        if importlib.util.find_spec("cv2") is None:
            return "OpenCV is not installed: pip install opencv-contrib-python-headless"
        return None

    def missing(self) -> str | None:
        from sa2va_core.models import catalogue, store

        names = [name for name in catalogue.NEEDED_BY[self.name] if not store.path_of(name).is_file()]
        if names:
            return f"Models are missing: {', '.join(names)}. Run `sa2va models fetch`, or let the first job fetch them"
        return None

    def check(self, objects: Sequence[ObjectSpec], second_look: bool = False) -> None:
        from .words import parse

        super().check(objects, second_look)
        for item in objects:
            given = [kind for kind in ("points", "boxes", "masks") if getattr(item, kind)]
            if given:
                raise PhraseError(
                    f"The starter engine takes words alone, and {item.name!r} comes with {' and '.join(given)}.",
                    "Leave them out, or choose another engine (`sa2va engines` lists them).",
                )
            for phrase in (item.phrase, *item.negative_phrases):
                parse(phrase)

    def needs(self, spec: EngineSpec) -> Needs:
        return Needs(memory_mib=2048)  # docs/starter.md: 0.5 to 0.7 GiB at its peak, and as much again for 4K plates

    def create(self, spec: EngineSpec) -> Engine:
        if spec.model:
            raise EngineError(
                f"The starter engine has one set of weights, so it cannot use the model {spec.model!r}.",
                "Leave the model out, or choose the engine sa2va.",
            )
        if spec.device not in ("auto", "cpu"):
            raise EngineError(f"The starter engine runs on the CPU, not on {spec.device!r}.", "Use auto or cpu.")
        from .engine import StarterEngine

        return StarterEngine(self)


FACTORY = StarterFactory()
