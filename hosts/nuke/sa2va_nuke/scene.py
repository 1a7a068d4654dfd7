"""From the node graph to the shot of a job: by path where the input is a plain Read, else by rendering."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

import nuke
from sa2va_plugin.errors import Cancelled, MediaError, OutputError
from sa2va_plugin.jobspec import Shot

from . import knobs, reads


def source(node: nuke.Node) -> nuke.Node:
    """What the node is fed with, past dots. Raises MediaError."""
    above = node.input(0)
    while above is not None and above.Class() == "Dot":
        above = above.input(0)
    if above is None:
        raise MediaError("Nothing is connected to the Sa2VA node.", "Connect the plate.")
    return above


def frames(node: nuke.Node, above: nuke.Node) -> tuple[int, int]:
    """First and last comp frame, as the knobs say. Raises MediaError."""
    choice = node["range"].value()
    if choice == "custom":
        first, last = int(node["first"].value()), int(node["last"].value())
    else:
        asked = nuke.root() if choice == "project" else above
        first, last = int(asked.firstFrame()), int(asked.lastFrame())
    if first > last:
        raise MediaError(f"The range {first}-{last} ends before it starts.", f"Write it as {last}-{first}.")
    return first, last


def view(node: nuke.Node) -> str:
    """The view to matte. Raises MediaError."""
    name, known = knobs.text(node, "view").strip(), nuke.views()
    if not name:
        return known[0]
    if name not in known:
        raise MediaError(f"The script has no view {name!r}.", "It has: " + ", ".join(known) + ".")
    return name


def colour() -> reads.Colour:
    """The script's colour management. $OCIO wins over all knobs, in Nuke and in the worker alike. Raises MediaError."""
    root = nuke.root()
    if _value(root, "colorManagement") != "OCIO":
        return reads.Colour(
            int8=_value(root, "int8Lut", "sRGB"),
            int16=_value(root, "int16Lut", "sRGB"),
            floating=_value(root, "floatLut", "linear"),
        )
    working = reads.colour_name(_value(root, "workingSpaceLUT")) or "scene_linear"
    config = ""
    if not os.environ.get("OCIO"):
        custom = _value(root, "OCIO_config") == "custom"
        config = knobs.path(root, "customOCIOConfigPath" if custom else "OCIOConfigPath")
        if not config:
            # The worker would take its own, whose spaces of the same names may be others.
            raise MediaError(
                "The script is managed by OCIO, and its configuration has no path.",
                "Choose one in the project settings, or set $OCIO.",
            )
    return reads.Colour(True, config.replace("\\", "/"), working)


def fps() -> float:
    return float(nuke.root().realFps())


def read_shot(above: nuke.Node, first: int, last: int, wanted_view: str, override: str) -> Shot:
    """The shot of a plain Read. Raises NeedsRender, MediaError."""
    if above.Class() != "Read":
        raise reads.NeedsRender(f"the input is a {above.Class()}")
    if _value(above, "disable"):
        raise MediaError(f"{above.name()} is disabled.", "Enable it, or connect the plate.")
    facts = reads.ReadFacts(
        path=_file(above),
        first=int(_value(above, "first", 1)),
        last=int(_value(above, "last", 1)),
        shown_first=int(above.firstFrame()),
        before=_value(above, "before", "hold"),
        after=_value(above, "after", "hold"),
        frame_mode=_value(above, "frame_mode", "expression"),
        frame=knobs.text(above, "frame"),
        on_error=_value(above, "on_error", "error"),
        colour_space=_value(above, "colorspace", "default"),
        raw=bool(_value(above, "raw", False)),
    )
    return reads.shot(facts, colour(), first, last, wanted_view, override, fps())


def _file(above: nuke.Node) -> str:
    """A Read's file as this machine has it; frame numbers and views are left open. Raises NeedsRender, MediaError."""
    text = knobs.text(above, "file")
    views = re.search(r"%[vV]", text)
    path = text
    if not views or re.search(r"[\[$]|%\{", text):
        try:
            with full_resolution():
                path = nuke.filename(above) or ""
        except RuntimeError as error:
            raise MediaError(
                f"Nuke cannot evaluate the file of {above.name()}: {error}", "Mend its expression."
            ) from error
        if views and not re.search(r"%[vV]", path):
            # Nuke put in the viewer's view, which need not be the one to matte.
            raise reads.NeedsRender("its path has views and expressions")
    return knobs.here(path)


def rendered_shot(folder: str, first: int, last: int, override: str) -> Shot:
    """The shot that :func:`render` makes."""
    return reads.rendered(f"{folder}/plate/plate.####.exr", colour(), first, last, override, fps())


def render(above: nuke.Node, shot: Shot, wanted_view: str) -> None:
    """Write the input as half-float EXR in the working space; Nuke shows its own progress, which cancels.

    Raises Cancelled, MediaError, OutputError.
    """
    assert shot.range is not None
    if nuke.executing():
        raise MediaError("Nuke is rendering, and renders one thing at a time.", "Generate again when it has ended.")
    try:
        Path(shot.path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The input cannot be rendered ({error.strerror}): {shot.path}", "Choose a folder."
        ) from error
    modified: Any = nuke.root().modified()
    nuke.Undo.disable()
    write: Optional[nuke.Node] = None
    try:
        with above.parent():
            write = nuke.nodes.Write(name="Sa2VA_render", inputs=[above])
            for knob, value in (
                ("file", knobs.escaped(shot.path)),
                ("file_type", "exr"),
                ("channels", "rgb"),
                ("raw", True),
                # Write has the knobs of a file type once it has that type.
                ("datatype", "16 bit half"),
                # A Write renders no view that its own knob leaves out, whatever execute() asks for.
                ("views", wanted_view),
            ):
                write[knob].setValue(value)
        with full_resolution():
            nuke.execute(write, shot.range[0], shot.range[1], 1, [wanted_view])
    except (RuntimeError, nuke.CancelledError) as error:
        # Foundry's own scripts tell a cancelled render by the message of its RuntimeError.
        if isinstance(error, nuke.CancelledError) or "cancel" in str(error).lower():
            raise Cancelled("The render of the input was cancelled.", "Nothing was changed.") from error
        raise MediaError(f"Nuke cannot render the input: {error}", "Mend what is above the node.") from error
    finally:
        if write is not None:
            nuke.delete(write)
        nuke.Undo.enable()
        nuke.root().setModified(modified)


@contextmanager
def full_resolution() -> Iterator[None]:
    """Proxy mode off: mattes are of full size."""
    proxy = nuke.root()["proxy"]
    was = bool(proxy.value())
    if was:
        proxy.setValue(False)
    try:
        yield
    finally:
        if was:
            proxy.setValue(True)


def _value(node: nuke.Node, name: str, default: Any = "") -> Any:
    """A knob that not every version of Nuke has."""
    knob = node.knob(name)
    return default if knob is None else knob.value()
