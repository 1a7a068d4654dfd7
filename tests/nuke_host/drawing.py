"""Gives the stand-in pixels, as we believe Nuke makes them of the few classes that we use.

So what compares pixels in a Nuke can be run once before somebody runs it there."""

from __future__ import annotations

from typing import Any

import numpy as np
import OpenEXR
import pytest
from numpy.typing import NDArray

from . import roto_text

_LONG = {"R": "red", "G": "green", "B": "blue", "A": "alpha"}
Planes = dict[str, NDArray[np.float32]]


class Drawing:
    """``most``: how many nodes there were at once, wherever a pixel was asked for."""

    def __init__(self, fake: Any, patch: pytest.MonkeyPatch) -> None:
        self._fake, self._frame, self.most = fake, 1, 0
        self._drawn: dict[int, Planes] = {}
        patch.setattr(fake, "frame", self._go, raising=False)
        every_layer = fake.layers
        patch.setattr(fake, "layers", lambda node=None: every_layer() if node is None else self.layers(node))
        patch.setattr(fake._nodes.Node, "sample", lambda *asked: self._sample(*asked), raising=False)
        fake._STATE.render = self._render

    def _go(self, frame: int) -> None:
        self._frame, self._drawn = frame, {}

    def layers(self, node: Any) -> list[str]:
        return sorted({name.partition(".")[0] for name in self.planes(node)})

    def _sample(self, node: Any, channel: str, x: float, y: float) -> float:
        nodes = self._fake._STATE.root.nodes()
        count = len(nodes) + sum(len(each.nodes()) for each in nodes if each.Class() == "Group")
        self.most = max(self.most, count)
        if id(node) not in self._drawn:  # until the next frame is asked for
            self._drawn[id(node)] = self.planes(node)
        plane = self._drawn[id(node)].get(channel)
        return 0.0 if plane is None else float(plane[int(54 - y), int(x)])

    def planes(self, node: Any) -> Planes:
        """Channel -> (H, W), y down."""
        kind, first = node.Class(), node.input(0)
        if kind == "Read":
            return self._read(node)
        if kind == "Input":
            return self.planes(node.parent().input(0))
        if kind == "Group":
            return self.planes(node.node("Output1"))
        made = dict(self.planes(first))
        empty = np.zeros((54, 96), np.float32)
        if kind == "Copy":
            other = self.planes(node.input(1))
            for slot in range(4):
                if node[f"to{slot}"].value() != "none":
                    made[node[f"to{slot}"].value()] = other[node[f"from{slot}"].value()]
        elif kind == "Premult" and node.parent()["premult"].value():
            for name in ("rgba.red", "rgba.green", "rgba.blue"):
                made[name] = made[name] * made.get("rgba.alpha", empty)
        elif kind == "Roto":
            text = "{" + node["curves"].toScript() + "}"
            below = empty if node["replace"].value() else made.get("rgba.alpha", empty)
            made["rgba.alpha"] = np.maximum(below, roto_text.draw(text, self._frame, 96, 54).astype(np.float32))
        return made

    def _read(self, node: Any) -> Planes:
        first, last = node["first"].value(), node["last"].value()
        inside = first <= self._frame <= last
        number = min(max(self._frame, first), last)
        file = OpenEXR.File(node["file"].value().replace("####", f"{number:04d}"), separate_channels=True)
        (left, top), (right, bottom) = file.header()["dataWindow"]
        made = {}
        for name, channel in file.channels().items():
            layer, _, short = name.rpartition(".")
            plane = np.zeros((54, 96), np.float32)
            if inside or node["after"].value() == "hold":
                plane[top : bottom + 1, left : right + 1] = channel.pixels
            made[f"{layer or 'rgba'}.{_LONG[short]}"] = plane
        return made

    def _render(self, path: str, frame: int) -> None:
        (write,) = (node for node in self._fake._STATE.root.nodes() if node.Class() == "Write")
        before, self._frame = self._frame, frame
        short = {long: letter for letter, long in _LONG.items()}
        channels = {}
        for name, plane in self.planes(write).items():
            layer, _, channel = name.partition(".")
            if write["channels"].value() == "all" or (layer == "rgba" and channel != "alpha"):
                channels[short[channel] if layer == "rgba" else f"{layer}.{short[channel]}"] = plane.astype(np.float16)
        OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(path)
        self._frame = before
