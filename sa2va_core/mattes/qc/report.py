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
from sa2va_core.media.overlay import waiting_picture

from . import plot
from .score import BAD, GOOD

#: At most so many places to look at, and so many pictures in the filmstrip.
CARDS, STRIP = 12, 20
# Faults of one object this close together are one place to look at.
_SAME_PLACE = 4
_BIG, _CROP = 640, 300
_LEAST_CROP = 160  # pixels of the overlay
_AROUND = 1.8

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


def report(data: Mapping[str, Any], folder: Path, mattes: Callable[[int], NDArray[np.uint8]]) -> str:
    """The page for a ``qc.json``. ``folder``: of the running job, whose overlays become the pictures; ``mattes``: a
    result frame's mattes, uint8 (N, h, w), of the overlay's proportions. Raises OutputError."""
    frames: list[int] = data["frames"]
    cards = _places(data)
    pictures = _Pictures(folder, mattes, frames)
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
        cards=[
            {
                **card,
                "colour": _hex(draw.object_colour(names.index(card["object"]))),
                "grade": plot.colour_of(card["score"]),
                "crops": pictures.around(card["frame"], names.index(card["object"])),
            }
            for card in cards
        ],
        strip=[
            {"frame": frame, "grade": plot.colour_of(lowest[frames.index(frame)]), "src": pictures.whole(frame)}
            for frame in strip
        ],
        good=GOOD,
        bad=BAD,
    )


def _places(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The worst frames, the worst first; neighbours with a fault of the same object are told of as one place."""
    places: list[dict[str, Any]] = []
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
    return places


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
    """Overlays of a running job, cut, scaled and put into the page."""

    def __init__(self, folder: Path, mattes: Callable[[int], NDArray[np.uint8]], frames: Sequence[int]) -> None:
        self._folder, self._mattes, self._frames = folder, mattes, frames

    def whole(self, frame: int) -> Markup:
        image = self._read(frame)
        return _inlined(image, _BIG)

    def around(self, frame: int, index: int) -> list[tuple[int, Markup, Markup]]:
        """The object on the frame before, the frame itself and the one after, all cut alike: (frame, overlay, bare
        matte)."""
        t = self._frames.index(frame)
        near = self._frames[max(0, t - 1) : t + 2]
        images = [self._read(number) for number in near]
        height, width = images[0].shape[:2]
        mattes = [self._mattes(number)[index] for number in near]
        union = np.maximum.reduce(mattes)
        x, y, w, h = cv2.boundingRect((union > 127).astype(np.uint8))
        if not w:
            x, y, w, h = 0, 0, union.shape[1], union.shape[0]
        scale = width / union.shape[1]
        # A box of 4 to 3 around the object with some air, inside the picture.
        tall = max(_LEAST_CROP, _AROUND * h * scale, _AROUND * w * scale * 3 / 4)
        tall = min(tall, height, width * 3 / 4)
        box_w, box_h = round(tall * 4 / 3), round(tall)
        x0 = round(min(max(0, (x + w / 2) * scale - box_w / 2), width - box_w))
        y0 = round(min(max(0, (y + h / 2) * scale - box_h / 2), height - box_h))
        cut = np.s_[y0 : y0 + box_h, x0 : x0 + box_w]
        return [
            (number, _inlined(image[cut], _CROP), _inlined(_scaled(matte, (width, height))[cut], _CROP))
            for number, image, matte in zip(near, images, mattes, strict=True)
        ]

    def _read(self, frame: int) -> NDArray[np.uint8]:
        path = waiting_picture(self._folder, frame)
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise OutputError(
                f"A picture of the overlay is gone or damaged: {path}", "Run the job again with --overwrite."
            )
        return np.asarray(image, np.uint8)


def _scaled(matte: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(matte, size, interpolation=cv2.INTER_LINEAR), np.uint8)


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
