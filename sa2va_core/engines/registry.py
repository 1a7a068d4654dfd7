"""Names of engines to the code that loads them. Engine modules are imported only when asked for."""

from __future__ import annotations

from importlib import import_module

from sa2va_plugin.errors import EngineError
from sa2va_plugin.jobspec import EngineSpec
from sa2va_plugin.messages import EngineDescription

from .base import Engine, EngineFactory

_FACTORIES = {
    "starter": "sa2va_core.engines.starter.factory",
    "sa2va": "sa2va_core.engines.sa2va.factory",
}


def names() -> tuple[str, ...]:
    return tuple(_FACTORIES)


def factory(name: str) -> EngineFactory:
    """The factory of engine ``name``. Raises EngineError for an unknown name."""
    try:
        module = import_module(_FACTORIES[name])
    except KeyError:
        raise EngineError(f"There is no engine {name!r}.", "Engines: " + ", ".join(_FACTORIES) + ".") from None
    return module.FACTORY


def describe() -> tuple[EngineDescription, ...]:
    """Every engine, and whether it is ready to run here."""
    found = []
    for name in names():
        try:
            made = factory(name)
            found.append(EngineDescription(name, made.label, made.unavailable(), made.missing()))
        except ImportError as error:
            found.append(EngineDescription(name, name, f"It cannot be loaded: {error}."))
    return tuple(found)


def create(spec: EngineSpec) -> Engine:
    """Load the engine that a job asks for. Raises EngineError with the reason when it cannot run here."""
    made = factory(spec.name)
    reason = made.unavailable()
    if reason is not None:
        raise EngineError(f"The engine {spec.name!r} cannot run here.", reason)
    return made.create(spec)
