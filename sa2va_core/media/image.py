"""One image file in: its header, and the pixels of its display window, as stored."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray
from sa2va_plugin.errors import MediaError

from sa2va_core.media import timecode
from sa2va_core.media.plate import ColourHint, nominal_rate
from sa2va_core.media.sequence import view_names

_COLOURS = ({"r", "red"}, {"g", "green"}, {"b", "blue"})
#: Layers that hold the picture when a file has no bare R, G and B, the likeliest first.
_MAIN_LAYERS = ("rgba", "rgb", "beauty", "combined")
#: CIE xy of red, green, blue and white, and the linear space that has them (SMPTE ST 2065-1, ACES TB-2014-004, ITU-R
#: BT.709, BT.2020, SMPTE EG 432-1).
_PRIMARIES = {
    "lin_ap0_scene": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
    "lin_ap1_scene": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),
    "lin_rec709_scene": (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329),
    "lin_rec2020_scene": (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329),
    "lin_p3d65_scene": (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329),
}
#: (x0, y0, x1, y1), end-exclusive.
_Window = tuple[int, int, int, int]
_LOG_NOTE = "its header says logarithmic but not whose curve"


@dataclass(frozen=True)
class Layer:
    """Where in a file a picture lies: a subimage (EXR part) and the channels for red, green and blue there."""

    name: str
    part: str
    subimage: int
    channels: tuple[int, int, int]
    view: str
    grey: bool

    @property
    def label(self) -> str:
        return self.name or self.part or "(main)"


@dataclass(frozen=True)
class StillHeader:
    """``size``: (width, height) of the display window, upright; ``origin``: (x, y) of its top left pixel. ``overscan``:
    the data window reaches beyond it. ``hint``: what the file says of its colour."""

    size: tuple[int, int]
    origin: tuple[int, int]
    overscan: bool
    pixel_aspect: float
    fps: Fraction | None
    timecode: str | None
    hint: ColourHint | None
    bits: int


def read_header(path: Path, layer: str = "", view: str = "") -> StillHeader:
    """Facts of one file. Raises MediaError."""
    with _opened(path) as image:
        spec = image.spec(_choose(image, path, layer, view).subimage)
        data, display = _windows(spec, image.format_name())
        x0, y0, x1, y1 = display
        width, height, origin = x1 - x0, y1 - y0, (x0, y0)
        overscan = data[0] < x0 or data[1] < y0 or data[2] > x1 or data[3] > y1
        aspect = spec.get_float_attribute("PixelAspectRatio", 1.0)
        if not (np.isfinite(aspect) and 0.05 < aspect < 20):
            aspect = 1.0
        if _orientation(spec) >= 5:
            width, height, origin, aspect = height, width, (y0, x0), 1 / aspect
        bits = spec.get_int_attribute("oiio:BitsPerSample", 8 * spec.format.basesize())
        return StillHeader(
            (width, height), origin, overscan, aspect, _rate(spec), _timecode(spec), _hint(spec, path), bits
        )


def read_pixels(path: Path, layer: str = "", view: str = "") -> NDArray[np.generic]:
    """RGB of the display window, (height, width, 3), upright, in the file's own encoding.

    uint8 and uint16 use their whole range whatever the file's bit depth; half and float come as stored. Alpha is left
    out and not divided by. What the data window does not cover is 0. Raises MediaError.
    """
    with _opened(path) as image:
        chosen = _choose(image, path, layer, view)
        spec = image.spec(chosen.subimage)
        if spec.deep:
            raise MediaError(f"The image is deep, which mattes cannot be made of: {path}", "Flatten it first.")
        first, last = min(chosen.channels), max(chosen.channels) + 1
        data = image.read_image(chosen.subimage, 0, first, last, _storage(spec, chosen.channels))
        windows = _windows(spec, image.format_name())
        # Some formats hand out half a picture and say so only here.
        trouble = image.geterror()
        if data is None or trouble:
            raise _unreadable(path, trouble)
    picked = tuple(channel - first for channel in chosen.channels)
    if data.ndim == 2:
        data = data[..., None]
    rgb = data if picked == (0, 1, 2) and data.shape[2] == 3 else data[..., picked]
    return np.ascontiguousarray(_upright(_in_display_window(rgb, *windows), _orientation(spec)))


def _windows(spec: oiio.ImageSpec, form: str) -> tuple[_Window, _Window]:
    """The data and the display window. Other formats than EXR have offsets too, but these are places on a page or a
    film, which hosts do not look at: there the picture is the window."""
    if form != "openexr":
        return (0, 0, spec.width, spec.height), (0, 0, spec.width, spec.height)
    return (
        (spec.x, spec.y, spec.x + spec.width, spec.y + spec.height),
        (spec.full_x, spec.full_y, spec.full_x + spec.full_width, spec.full_y + spec.full_height),
    )


def _in_display_window(rgb: NDArray[Any], data: _Window, display: _Window) -> NDArray[Any]:
    if data == display:
        return rgb
    left, top, right, bottom = display
    out = np.zeros((bottom - top, right - left, 3), rgb.dtype)
    x0, y0, x1, y1 = max(data[0], left), max(data[1], top), min(data[2], right), min(data[3], bottom)
    if x0 < x1 and y0 < y1:
        out[y0 - top : y1 - top, x0 - left : x1 - left] = rgb[y0 - data[1] : y1 - data[1], x0 - data[0] : x1 - data[0]]
    return out


def _orientation(spec: oiio.ImageSpec) -> int:
    return spec.get_int_attribute("Orientation", 1)


def _upright(rgb: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF/TIFF orientation: 5 to 8 are transposed, and the flips follow."""
    if orientation >= 5:
        rgb = rgb.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    return rgb


