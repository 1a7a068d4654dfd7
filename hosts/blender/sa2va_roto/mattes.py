"""A finished run as Blender needs it: which files there are, for which objects. No Blender in here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import MediaError
from sa2va_plugin.naming import FramePattern, cryptomatte_name, cryptomatte_pattern, matte_pattern


@dataclass(frozen=True)
class MatteObject:
    name: str
    phrase: str
    layer: str
    verdict: str
    reason: str
    part_of: str | None


@dataclass(frozen=True)
class Mattes:
    """``frames``: the numbers that were made, rising. ``size``: width and height of the plate in pixels."""

    folder: Path
    stem: str
    frames: tuple[int, ...]
    size: tuple[int, int]
    objects: tuple[MatteObject, ...]
    layers: FramePattern
    crypto: bool

    def single(self, layer: str) -> FramePattern:
        """The series of one object, as the Sequencer takes it."""
        return matte_pattern(self.stem, "exr", layer)

    def path(self, pattern: FramePattern, number: int) -> str:
        return str(self.folder / pattern.path(number))

    @property
    def picked(self) -> str:
        """The first object for a Cryptomatte node. The file holds an object's parts, where it has some, and not it."""
        first = self.objects[0].name
        parts = [item.name for item in self.objects if item.part_of == first]
        return ",".join(map(cryptomatte_name, parts or [first]))

    @property
    def crypto_pattern(self) -> FramePattern:
        return cryptomatte_pattern(self.stem)


def read(manifest: str) -> Mattes:
    """What a manifest tells. Raises MediaError when it or its files are gone."""
    path = Path(manifest)
    try:
        data: Any = json.loads(path.read_text("utf-8"))
        outputs = data["job"]["outputs"]
        stem = outputs["plate_name"] or data["plate"]["name"]
        width, height = data["plate"]["size"]
        found = Mattes(
            folder=path.parent,
            stem=stem,
            frames=tuple(sorted(record["frame"] for record in data["frames"])),
            size=(width, height),
            objects=tuple(
                MatteObject(
                    item["name"], item["phrase"], item["layer"], item["verdict"], item["reason"], item["part_of"]
                )
                for item in data["objects"]
            ),
            layers=matte_pattern(stem, "exr"),
            crypto=bool(outputs.get("cryptomatte")),
        )
    except FileNotFoundError:
        raise MediaError(f"The results of this run are gone: {path.parent}", "Run it again.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MediaError(f"The results of this run cannot be read: {path}", "Run it again.") from error
    for number in (found.frames[0], found.frames[-1]) if found.frames else ():
        if not Path(found.path(found.layers, number)).is_file():
            raise MediaError(f"Mattes of this run are gone: {found.folder}", "Run it again.")
    return found
