"""What the user has selected, as a plate: a strip, a movie clip, an image node.

A target is looked up anew whenever it is needed and never kept: undo and loading a file free what it points to.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import bpy
from sa2va_plugin.errors import JobSpecError, MediaError
from sa2va_plugin.jobspec import Shot
from sa2va_plugin.naming import FramePattern

from . import compat, frames
from .frames import Plan, Source, StripFacts
from .properties import claim

#: Left to the worker, which looks at the file: these pictures look right as they are stored.
_AS_STORED = frozenset({"", "sRGB", "Rec.1886", "Gamma 2.2 Encoded Rec.709", "Gamma 2.4 Encoded Rec.709"})
#: 24 and 23.976 are not the same: over a thousand frames they are one frame apart.
_SAME_RATE = 1e-4
#: Names that the worker knows without Blender's configuration.
_COMMON = frozenset({"Linear Rec.709", "Linear Rec.2020", "ACEScg", "ACES2065-1", "ACEScct", "ACEScc", "Non-Color"})


class Target(ABC):
    """``owner``: the data that carries our settings. ``scene``: where results go."""

    kind = ""

    def __init__(self, scene: Any, owner: Any) -> None:
        self.scene, self.owner = scene, owner

    @property
    def settings(self) -> Any:
        return self.owner.sa2va

    @property
    def name(self) -> str:
        return self.owner.name

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What :func:`again` finds it by, after Blender has had time to change its data."""
        return self.scene.name, self.kind, self.settings.uid, self.name

    @abstractmethod
    def claim(self) -> Any:
        """The settings, with a uid of their own."""

    @property
    @abstractmethod
    def facts(self) -> StripFacts: ...

    @abstractmethod
    def source(self) -> Optional[Source]:
        """The files behind it; None where they must be rendered first. Raises MediaError when they are missing."""

    @property
    @abstractmethod
    def colour_space(self) -> str: ...

    def timeline(self) -> range:
        """The timeline frames that the chosen range means. Raises JobSpecError for none."""
        facts, scene = self.facts, self.scene
        chosen = self.settings.range
        if chosen == "SCENE":
            return frames.wanted(scene.frame_start, scene.frame_end, facts)
        if chosen == "PREVIEW":
            if not scene.use_preview_range:
                raise JobSpecError("The scene has no preview range.", "Set one with P in the timeline, or choose Clip.")
            return frames.wanted(scene.frame_preview_start, scene.frame_preview_end, facts)
        return frames.wanted(facts.left, facts.right - 1, facts)

    def shot(self) -> tuple[Shot, Plan]:
        """The plate and its frames, read from the source's own files. Raises JobSpecError, MediaError."""
        source = self.source()
        if source is None:
            raise MediaError(f"{self.name} has no files of its own.", "Turn on As the Sequencer Shows It.")
        numbers = frames.numbers(self.timeline(), self.facts, source)
        present = _present(source, numbers)
        space = "" if self.colour_space in _AS_STORED else self.colour_space
        shot = Shot(
            source.path,
            frames=present,
            fps=self.scene.render.fps / self.scene.render.fps_base,
            colour_space=space,
            # Blender's other names are known to its own configuration alone.
            ocio_config=compat.blender_ocio() if space and space not in _COMMON else "",
        )
        return shot, Plan(numbers=present)


class StripTarget(Target):
    kind = "STRIP"

    def claim(self) -> Any:
        return claim(self.owner, compat.all_strips(self.scene))

    @property
    def facts(self) -> StripFacts:
        return compat.strip_facts(self.owner)

    @property
    def colour_space(self) -> str:
        return self.owner.colorspace_settings.name

    @property
    def rendered(self) -> bool:
        """Whether its frames can only be had by rendering."""
        strip = self.owner
        if strip.type not in ("MOVIE", "IMAGE") or self.settings.as_shown or compat.is_retimed(strip):
            return True
        if any(other.type == "SPEED" and other.input_1 == strip for other in compat.strips(self.scene)):
            return True
        if strip.type == "MOVIE":
            # A movie of another rate may or may not be conformed to the scene; only a render can tell.
            rate = self.scene.render.fps / self.scene.render.fps_base
            return bool(strip.elements) and abs(strip.elements[0].orig_fps - rate) > _SAME_RATE * rate
        return frames.files_of([element.filename for element in strip.elements]) is None

    def source(self) -> Optional[Source]:
        if self.rendered:
            return None
        strip = self.owner
        library = self.scene.library
        if strip.type == "MOVIE":
            path = _absolute(strip.filepath, library)
            _require(path)
            return Source(path, movie=True)
        found = frames.files_of([element.filename for element in strip.elements])
        assert found is not None
        folder = _absolute(strip.directory, library)
        if not Path(folder).is_dir():
            raise MediaError(f"The strip's folder is missing: {folder}", "Bring it back, or relink the strip.")
        return Source(str(Path(folder, found[0])), numbers=found[1])


