"""Colour in: which space a plate is in, and the way from there to the picture the model sees.

The decision and its figures: docs/decisions/0002-colour-default-view.md.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PyOpenColorIO
from numpy.typing import NDArray
from sa2va_plugin.errors import ColourError
from sa2va_plugin.jobspec import Shot

from sa2va_core.media import lut
from sa2va_core.media.plate import ColourHint

ocio: Any = PyOpenColorIO  # Its names are bound at run time, so type checkers see none.

_FAILURES = (ocio.Exception, ocio.ExceptionMissingFile)  # Neither is the other's base.

#: Pinned by full name: ``ocio://default`` is another config in every OCIO release.
BUILT_IN = "ocio://studio-config-v4.0.0_aces-v2.0_ocio-v2.5"
#: What people and hosts say, for configs that do not know the word: the same space by names that configs do know.
_EVERYDAY = {
    "srgb": ("srgb_rec709_display", "srgb_rec709_scene", "sRGB - Texture"),
    "rec709": ("g24_rec709_display", "rec709_display", "Rec.1886"),
    "rec.709": ("g24_rec709_display", "rec709_display", "rec709", "Rec.1886"),
    "rec.1886": ("g24_rec709_display", "rec709"),
    "linear": ("lin_rec709_scene", "lin_rec709", "scene_linear"),
    "linear rec.709": ("lin_rec709_scene", "linear"),
    "raw": ("data", "Non-Color"),
    "data": ("raw", "Non-Color"),
    "non-color": ("data", "raw"),
    "lin_rec709_scene": ("Linear Rec.709", "linear"),
    "lin_ap1_scene": ("ACEScg",),
    "lin_ap0_scene": ("ACES2065-1",),
    "srgb_rec709_scene": ("sRGB - Texture", "sRGB"),
    "srgb_rec709_display": ("sRGB - Display", "sRGB"),
    "g24_rec709_display": ("Rec.1886 Rec.709 - Display", "Rec.1886", "rec709", "Rec.709", "sRGB"),
}
#: Pictures in these spaces already look right on an sRGB or Rec.709 screen, so their code values pass unchanged.
_SHOWN_AS_IS = (
    *("srgb_rec709_display", "srgb_rec709_scene", "sRGB - Display", "sRGB - Texture", "sRGB"),
    *("g24_rec709_display", "ocio:g24_rec709_scene", "Rec.1886 Rec.709 - Display", "Rec.1886", "rec1886"),
    *("g22_rec709_display", "g22_rec709_scene", "Gamma2.2", "Gamma2.4"),
    *("ocio:itu709_rec709_scene", "Camera Rec.709", "rec709", "Rec.709"),
)
#: What values are cut to before they are converted: far above what a display shows.
_LINEAR_CEILING, _CODE_CEILING = 65504.0, 4.0
_PLAIN_VIEWS = ("un-tone-mapped", "untone-mapped", "standard")


def load_config(named: str) -> ColourConfig:
    """The OCIO config: ``named`` (a path or ocio:// name), else $OCIO, else the built-in one. Raises ColourError."""
    source = named or os.environ.get("OCIO", "") or BUILT_IN
    # Where a job goes to the worker, $OCIO is written into it: both are named.
    is_name = source.startswith("ocio://")
    path = source if is_name else str(Path(source).expanduser())
    if not is_name and not Path(path).is_file():
        raise ColourError(f"There is no OCIO config: {path}", f"Correct --ocio or $OCIO, or use {BUILT_IN}")
    try:
        return ColourConfig(ocio.Config.CreateFromFile(path), path, generic=is_name)
    except _FAILURES as error:
        hint = f"Repair it, or name another by --ocio or $OCIO: a config.ocio file, or {BUILT_IN}"
        raise ColourError(f"The OCIO config does not load ({_brief(error)}): {path}", hint) from error


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."


@dataclass(frozen=True)
class PlateSpace:
    """The plate's colour space in the config, and who named it: ``job``, ``file rules`` or ``metadata``."""

    name: str
    source: str
    warnings: tuple[str, ...] = ()


class ColourConfig:
    """An OCIO config. ``generic``: it came with the library, so its file rules know nothing of this plate."""

    def __init__(self, config: Any, label: str, generic: bool) -> None:
        self.config, self.label, self.generic = config, label, generic

    def find(self, name: str) -> str | None:
        """The config's own name for a space, alias, role or everyday word; None when it has no such space."""
        for candidate in (name, *_EVERYDAY.get(name.lower(), ())):
            space = self.config.getColorSpace(candidate)
            if space is not None:
                return space.getName()
        return None

    def space(self, name: str) -> str:
        """Like :meth:`find`, but raises a ColourError that lists the spaces, the closest names first."""
        found = self.find(name)
        if found is None:
            names = list(self.config.getColorSpaceNames())
            aliases = {alias: s.getName() for s in self.config.getColorSpaces() for alias in s.getAliases()}
            lowered = {text.lower(): own for text, own in [*aliases.items(), *((n, n) for n in names)]}
            close = difflib.get_close_matches(name.lower(), lowered, n=8, cutoff=0.3)
            ordered = dict.fromkeys([lowered[key] for key in close] + names)
            raise ColourError(
                f"The colour space {name!r} is not in the OCIO config {self.label}",
                "Its spaces, the closest names first: " + ", ".join(ordered) + ".",
            )
        return found

    def plate_space(self, named: str, path: Path, hint: ColourHint | None, bits: int) -> PlateSpace:
        """The space of a plate: the job's word, else a file rule somebody wrote, else the file's own metadata, else
        the rules that would match any plate.

        Those last are a guess, and said to be one, unless they take an 8-bit plate (``bits``) for a picture made to be
        looked at, which it nearly always is. Raises ColourError.
        """
        if named:
            return PlateSpace(self.space(named), "job", self._data_warning(named))
        by_rule, is_default = self._by_rule(path)
        if not (self.generic or is_default):
            return PlateSpace(by_rule, "file rules", self._data_warning(by_rule))
        for name in hint.names if hint else ():
            found = self.find(name)
            if found:
                note = hint.note if hint else ""
                notes = (f"Read as {found}: {note}. Name the colour space if that is wrong.",) if note else ()
                return PlateSpace(found, "metadata", (*notes, *self._data_warning(found)))
        if hint is None and bits <= 8 and self.passes_through(by_rule):
            return PlateSpace(by_rule, "file rules", self._data_warning(by_rule))
        said = f"The plate says {hint.said}, which the OCIO config does not know" if hint else "The plate does not say"
        warning = f"{said}; its colour space is taken as {by_rule}. Name the colour space if that is wrong."
        return PlateSpace(by_rule, "file rules", (warning, *self._data_warning(by_rule)))

    def _by_rule(self, path: Path) -> tuple[str, bool]:
        try:
            name, index = self.config.getColorSpaceFromFilepath(str(path))
            rules = self.config.getFileRules()
            return self.space(name), index == rules.getNumEntries() - 1
        except _FAILURES as error:
            raise ColourError(
                f"The OCIO config's file rules fail ({_brief(error)}): {self.label}", "Name the colour space."
            ) from error

    def is_data(self, space: str) -> bool:
        """Whether the space holds numbers that are no colour."""
        return self.config.getColorSpace(space).isData()

    def _data_warning(self, name: str) -> tuple[str, ...]:
        space = self.space(name)
        if not self.is_data(space):
            return ()
        return (f"{space} is not a colour: the model sees the plate's numbers as they are, cut to 0..1.",)

    def passes_through(self, space: str) -> bool:
        """Whether pictures in ``space`` are already what a screen shows, or are no colour at all."""
        return self.is_data(space) or space in {self.find_exact(name) for name in _SHOWN_AS_IS}

    def find_exact(self, name: str) -> str | None:
        """The space of that name or alias under its own name; None when there is none."""
        space = self.config.getColorSpace(name)
        return space.getName() if space is not None else None

    def display_view(self, display: str, view: str) -> tuple[str, str]:
        """The display and view the model sees.

        Without a name: the first display called sRGB, else the config's default one; its un-tone-mapped view
        (``Standard`` in Blender), else a view called sRGB, else its default view. Raises ColourError.
        """
        displays = list(self.config.getDisplays())
        if display:
            display = _pick(display, displays, f"The OCIO config has no display {display!r}: {self.label}")
        else:
            display = next((d for d in displays if "srgb" in d.lower()), self.config.getDefaultDisplay())
        views = list(self.config.getViews(display))
        if view:
            return display, _pick(view, views, f"The display {display!r} has no view {view!r}: {self.label}")
        plain = [v for v in views if v.lower() in _PLAIN_VIEWS] + [v for v in views if "srgb" in v.lower()]
        return display, plain[0] if plain else self.config.getDefaultView(display)


def _pick(name: str, names: list[str], message: str) -> str:
    for known in names:
        if known.lower() == name.lower():
            return known
    raise ColourError(message, "It has: " + ", ".join(names) + ".")


class InputTransform:
    """From plate pixels to the picture the model sees. Safe to call from several threads. Raises ColourError.

    ``display`` and ``view`` name what was chosen; for plates that pass through, both are empty.
    """

    def __init__(self, colour: ColourConfig, space: str, shot: Shot) -> None:
        self.passes_through = colour.passes_through(space)
        self.display, self.view = colour.display_view(shot.display, shot.display_view)
        encoding = colour.config.getColorSpace(space).getEncoding()
        # Curves of log spaces overflow far above their codes; then a matrix makes NaN of infinities.
        self._ceiling = _CODE_CEILING if encoding in ("log", "sdr-video", "hdr-video") else _LINEAR_CEILING
        self._processors: dict[Any, Any] = {}
        if self.passes_through:
            self.display = self.view = ""
            return
        transform = ocio.DisplayViewTransform(src=space, display=self.display, view=self.view)
        try:
            exact = colour.config.getProcessor(transform)
            baked = lut.bake(exact, scene_linear=encoding == "scene-linear")
            self._processor = baked or exact
            for depth in _DEPTHS.values():
                self._processors[depth] = self._processor.getOptimizedCPUProcessor(
                    depth, ocio.BIT_DEPTH_UINT8, ocio.OPTIMIZATION_DEFAULT
                )
        except _FAILURES as error:
            raise ColourError(
                f"There is no way from {space} to {self.display} / {self.view} ({_brief(error)}): {colour.label}",
                "Check the config's look-up tables, or name another colour space or view.",
            ) from error

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """uint8 (height, width, 3), display-referred, of plate pixels (uint8, uint16, float16 or float32).

        NaN becomes 0 and infinities clip.
        """
        pixels = np.ascontiguousarray(_within(pixels, self._ceiling))
        if self.passes_through:
            return to_codes(pixels)
        height, width = pixels.shape[:2]
        depth = _DEPTHS[pixels.dtype]
        out = np.empty((height, width, 3), np.uint8)
        self._processors[depth].apply(_described(pixels, depth), _described(out, ocio.BIT_DEPTH_UINT8))
        return out


_DEPTHS = {
    np.dtype(np.uint8): ocio.BIT_DEPTH_UINT8,
    np.dtype(np.uint16): ocio.BIT_DEPTH_UINT16,
    np.dtype(np.float16): ocio.BIT_DEPTH_F16,
    np.dtype(np.float32): ocio.BIT_DEPTH_F32,
}


def _described(pixels: NDArray[Any], depth: Any) -> Any:
    height, width = pixels.shape[:2]
    item = pixels.itemsize
    return ocio.PackedImageDesc(pixels, width, height, 3, depth, item, 3 * item, 3 * item * width)


def to_codes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Stored values as 8-bit codes, without any conversion; floats are cut to 0..1."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257), np.uint8)
    return (np.clip(pixels.astype(np.float32, copy=False), 0, 1) * 255 + 0.5).astype(np.uint8)


def _within(pixels: NDArray[Any], ceiling: float) -> NDArray[Any]:
    """``pixels`` with NaN as 0 and the rest cut to +-``ceiling``; the same array when there is nothing to do.

    The bits of a float rise with its size, so two integer maxima find what is too large, infinite or NaN, without a
    copy.
    """
    if pixels.dtype.kind != "f" or not pixels.size:
        return pixels
    size = pixels.itemsize
    limit = int(np.array(ceiling, pixels.dtype).view(f"u{size}"))
    sign = 1 << (8 * size - 1)
    if pixels.view(f"i{size}").max() <= limit and pixels.view(f"u{size}").max() <= sign + limit:
        return pixels
    return np.clip(np.nan_to_num(pixels, nan=0.0), -ceiling, ceiling)
