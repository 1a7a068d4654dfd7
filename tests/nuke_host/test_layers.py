"""What Nuke makes of the channel names in our EXR files: each object is a layer of its own, none falls into another.

By the rules of Nuke's own EXR reader, whose source Foundry publishes with its plug-in kit (ExrChannelNameToNuke.cpp and
exrReader.cpp, here of Nuke 16), and by the reserved channels of its user guide ("Renaming Channels").
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sa2va_plugin.naming import layer_name

_SHORT = {"red": "R", "green": "G", "blue": "B", "alpha": "A"}
_LONG = {
    spelling: name
    for name, letter in _SHORT.items()
    for spelling in (letter, letter.lower(), name.capitalize(), name.upper())
}
#: What a script has before any file is read.
BUILT_IN = {
    *("rgba.red", "rgba.green", "rgba.blue", "rgba.alpha", "depth.Z", "forward.u", "forward.v", "backward.u"),
    *("backward.v", "deep.front", "deep.back", "disparityL.x", "disparityL.y", "disparityR.x", "disparityR.y"),
    *("mask.a", "rotopaint_mask.a", "mask_planartrack.a", "mask_splinewarp.a"),
}


def nuke_name(channel: str, views: tuple[str, ...] = ()) -> str:
    """A channel as Nuke calls it; without a layer it belongs to rgba. ``views``: of the file."""
    parts = [re.sub(r"^[0-9]+", "", part) for part in channel.split(".", 2)]
    parts = [re.sub(r"[^A-Za-z0-9]", "_", part) for part in parts if part]
    layer = "_".join(part for part in parts[:-1] if part not in views)
    last = parts[-1] if parts else "unnamed"
    last = _LONG.get(last, last)
    return last if layer in ("", "Ci") else f"{layer}.{last}"


@pytest.mark.parametrize(
    ("channel", "seen"),
    [
        ("A", "alpha"),
        ("man.A", "man.alpha"),
        ("0.Y", "Y"),
        ("2nd.A", "nd.alpha"),
        ("a-b.A", "a_b.alpha"),
        ("a.b.A", "a_b.alpha"),
        ("Ci.A", "alpha"),
        ("left.A", "alpha"),
        ("sa2va00.R", "sa2va00.red"),
    ],
)
def test_the_rules_as_foundry_wrote_them(channel: str, seen: str) -> None:
    assert nuke_name(channel, ("left",)) == seen


@given(
    st.lists(st.text() | st.sampled_from(["Ci", "left", "main", "mask", "deep", "2", "a.b", "disparityR"]), max_size=8)
)
def test_any_objects_are_layers_of_their_own(names: list[str]) -> None:
    layers = {layer_name(name) for name in names}
    seen = {nuke_name(f"{layer}.A") for layer in layers}
    assert seen == {f"{layer}.alpha" for layer in layers}, "as the Copy nodes name them"
    assert not {name.partition(".")[0].lower() for name in seen} & {n.partition(".")[0].lower() for n in BUILT_IN}
