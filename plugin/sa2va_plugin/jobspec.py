"""JobSpec: the one object that says everything a matte job needs, and nothing else.

The same JSON runs from the command line, in the worker, on a farm and from both hosts. Reading is strict: an unknown
or ill-typed field is a :class:`~sa2va_plugin.errors.JobSpecError` that names the field's path. :func:`json_schema` is
generated from the classes below, so it cannot disagree with them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Optional, Union

from .errors import JobSpecError
from .naming import LAST_FRAME, layer_name, require_text
from .schema import doc, one_of, schema_of
from .strict import Reader, encode

VERSION = 1

MISSING_POLICIES = ("error", "hold", "skip")
#: Bound of every matte setting in plate pixels.
MOST_PIXELS = 500.0
_SLOWEST, _FASTEST = 0.01, 1000.0
FORMATS = ("exr", "png", "tiff", "prores")
_READER = Reader("job", JobSpecError, "See `sa2va schema` for the form.", "Correct the job and run it again.")


@dataclass(frozen=True)
class Shot:
    """Which plate, which frames, which colour."""

    path: str = doc("A movie, one file of a sequence, a folder, or a pattern with ####, %04d, <f> or %V.")
    range: Optional[tuple[int, int]] = doc("First and last plate frame, inclusive; null means all.", None)
    frames: Optional[tuple[int, ...]] = doc(
        "The exact plate frames in playing order, repeats allowed; replaces range.", None
    )
    output_first: Optional[int] = doc(
        "Number of the first result frame; null means results keep the plate's own numbers.", None
    )
    movie_first: int = doc("Number of a movie's first frame.", 1)
    fps: Optional[float] = doc("Frames per second; null means what the plate says, else 24.", None)
    missing: str = one_of(*MISSING_POLICIES, doc="What to do about a gap in a sequence.", default="error")
    view: str = doc("Stereo view that %V (or an EXR part's view) stands for.", "")
    layer: str = doc("EXR layer or part that holds the plate's RGB; empty means the main one.", "")
    colour_space: str = doc("Colour space of the plate; empty means file rules, then metadata.", "")
    ocio_config: str = doc("Path or ocio:// name; empty means $OCIO, then the built-in one.", "")
    display: str = doc("OCIO display that the model sees; empty means sRGB.", "")
    display_view: str = doc("OCIO view that the model sees; empty means the untone-mapped one.", "")


@dataclass(frozen=True)
class Point:
    """A click. Pixels of the display window, origin top left, y down; pixel centres lie at .5."""

    frame: int
    x: float
    y: float
    positive: bool = True


@dataclass(frozen=True)
class Box:
    """A rectangle around the object, in the same pixels as a point."""

    frame: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class MaskPin:
    """A matte that the user made or corrected for one frame: it comes back unchanged."""

    frame: int
    path: str = doc("An image whose alpha, or only channel, is the matte, at plate size.")


@dataclass(frozen=True)
class ObjectSpec:
    """What one phrase names. The frames of points, boxes and mattes are result frames."""

    name: str
    phrase: str
    negative_phrases: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    masks: tuple[MaskPin, ...] = ()


@dataclass(frozen=True)
class EngineSpec:
    """Which engine, with which weights, where."""

    name: str = doc("Name of the engine, as `sa2va engines` lists it.", "starter")
    model: str = doc("Catalogue name or folder of the weights; empty means the engine's default.", "")
    device: str = doc("auto, cpu, cuda, cuda:N or mps.", "auto")
    mode: str = one_of("default", "compat", doc="compat repeats the official code's behaviour.", default="default")
    vram_gib: Optional[float] = doc("Upper bound of GPU memory in GiB; null means what the card has.", None)


@dataclass(frozen=True)
class MatteSettings:
    """How logits become alpha."""

    refine: bool = doc("Fit edges to the plate; false means bilinear upsampling alone.", True)
    steady: bool = doc("Take flicker out of edges, along the motion of the picture.", True)
    blur_band: float = doc("Plate pixels by which the edge band is widened, for heavy motion blur or defocus.", 0.0)
    fill_holes: float = doc("Holes up to this many plate pixels across are filled.", 0.0)
    drop_specks: float = doc("Separate pieces up to this many plate pixels across are dropped.", 0.0)
    grow: float = doc("Plate pixels by which edges are moved outwards; negative moves them inwards.", 0.0)
    softness: float = doc("Plate pixels over which edges are softened.", 0.0)
    second_look: bool = doc(
        "Look at small objects again at the scale of a crop, where the engine can: sa2va in its default mode.", False
    )


@dataclass(frozen=True)
class Outputs:
    """Where results go and in which form."""

    folder: str
    format: str = one_of(*FORMATS, doc="exr: one file a frame; png, tiff, prores: one series an object.", default="exr")
    rgb: str = one_of(
        "none",
        "matte",
        "plate",
        "foreground",
        doc="What an EXR's bare R, G, B hold beside the union matte in A; foreground is the objects' own colour.",
        default="none",
    )
    compression: str = one_of("zip", "zips", doc="Lossless EXR compression, 16 lines or 1.", default="zip")
    crop: bool = doc("Shrink the EXR data window to the mattes. Blender misplaces such files.", False)
    per_object: bool = doc(
        "Beside the EXR of all objects, a series an object with R = G = B = A, as Blender's Sequencer takes it.", False
    )
    cryptomatte: bool = doc("Also write a Cryptomatte of all objects, one EXR a frame.", False)
    plate_name: str = doc("Stem of the result files; empty means the plate's own.", "")
    splines: bool = doc("Also make splines of the mattes: splines.json, and splines.nk to paste into Nuke.", False)
    spline_tolerance: float = doc("How far, in pixels, splines may mostly be from the mattes' outlines.", 2.0)


@dataclass(frozen=True)
class JobSpec:
    """All that one job needs.

    Raises :class:`JobSpecError` when it is put together wrongly.
    """

    shot: Shot
    objects: tuple[ObjectSpec, ...]
    outputs: Outputs
    engine: EngineSpec = EngineSpec()
    matte: MatteSettings = MatteSettings()

    def __post_init__(self) -> None:
        _check_shot(self.shot)
        _check_objects(self.objects)
        _check_outputs(self.outputs)
        _check_matte(self.matte)
        require_text(json.dumps(encode(self), ensure_ascii=False), JobSpecError, "A path or setting of the job")

    def to_dict(self) -> dict[str, Any]:
        return {"version": VERSION, **encode(self)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @staticmethod
    def from_dict(data: Any) -> JobSpec:
        if not isinstance(data, dict):
            raise JobSpecError("A job must be a JSON object.", "See `sa2va schema` for its fields.")
        body = dict(data)
        version = body.pop("version", None)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise JobSpecError(f"The job's version is {version!r}, not a number from 1.", f'Add "version": {VERSION}.')
        if version > VERSION:
            raise JobSpecError(
                f"The job is of version {version}; this program reads versions up to {VERSION}.",
                "Update Sa2VA Roto on this machine, or write the job again with the older one.",
            )
        return _READER.read(JobSpec, body)

    @staticmethod
    def from_json(text: Union[str, bytes]) -> JobSpec:
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise JobSpecError(f"The job is not valid JSON: {error}.", "See `sa2va schema` for its form.") from error
        return JobSpec.from_dict(data)

    def hash(self) -> str:
        """SHA-256 (hex) over all that shapes the result files; where the folder lies does not count."""
        # By way of JSON's types, so that fps=24 and fps=24.0 are one job.
        spec = JobSpec.from_dict(self.to_dict())
        # Fields with their default do not count: a new field leaves the hash of older jobs alone.
        data = encode(spec, lean=True)
        del data["outputs"]["folder"]
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _check_shot(shot: Shot) -> None:
    if not shot.path:
        raise JobSpecError("The job names no plate.", "Set shot.path to a movie, a file or a pattern.")
    numbers = (shot.movie_first, shot.output_first or 0, *(shot.range or ()), *(shot.frames or ()))
    for number in numbers:
        if abs(number) > LAST_FRAME:
            raise JobSpecError(f"{number} is not a frame number.", f"They go from {-LAST_FRAME} to {LAST_FRAME}.")
    if shot.range is not None and shot.range[0] > shot.range[1]:
        first, last = shot.range
        raise JobSpecError(f"The range {first}-{last} ends before it starts.", f"Write it as {last}-{first}.")
    if shot.frames is not None and not shot.frames:
        raise JobSpecError("The list of frames is empty.", "Leave shot.frames out to use every frame.")
    repeats = shot.frames is not None and list(shot.frames) != sorted(set(shot.frames))
    if repeats and shot.output_first is None:
        raise JobSpecError(
            "The list of frames repeats or goes backwards, so results need numbers of their own.",
            "Set shot.output_first.",
        )
    if shot.fps is not None and not _SLOWEST <= shot.fps <= _FASTEST:
        raise JobSpecError(
            f"{shot.fps} is not a frame rate.",
            f"Set shot.fps (--fps) to {_SLOWEST:g} to {_FASTEST:g}, or leave it out.",
        )


def _check_outputs(outputs: Outputs) -> None:
    if not outputs.folder or "\0" in outputs.folder:
        raise JobSpecError("The job names no output folder.", "Set outputs.folder, or -o DIR.")
    check_tolerance(outputs.spline_tolerance)
    if outputs.format == "exr":
        return
    idle = {"rgb": outputs.rgb != "none", "per_object": outputs.per_object}
    if not outputs.cryptomatte:  # an EXR, whatever the mattes are
        idle.update(crop=outputs.crop, compression=outputs.compression != "zip")
    for name, given in idle.items():
        if given:
            raise JobSpecError(
                f"outputs.{name} (--{name.replace('_', '-')}) is of EXR files, and the mattes are {outputs.format}.",
                "Leave it out, or set outputs.format (--format) to exr.",
            )


def check_tolerance(tolerance: float) -> None:
    """Raises JobSpecError for what splines cannot be fitted to."""
    if not 0.1 <= tolerance <= 100:
        raise JobSpecError(
            f"Splines cannot be fitted to {tolerance:g} pixels.", "Choose a tolerance of 0.1 to 100; 1 is usual."
        )


def _check_objects(objects: tuple[ObjectSpec, ...]) -> None:
    if not objects:
        raise JobSpecError("The job names no object.", 'Give a phrase, for example "the man".')
    layers: dict[str, str] = {}
    for item in objects:
        if not item.name.strip():
            raise JobSpecError(f"The object for the phrase {item.phrase!r} has no name.", 'Write "name=phrase".')
        if not (item.phrase.strip() or item.points or item.boxes or item.masks):
            raise JobSpecError(f"The phrase of {item.name!r} is empty.", "Say in words what the matte is of.")
        for text in (item.name, item.phrase, *item.negative_phrases):
            # What a terminal of another encoding makes of its letters.
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise JobSpecError(f"{text!r} is no text that a file can hold.", "Type it again, in plain letters.")
        layer = layer_name(item.name)
        # Folders are named after layers, and many disks do not tell capitals apart.
        if layer.lower() in layers:
            other = layers[layer.lower()]
            raise JobSpecError(
                f"Two objects would share the layer {layer!r}: {other!r} and {item.name!r}.",
                'Give each its own name: "left=the man on the left".',
            )
        layers[layer.lower()] = item.name


def _check_matte(matte: MatteSettings) -> None:
    for name in ("blur_band", "fill_holes", "drop_specks", "grow", "softness"):
        value = getattr(matte, name)
        least = -MOST_PIXELS if name == "grow" else 0.0
        if not least <= value <= MOST_PIXELS:
            raise JobSpecError(
                f"matte.{name} (--{name.replace('_', '-')}) is {value}, not a number of plate pixels from {least:g} to "
                f"{MOST_PIXELS:g}.",
                "Correct it; 0 leaves mattes as they are.",
            )
    if matte.blur_band and not matte.refine:
        raise JobSpecError(
            "matte.blur_band (--blur-band) is of edges that are fitted to the plate, and the job fits none.",
            "Leave it out, or set matte.refine (leave out --no-refine).",
        )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a job, generated from :class:`JobSpec`."""
    schema = schema_of(JobSpec)
    schema["properties"] = {
        "version": {"type": "integer", "minimum": 1, "maximum": VERSION},
        **schema["properties"],
    }
    schema["required"].insert(0, "version")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Sa2VA Roto job", **schema}
