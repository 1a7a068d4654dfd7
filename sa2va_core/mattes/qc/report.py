"""``report.html``: one page with its pictures inside, for a look before the mattes go on.

It needs no network and runs no script, and its size has a bound: so many pictures, so many points in a plot.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from sa2va_plugin.errors import OutputError

from sa2va_core.media import draw
from sa2va_core.media.contact_sheet import spread
from sa2va_core.media.overlay import outlines, waiting_picture

from . import plot
from .record import Record
from .score import BAD, GOOD

#: At most so many places to look at, and so many pictures in the filmstrip.
CARDS, STRIP = 12, 20
# Faults of one object this close together are one place to look at.
_SAME_PLACE = 4
_BIG, _CROP = 640, 320
_LEAST_CROP = 100  # working pixels
_AROUND = 1.8
_TICKS = 5

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("sa2va_core.mattes.qc", "."),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_MEASURES = (
    # key in qc.json, title, unit, upper edge
    ("area", "Area", "% of the frame", None),
    ("presence", "Presence", "how sure the engine is", 1.0),
    ("flow_iou", "Agreement with the frame before", "IoU after moving it with the picture", 1.0),
    ("boundary_displacement", "Edge against the picture", "px", None),
    ("band_width", "Width of the soft edge", "px", None),
)


def report(data: Mapping[str, Any], folder: Path, record: Callable[[int], Record]) -> str:
    """The page for a ``qc.json``. ``folder``: of the running job, whose overlays become the filmstrip; ``record``: of
    a result frame. Raises OutputError."""
    frames: list[int] = data["frames"]
    cards, more = _places(data)
    pictures = _Pictures(folder, record, frames)
    strip = sorted({*(card["frame"] for card in cards), *spread(frames, STRIP)})
    lowest = [_lowest(data, t) for t in range(len(frames))]
    objects = [
        {
            **item,
            "colour": _hex(draw.object_colour(index)),
            "ribbon": plot.ribbon(item["measures"]["score"]),
            "plots": _plots(item, frames, cards, _hex(draw.object_colour(index))),
            "grade": plot.colour_of(item["score"]),
        }
        for index, item in enumerate(data["objects"])
    ]
    names = [item["name"] for item in data["objects"]]
    return _TEMPLATES.get_template("report.html").render(
        shot=data["shot"],
        made_by=data["made_by"],
        objects=objects,
        judged=any(item["score"] is not None for item in objects),
        cards=[
            {
                **card,
                "colour": _hex(draw.object_colour(names.index(card["object"]))),
                "grade": plot.colour_of(card["score"]),
                "crops": pictures.around(card["frame"], names.index(card["object"])),
            }
            for card in cards
        ],
        more=[{**item, "grade": plot.colour_of(item["score"])} for item in more],
        unlisted=_below(data) - sum(item["score"] < GOOD for item in data["worst"]),
        ticks=plot.ticks(frames, _TICKS),
        strip=[
            {"frame": frame, "grade": plot.colour_of(lowest[frames.index(frame)]), "src": pictures.whole(frame)}
            for frame in strip
        ],
        good=GOOD,
        bad=BAD,
    )


def _places(data: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """The worst frames, the worst first; neighbours with a fault of the same object are told of as one place. And what
    is left when there is no room for more places."""
    places: list[dict[str, Any]] = []
    left: list[Mapping[str, Any]] = []
    for item in data["worst"]:
        if item["score"] >= GOOD:
            break
        near = next(
            (
                place
                for place in places
                if place["object"] == item["object"]
                and place["first"] - _SAME_PLACE <= item["frame"] <= place["last"] + _SAME_PLACE
            ),
            None,
        )
        if near is not None:
            near["first"], near["last"] = min(near["first"], item["frame"]), max(near["last"], item["frame"])
        elif len(places) < CARDS:
            places.append({**item, "first": item["frame"], "last": item["frame"]})
        else:
            left.append(item)
    return places, left


def _below(data: Mapping[str, Any]) -> int:
    """How many mattes of single frames are not good."""
    scores = (score for item in data["objects"] for score in item["measures"]["score"])
    return sum(score is not None and score < GOOD for score in scores)


def _lowest(data: Mapping[str, Any], t: int) -> float | None:
    scores = [item["measures"]["score"][t] for item in data["objects"]]
    return min((score for score in scores if score is not None), default=None)


def _plots(
    item: Mapping[str, Any], frames: Sequence[int], cards: Sequence[Mapping[str, Any]], colour: str
) -> list[dict[str, Any]]:
    marks = sorted(frames.index(card["frame"]) for card in cards if card["object"] == item["name"])
    plots = []
    for key, title, unit, top in _MEASURES:
        values = item["measures"][key]
        if key == "area":
            values = [100 * value for value in values]
        known = [value for value in values if value is not None]
        plots.append(
            {
                "title": title,
                "unit": unit,
                "range": f"{plot.shown(min(known))} to {plot.shown(max(known))}" if known else "nothing to measure",
                "svg": plot.line(values, frames, colour, marks, top),
            }
        )
    return plots


class _Pictures:
    """Pictures of a running job, cut, scaled and put into the page."""

    def __init__(self, folder: Path, record: Callable[[int], Record], frames: Sequence[int]) -> None:
        self._folder, self._record, self._frames = folder, record, frames

    def whole(self, frame: int) -> Markup:
        """The overlay of a frame."""
        image = self._read(frame)
        return _inlined(image, _BIG)

    def around(self, frame: int, index: int) -> list[tuple[int, Markup, Markup]]:
        """The object on the frame before, the frame itself and the one after, all cut alike: (frame, picture with the
        outlines of all mattes, bare matte)."""
        t = self._frames.index(frame)
        records = [self._record(number) for number in self._frames[max(0, t - 1) : t + 2]]
        union = np.maximum.reduce([record.mattes[index] for record in records])
        height, width = union.shape
        x, y, w, h = cv2.boundingRect((union > 127).astype(np.uint8))
        if not w:
            x, y, w, h = 0, 0, width, height
        # A box of 4 to 3 around the object with some air, inside the picture.
        tall = max(_LEAST_CROP, _AROUND * h, _AROUND * w * 3 / 4)
        tall = min(tall, height, width * 3 / 4)
        box_w, box_h = max(1, round(tall * 4 / 3)), max(1, round(tall))
        x0 = round(min(max(0, x + w / 2 - box_w / 2), width - box_w))
        y0 = round(min(max(0, y + h / 2 - box_h / 2), height - box_h))
        cut = np.s_[y0 : y0 + box_h, x0 : x0 + box_w]
        shown = []
        for record in records:
            picture = _enlarged(record.picture[cut])
            mattes = [_enlarged(matte[cut]) for matte in record.mattes]
            for its in [*(i for i in range(len(mattes)) if i != index), index]:
                lines = outlines(np.multiply(mattes[its], 1 / 255, dtype=np.float32))
                cv2.polylines(picture, lines, True, draw.INK, 3, cv2.LINE_AA)
                cv2.polylines(picture, lines, True, draw.object_colour(its)[::-1], 2, cv2.LINE_AA)
            shown.append((record.frame, _inlined(picture, _CROP), _inlined(mattes[index], _CROP)))
        return shown

    def _read(self, frame: int) -> NDArray[np.uint8]:
        path = waiting_picture(self._folder, frame)
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise OutputError(
                f"A picture of the overlay is gone or damaged: {path}", "Run the job again with --overwrite."
            )
        return np.asarray(image, np.uint8)


def _enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At least as wide as crops are shown, for outlines that are no staircase."""
    factor = max(1.0, _CROP / image.shape[1])
    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR), np.uint8)


def _inlined(image: NDArray[np.uint8], width: int) -> Markup:
    """A BGR or grey picture, at most ``width`` wide, as a data URL."""
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    if width < image.shape[1]:
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG picture")
    return Markup("data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii"))


def _hex(colour: draw.Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
