"""Mattes out: one EXR a frame, or one PNG, TIFF or movie series an object."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sa2va_plugin.errors import JobSpecError
from sa2va_plugin.jobspec import ObjectSpec, Outputs
from sa2va_plugin.naming import layer_name, matte_pattern

from . import stills
from .atomic import remove_strays, write_bytes
from .encode import prores_matte
from .exr import data_window, to_half, write_exr
from .frames import PlateFacts, SourceFrame

#: Files that only a running job needs: a movie's frames until the movie is made.
SCRATCH = ".sa2va"
#: More layers than this in one file and Nuke, whose scripts share one list of channels, begins to complain.
MANY_OBJECTS = 16
HALF_MAX = 65504
# Of the 255 bytes of a name, the layer, the frame and what marks a temporary file take up to 71.
_LONGEST_STEM = 180


class MatteWriter:
    """Writes the mattes of one job.

    :meth:`write` may be called by several threads at once, for different frames. Nothing is kept in memory, so a job
    that was killed goes on with a new writer of the same arguments.

    ``provenance`` is what made the mattes (engine, model, weight hashes, settings, job hash...), stored in every file
    as ``sa2va/KEY``. ``warnings``: sentences for the user.
    """

    def __init__(
        self, outputs: Outputs, facts: PlateFacts, objects: Sequence[ObjectSpec], provenance: Mapping[str, str]
    ) -> None:
        self._outputs, self._facts, self._objects = outputs, facts, tuple(objects)
        self._folder = Path(outputs.folder)
        self._stem = result_stem(outputs, facts)
        self._provenance = provenance
        self.warnings: tuple[str, ...] = ()
        if outputs.format == "exr" and len(objects) > MANY_OBJECTS:
            self.warnings = (
                f"{len(objects)} objects make as many layers in one EXR; Nuke limits the channels of a script, "
                f"so jobs of up to {MANY_OBJECTS} objects are safer there.",
            )

    def paths(self, frame: int) -> list[Path]:
        """The files that :meth:`write` makes for a result frame. For movies, frames that wait for :meth:`finish`."""
        if self._outputs.format == "exr":
            singles = self._objects if self._outputs.per_object else ()
            return [
                self._folder / matte_pattern(self._stem, "exr", layer).path(frame)
                for layer in ("", *(layer_name(item.name) for item in singles))
            ]
        return [self._still(item, frame) for item in self._objects]

    def outputs(self, frames: Sequence[int]) -> list[Path]:
        """The files that stay, for a job of these result frames."""
        if self._outputs.format == "prores":
            return [self._movie(item) for item in self._objects]
        return [path for frame in frames for path in self.paths(frame)]

    def remove_strays(self, frames: Sequence[int]) -> None:
        """Clear what a killed run left half-written of these frames. Call it before the first of them is written."""
        remove_strays([*self.outputs(frames), *(path for frame in frames for path in self.paths(frame))])

    def write(
        self,
        source: SourceFrame,
        alphas: Mapping[str, NDArray[np.float32]],
        plate: NDArray[np.floating] | None = None,
    ) -> list[Path]:
        """Write one frame; returns its files.

        ``alphas``: object name to float32 (H, W), 0..1, over the plate's display window. ``plate``: the plate's own
        pixels (or the objects' colours in them) over the same window, half or float (H, W, 3), in its colour space;
        used, and then needed, where ``outputs.rgb`` is "plate" or "foreground". Raises OutputError.
        """
        width, height = self._facts.size
        planes = [alphas[item.name] for item in self._objects]
        for item, plane in zip(self._objects, planes, strict=True):
            if plane.shape != (height, width):
                raise ValueError(f"the matte of {item.name!r} is {plane.shape}, the plate {(height, width)}")
        if self._outputs.format == "exr":
            return self._write_exrs(source, planes, plate)
        encode = stills.tiff if self._outputs.format == "tiff" else stills.png
        paths = self.paths(source.frame)
        for item, plane, path in zip(self._objects, planes, paths, strict=True):
            metadata = file_metadata(self._provenance, source, (item,))
            write_bytes(path, encode(stills.to_16_bit(plane), metadata, self._facts.pixel_aspect))
        return paths

    def finish(self, sources: Sequence[SourceFrame]) -> list[Path]:
        """Make the movies, if the job asks for movies, of all its frames in order; returns the files made.

        The frames stay in ``.sa2va``, so that a run that is killed before it could note the movies need not start
        over; the caller removes that folder. Raises OutputError.
        """
        if self._outputs.format != "prores":
            return []
        movies = []
        for item in self._objects:
            frames = [self._still(item, source.frame) for source in sources]
            facts = file_metadata(self._provenance, sources[0], (item,))
            metadata = {name: str(value) for name, value in facts.items()}
            movies.append(self._movie(item))
            prores_matte(
                movies[-1],
                frames,
                self._facts.fps,
                pixel_aspect=self._facts.pixel_aspect,
                timecode=sources[0].timecode,
                metadata=metadata,
            )
        return movies

    def _write_exrs(
        self, source: SourceFrame, planes: Sequence[NDArray[np.float32]], plate: NDArray[np.floating] | None
    ) -> list[Path]:
        halves, union = to_half(planes)
        channels: dict[str, NDArray[np.float16]] = {}
        rgb = self._outputs.rgb
        if rgb == "matte":
            channels = {"R": union, "G": union, "B": union}
        elif rgb in ("plate", "foreground"):
            if plate is None or plate.shape != (*union.shape, 3):
                raise ValueError(f"outputs.rgb is {rgb!r}, which takes the plate's pixels at the plate's size")
            if plate.dtype != np.float16:
                plate = plate.clip(-HALF_MAX, HALF_MAX)  # a float too large for half would become infinite
            channels = {c: np.ascontiguousarray(plate[..., i], np.float16) for i, c in enumerate("RGB")}
        channels["A"] = union
        for item, half in zip(self._objects, halves, strict=True):
            channels[f"{layer_name(item.name)}.A"] = half
        metadata = file_metadata(self._provenance, source, self._objects)
        if rgb in ("plate", "foreground"):
            metadata["sa2va/plate_colour_space"] = self._facts.colour_space
        path, *singles = self.paths(source.frame)
        self._write_exr(
            path, source, channels, union, metadata, interop_id="" if rgb in ("plate", "foreground") else "data"
        )
        for item, half, single in zip(self._objects, halves, singles, strict=False):
            # Four times the matte is white premultiplied by it: the one form that is right in every Sequencer.
            said = file_metadata(self._provenance, source, (item,))
            self._write_exr(single, source, dict.fromkeys("RGBA", half), half, said)
        return [path, *singles]

    def _write_exr(
        self,
        path: Path,
        source: SourceFrame,
        channels: Mapping[str, NDArray[np.float16]],
        union: NDArray[np.float16],
        metadata: Mapping[str, str | int],
        interop_id: str = "data",
    ) -> None:
        write_exr(
            path,
            channels,
            size=self._facts.size,
            origin=self._facts.origin,
            window=data_window(union) if self._outputs.crop else None,
            pixel_aspect=self._facts.pixel_aspect,
            fps=self._facts.fps,
            timecode=source.timecode,
            compression=self._outputs.compression,
            interop_id=interop_id,
            metadata=metadata,
        )

    def _still(self, item: ObjectSpec, frame: int) -> Path:
        movie = self._outputs.format == "prores"
        extension = "tif" if self._outputs.format == "tiff" else "png"
        path = matte_pattern(self._stem, extension, layer_name(item.name)).path(frame)
        return self._folder / SCRATCH / path if movie else self._folder / path

    def _movie(self, item: ObjectSpec) -> Path:
        return self._folder / "mattes" / f"{self._stem}_{layer_name(item.name)}.mov"


def keep_apart(plate: Path, folder: Path) -> None:
    """Raise JobSpecError where results in ``folder`` would lie beside ``plate``, a movie or a file of a sequence: they
    would pass for plates of that folder the next time, or take the place of the plate itself."""
    home, results = (Path(os.path.realpath(path)) for path in (plate.parent, folder))
    if home == results or lies_in_results(plate, folder):
        raise JobSpecError(
            f"The results would lie in the plate's own folder: {home}",
            f"Choose a folder of their own, for example {home / plate.name.partition('.')[0]}_mattes",
        )


def lies_in_results(path: Path, folder: Path) -> bool:
    """Whether a file lies in one of the folders that a job with its results in ``folder`` makes and empties."""
    home, results = (Path(os.path.realpath(path)) for path in (path.parent, folder))
    return any(home.is_relative_to(results / name) for name in ("mattes", "cryptomatte", SCRATCH))


def file_metadata(
    provenance: Mapping[str, str], source: SourceFrame, objects: Sequence[ObjectSpec]
) -> dict[str, str | int]:
    """What a file says of itself. The plate's name, never its folder: files travel further than paths should."""
    metadata: dict[str, str | int] = {
        **{f"sa2va/{key}": value for key, value in provenance.items()},
        "sa2va/source_file": source.path.name,
        "sa2va/source_frame": source.plate_frame,
    }
    for item in objects:
        layer = layer_name(item.name)
        metadata[f"sa2va/objects/{layer}/name"] = item.name
        metadata[f"sa2va/objects/{layer}/phrase"] = item.phrase
    return metadata


def result_stem(outputs: Outputs, facts: PlateFacts) -> str:
    """What the names of result files begin with. Raises JobSpecError for one that would leave the folder or that disks
    do not take."""
    stem = outputs.plate_name or facts.stem
    if len(stem.encode()) > _LONGEST_STEM:
        raise JobSpecError(
            f"{stem[:40]!r}... is too long to begin a file's name.",
            f"Set outputs.plate_name to a word of up to {_LONGEST_STEM} letters.",
        )
    if any(character in stem for character in "/\\:\0") or stem in (".", ".."):
        raise JobSpecError(f"{stem!r} cannot begin a file's name.", "Set outputs.plate_name to a plain word.")
    return stem
