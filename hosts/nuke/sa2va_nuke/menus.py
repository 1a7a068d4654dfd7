"""Menu and toolbar entries."""

from __future__ import annotations

import nuke

_CREATE = "import sa2va_nuke; sa2va_nuke.create()"


def install() -> None:
    nuke.menu("Nuke").addMenu("Sa2VA Roto").addCommand("Sa2VA", _CREATE)
    nuke.menu("Nodes").addCommand("Draw/Sa2VA", _CREATE)
