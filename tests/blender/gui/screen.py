"""An X screen with Blender on it: mouse, keyboard, pictures, words found by OCR."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

State = dict[str, Any]
Rectangle = tuple[float, float, float, float]


class Screen:
    """Coordinates are Blender's: pixels of its window, origin bottom left."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._began, self._shots = folder, time.monotonic(), 0
        #: What the title of the window that is meant holds, as a regular expression.
        self.title = "Blender [0-9]"

    def say(self, *words: object) -> None:
        print(f"[{time.monotonic() - self._began:6.1f} s]", *words, flush=True)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self._xdotool("key", key)
            time.sleep(0.2)

    def type(self, text: str) -> None:
        self._xdotool("type", "--delay", "60", text)

    def move(self, x: float, y: float) -> None:
        self._xdotool("mousemove", *map(str, self._root(x, y)))
        time.sleep(0.25)

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        self._xdotool("click", "1")
        time.sleep(0.25)

    def picture(self, name: str) -> Path:
        self._shots += 1
        path = self.folder / f"{self._shots:02d}_{name}.png"
        subprocess.run(["import", "-window", "root", str(path)], check=True)
        return path

    def state(self, seconds: float = 60) -> State:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                return json.loads((self.folder / "state.json").read_text())
            except (OSError, ValueError):
                time.sleep(0.2)
        raise AssertionError("Blender reports nothing")

    def wait(self, what: str, reached: Callable[[State], object], seconds: float = 60) -> State:
        """Wait for something in the report; AssertionError with a picture when it does not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.state(seconds)
            if reached(state):
                self.say("ok:", what)
                return state
            time.sleep(0.1)
        self.picture("FAILED_" + re.sub(r"\W+", "_", what))
        raise AssertionError(f"timed out: {what}\n{json.dumps(self.state())[:4000]}")

    def find(
        self, area: Rectangle, word: str, rotate: int = 0, scale: int = 3, lowest: bool = False
    ) -> tuple[float, float]:
        """The centre of a word, of the topmost one. On a busy machine it takes a while until it is drawn."""
        for _ in range(6):
            hits = self._read(area, word, rotate, scale)
            if hits:
                return (min if lowest else max)(hits, key=lambda hit: hit[1])
            time.sleep(2)
        self.picture(f"FAILED_no_{word}")
        raise AssertionError(f"{word!r} is not on the screen")

    def _read(self, area: Rectangle, word: str, rotate: int, scale: int) -> list[tuple[float, float]]:
        """Where the word is. Buttons differ in grey: several ways are tried."""
        x, y, width, height = area
        left, top = self._root(x, y + height)
        picture, crop = self.folder / "ocr_screen.png", self.folder / "ocr.png"
        subprocess.run(["import", "-window", "root", str(picture)], check=True)
        hits = []
        for steps, mode in ((["-lat", "60x60+4%", "-negate"], "6"), (["-negate"], "11"), (["-negate"], "6")):
            cut = ["-crop", f"{width:.0f}x{height:.0f}+{left}+{top}", "+repage", "-colorspace", "Gray"]
            turn = ["-rotate", str(rotate), "-resize", f"{scale * 100}%"]
            subprocess.run(["convert", str(picture), *cut, *turn, *steps, str(crop)], check=True)
            command = ["tesseract", str(crop), "-", "--psm", mode, "tsv"]
            environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
            read = subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout
            for fields in (line.split("\t") for line in read.splitlines()[1:]):
                if len(fields) == 12 and word.lower() in fields[11].lower():
                    cx, cy = ((int(fields[i]) + int(fields[i + 2]) / 2) / scale for i in (6, 7))
                    if rotate == -90:
                        cx, cy = width - cy, cx
                    hits.append((x + cx, y + height - cy))
            if hits:
                break
        return hits

    def _xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], check=True)

    def size(self) -> tuple[int, int]:
        at = self._geometry()
        return int(at["WIDTH"]), int(at["HEIGHT"])

    def _root(self, x: float, y: float) -> tuple[int, int]:
        at = self._geometry()
        return int(int(at["X"]) + x), int(int(at["Y"]) + int(at["HEIGHT"]) - y)

    def _geometry(self) -> dict[str, str]:
        named = subprocess.run(["xdotool", "search", "--name", self.title], capture_output=True, text=True, check=True)
        command = ["xdotool", "getwindowgeometry", "--shell", named.stdout.split()[-1]]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return dict(line.split("=") for line in lines if "=" in line)
