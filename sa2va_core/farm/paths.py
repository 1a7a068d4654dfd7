"""Path mapping of Open Job Description: what a path is called on the machine that runs a task."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from sa2va_plugin.errors import JobSpecError
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.paths import map_paths


@dataclasses.dataclass(frozen=True)
class Rule:
    """``source`` (a POSIX or Windows folder) is ``destination`` here."""

    source: PurePosixPath | PureWindowsPath
    destination: str

    def apply(self, path: str) -> str | None:
        """``path`` as it is here; None where the rule says nothing of it. Windows paths match in any case."""
        parts = type(self.source)(path).parts
        own = self.source.parts
        windows = isinstance(self.source, PureWindowsPath)

        def folded(items: Sequence[str]) -> list[str]:
            return [item.lower() for item in items] if windows else list(items)

        if folded(parts[: len(own)]) != folded(own):
            return None
        return str(Path(self.destination).joinpath(*parts[len(own) :]))


def read_rules(path: Path) -> list[Rule]:
    """The rules of a ``pathmapping-1.0`` file, longest source first; none in an empty one. Raises JobSpecError."""
    try:
        data = json.loads(path.read_text("utf-8"))
        rules = [
            Rule(
                (PureWindowsPath if item["source_path_format"] == "WINDOWS" else PurePosixPath)(item["source_path"]),
                item["destination_path"],
            )
            for item in data.get("path_mapping_rules", ())
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JobSpecError(
            f"The path mapping rules cannot be read: {path}", "It must be a file of the form pathmapping-1.0."
        ) from error
    return sorted(rules, key=lambda rule: -len(rule.source.parts))


def mapped(spec: JobSpec, rules: Sequence[Rule]) -> JobSpec:
    """``spec`` with the paths of its plate, OCIO configuration, model and pins as this machine has them."""

    def here(path: str) -> str:
        if not path or re.match(r"[a-z]+://", path):
            return path
        return next((found for found in (rule.apply(path) for rule in rules) if found is not None), path)

    spec = map_paths(spec, here)
    return dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, model=here(spec.engine.model)))