class ClipTarget(Target):
    kind = "CLIP"

    def claim(self) -> Any:
        return claim(self.owner, bpy.data.movieclips)

    @property
    def facts(self) -> StripFacts:
        clip = self.owner
        start = clip.frame_start - clip.frame_offset
        return StripFacts(start, clip.frame_duration, clip.frame_start, start + clip.frame_duration)

    @property
    def colour_space(self) -> str:
        return self.owner.colorspace_settings.name

    def source(self) -> Optional[Source]:
        path = _absolute(self.owner.filepath, self.owner.library)
        _require(path)
        return Source(path, movie=True) if self.owner.source == "MOVIE" else _sequence(path)


class ImageTarget(Target):
    """An Image node of the compositor."""

    kind = "IMAGE"

    def __init__(self, scene: Any, node: Any) -> None:
        super().__init__(scene, node.image)
        self.node = node

    def claim(self) -> Any:
        return claim(self.owner, bpy.data.images)

    @property
    def facts(self) -> StripFacts:
        node = self.node
        if self.owner.source not in ("MOVIE", "SEQUENCE"):
            return StripFacts(self.scene.frame_start, 1, self.scene.frame_start, self.scene.frame_start + 1)
        start, length = node.frame_start, node.frame_duration
        # An Image node shows file number frame - frame_start + 1 + frame_offset.
        return StripFacts(start, length, start, start + length, trim=node.frame_offset)

    @property
    def colour_space(self) -> str:
        return self.owner.colorspace_settings.name

    def source(self) -> Optional[Source]:
        image = self.owner
        if image.source not in ("MOVIE", "SEQUENCE", "FILE"):
            raise MediaError(f"The image {image.name} has no file.", "Use the node of a movie, a sequence or a still.")
        if image.packed_file is not None:
            raise MediaError(
                f"The image {image.name} is packed into the .blend file.", "Unpack it: File > External Data."
            )
        path = _absolute(image.filepath, image.library)
        _require(path)
        if image.source == "MOVIE":
            return Source(path, movie=True)
        sequence = _sequence(path, still=image.source == "FILE")
        # This node counts by the number in the name, whatever file it was opened with.
        return sequence if image.source == "FILE" else Source(sequence.path)


# Files


def _absolute(path: str, library: Any) -> str:
    return os.path.normpath(bpy.path.abspath(path, library=library))


def _require(path: str) -> None:
    if not Path(path).is_file():
        raise MediaError(f"The clip's file is missing: {path}", "Bring it back, or relink the clip.")


def _sequence(path: str, still: bool = False) -> Source:
    """An image sequence from the file that it was opened on; ``still``: that file alone, with or without a number."""
    found = frames.files_of([Path(path).name])
    if found is None:
        raise MediaError(f"The clip's file has no frame number: {path}", "Open a sequence like shot.0001.exr.")
    pattern, (first,) = found
    return Source(str(Path(path).with_name(pattern)), first, numbers=(first,) if still else ())


def _present(source: Source, numbers: Sequence[int]) -> tuple[int, ...]:
    """Those whose file exists: Blender shows nothing on a gap, so there is nothing to matte."""
    pattern = None if source.movie else FramePattern.parse(source.path)
    if pattern is None:
        _require(source.path)
        return tuple(numbers)
    folder = Path(source.path).parent
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    found = tuple(number for number in numbers if Path(pattern.path(number)).name in names)
    if not found:
        raise MediaError(f"None of the files is there: {source.path}", "Bring them back, or relink the clip.")
    return found