def _storage(spec: oiio.ImageSpec, channels: Sequence[int]) -> str:
    """The type to read as: the file's own where numpy and OCIO share it, else float."""
    own = {str(spec.channelformats[c]) if spec.channelformats else str(spec.format) for c in channels}
    return own.pop() if len(own) == 1 and own <= {"uint8", "uint16", "half", "float"} else "float"


# Layers


def _choose(image: Any, path: Path, wanted: str, view: str) -> Layer:
    layers = _layers(image)
    if view and any(layer.view for layer in layers):
        names = {name.lower() for name in view_names(view)}
        mine = [layer for layer in layers if layer.view.lower() in names]
        if not mine:
            known = ", ".join(sorted({layer.view for layer in layers if layer.view}))
            raise MediaError(f"The file has no view {view!r}: {path}", f"Its views are: {known}.")
        layers = mine
    if wanted:
        key = wanted.lower()
        found = [layer for layer in layers if key in (layer.name.lower(), layer.part.lower())]
        if not found:
            known = ", ".join(dict.fromkeys(layer.label for layer in layers)) or "none with R, G and B"
            raise MediaError(f"The file has no layer {wanted!r}: {path}", f"Its layers are: {known}.")
        return min(found, key=lambda layer: layer.grey)
    if not layers:
        raise MediaError(f"The file has no picture channels: {path}", "A plate needs R, G and B, or one channel.")
    return min(layers, key=_rank)


def _rank(layer: Layer) -> tuple[bool, int]:
    last = layer.name.lower().replace("/", ".").split(".")[-1]
    order = 0 if not layer.name else 1 + _MAIN_LAYERS.index(last) if last in _MAIN_LAYERS else 99
    return (layer.grey, order)


def _layers(image: Any) -> list[Layer]:
    layers: list[Layer] = []
    subimage = 0
    while image.seek_subimage(subimage, 0):
        layers += _layers_of(image.spec(), subimage)
        subimage += 1
    image.geterror()  # The seek past the end.
    return layers


def _layers_of(spec: oiio.ImageSpec, subimage: int) -> list[Layer]:
    part = spec.get_string_attribute("oiio:subimagename")
    groups: dict[str, dict[str, int]] = {}
    for index, channel in enumerate(spec.channelnames):
        name, _, last = channel.rpartition(".")
        groups.setdefault(name, {})[last.lower()] = index
    stereo = spec.getattribute("multiView") or ()
    stereo = (stereo,) if isinstance(stereo, str) else tuple(stereo)
    layers = []
    for name, channels in groups.items():
        view = spec.get_string_attribute("view")
        if stereo:
            # OpenEXR, "Storing Multi-View Images": the default view's channels do not name it, the others' do.
            parts = name.split(".")
            view = parts[-1] if parts[-1] in stereo[1:] else str(stereo[0])
            name = ".".join(parts[:-1]) if parts[-1] in stereo[1:] else name
        red, green, blue = (next((i for c, i in channels.items() if c in colour), None) for colour in _COLOURS)
        if red is not None and green is not None and blue is not None:
            layers.append(Layer(name, part, subimage, (red, green, blue), view, False))
        else:
            grey = [i for c, i in channels.items() if c not in ("a", "alpha")] or list(channels.values())
            if len(grey) == 1:
                layers.append(Layer(name, part, subimage, (grey[0], grey[0], grey[0]), view, True))
    return layers


# Metadata


def _rate(spec: oiio.ImageSpec) -> Fraction | None:
    for name in ("framesPerSecond", "FramesPerSecond", "dpx:FrameRate", "dpx:TemporalFrameRate"):
        value = spec.getattribute(name)
        if isinstance(value, tuple):
            value = value[0] / value[1] if len(value) == 2 and value[1] else None
        if isinstance(value, int | float) and 1 <= value <= 1000:
            return nominal_rate(value)
    return None


def _timecode(spec: oiio.ImageSpec) -> str | None:
    value = spec.getattribute("smpte:TimeCode")
    return timecode.from_packed(int(value[0])) if isinstance(value, tuple) and value else None


def _hint(spec: oiio.ImageSpec, path: Path) -> ColourHint | None:
    for name in ("colorInteropID", "oiio:ColorSpace"):
        value = spec.get_string_attribute(name)
        if value == "KodakLog":
            return ColourHint(("Cineon", "ADX10"), "a logarithmic film scan", _LOG_NOTE)
        if value:
            return ColourHint((value,), f"{name} {value}")
    if path.suffix.lower() == ".cin" or spec.get_string_attribute("dpx:Transfer") == "Printing density":
        return ColourHint(("Cineon", "ADX10"), "a logarithmic film scan", _LOG_NOTE)
    chromaticities = spec.getattribute("chromaticities")
    if chromaticities:
        for space, primaries in _PRIMARIES.items():
            if np.allclose(chromaticities, primaries, atol=2e-3):
                return ColourHint((space,), f"chromaticities of {space}")
        return ColourHint((), "chromaticities of no known space")
    return None


# Opening


@contextlib.contextmanager
def _opened(path: Path) -> Generator[Any]:
    # Straight alpha: otherwise OpenImageIO multiplies PNG and TIFF colour by it.
    hints = oiio.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)
    image = oiio.ImageInput.open(str(path), hints)
    if image is None:
        trouble = oiio.geterror()  # Fetched always, else the library prints it at exit.
        try:
            with path.open("rb") as file:
                empty = not file.read(1)
        except FileNotFoundError as error:
            raise MediaError(f"The frame is missing: {path}", "Bring it back, or tell how to treat gaps.") from error
        except OSError as error:
            raise MediaError(f"The image may not be read ({error.strerror}): {path}", "Check permissions.") from error
        if empty:
            raise MediaError(f"The image is empty (0 bytes): {path}", "Copy or render it again.")
        raise _unreadable(path, trouble)
    try:
        yield image
    finally:
        image.geterror()
        image.close()


def _unreadable(path: Path, trouble: str) -> MediaError:
    detail = " ".join(trouble.split()).replace(str(path), path.name)
    detail = f" ({detail[:160]})" if detail else ""
    return MediaError(f"The image cannot be read{detail}: {path}", "Copy or render it again; it may be cut short.")
