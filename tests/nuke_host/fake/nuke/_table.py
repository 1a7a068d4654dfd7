"""The node classes that the adapter uses, and their knobs: what we believe of Nuke, each with where we know it from.

[real] in scripts that Nuke wrote, among those that the notes of issue 7 list. [doc] Foundry's reference or user guide.
[memory] neither: the first thing to correct from the output of hosts/nuke/acceptance.py.

A knob: name -> (kind, default, values). Anything that is not here is an error in the fake.
"""

from __future__ import annotations

from typing import Any, Tuple

Knob = Tuple[str, Any, Tuple[str, ...]]  # evaluated, and Nuke 13 has Python 3.7

#: Of every node. [real] name, label, selected, xpos, ypos, disable. [doc] onCreate, knobChanged.
COMMON: dict[str, Knob] = {
    "name": ("string", "", ()),
    "label": ("multiline", "", ()),
    "selected": ("bool", False, ()),
    "xpos": ("int", 0, ()),
    "ypos": ("int", 0, ()),
    "disable": ("bool", False, ()),
    "onCreate": ("script", "", ()),
    "knobChanged": ("script", "", ()),
}
_OUTSIDE = ("hold", "loop", "bounce", "black")
_SPACES = (
    "default",
    "default (sRGB)",
    "linear",
    "sRGB",
    "rec709",
    "AlexaV3LogC",
    "default (ACEScg)",
    "ACEScg",
    "scene_linear",
)
_ON_ERROR = ("error", "black", "checkerboard", "nearest frame")

#: class -> (least and most inputs, knobs)
CLASSES: dict[str, tuple[int, int, dict[str, Knob]]] = {
    "Read": (
        0,
        0,
        {
            "file": ("file", "", ()),  # [real]
            "first": ("int", 1, ()),  # [real]
            "last": ("int", 1, ()),  # [real]
            "origfirst": ("int", 1, ()),  # [real]
            "origlast": ("int", 1, ()),  # [real]
            "origset": ("bool", False, ()),  # [real]
            "before": ("enum", "hold", _OUTSIDE),  # [doc]
            "after": ("enum", "hold", _OUTSIDE),  # [doc]
            "frame_mode": ("enum", "expression", ("expression", "start at", "offset")),  # [doc], name [memory]
            "frame": ("string", "", ()),  # [doc]
            "on_error": ("enum", "error", _ON_ERROR),  # [real] black, checkerboard; [doc] the rest
            "colorspace": ("enum", "default", _SPACES),  # [real]
            "raw": ("bool", False, ()),  # [real]
            "premultiplied": ("bool", False, ()),  # [doc]
        },
    ),
    "Write": (
        1,
        1,
        {
            "channels": ("string", "rgb", ()),  # [real]
            "file": ("file", "", ()),  # [real]
            "file_type": ("enum", "", ("", "exr", "png", "tiff", "mov")),  # [real]
            "datatype": ("enum", "16 bit half", ("16 bit half", "32 bit float")),  # [real], of exr
            "compression": (
                "enum",
                "Zip (1 scanline)",
                ("none", "Zip (1 scanline)", "Zip (16 scanlines)", "PIZ Wavelet (32 scanlines)", "RLE", "B44", "DWAA"),
            ),  # [doc], wording of the first [real]
            "raw": ("bool", False, ()),  # [real]
            "views": ("views", "main", ()),  # [real]
        },
    ),
    "Copy": (
        2,
        2,
        {f"{way}{i}": ("channel", "none", ()) for i in range(4) for way in ("from", "to")},  # [real]
    ),
    "Premult": (1, 1, {}),  # [real]
    "Dot": (1, 1, {}),  # [real]
    "Grade": (1, 1, {}),  # [real]
    "Input": (0, 0, {}),  # [real]
    "Output": (1, 1, {}),  # [real]
    "Group": (0, 1, {}),  # [real]
    "Roto": (
        0,
        1,
        {"output": ("string", "rgba", ()), "replace": ("bool", False, ()), "curves": ("curves", "", ())},  # [real]
    ),
    "Root": (
        0,
        0,
        {
            "first_frame": ("int", 1, ()),  # [real]
            "last_frame": ("int", 100, ()),  # [real]
            "proxy": ("bool", False, ()),  # [real]
            "colorManagement": ("enum", "Nuke", ("Nuke", "OCIO")),  # [real]
            "OCIO_config": ("enum", "nuke-default", ("nuke-default", "custom", "aces_1.2")),  # [real] custom
            "customOCIOConfigPath": ("file", "", ()),  # [real]
            "OCIOConfigPath": ("file", "/nuke/OCIOConfigs/nuke-default/config.ocio", ()),  # [real], of stock ones
            "int8Lut": ("string", "sRGB", ()),  # [real]
            "int16Lut": ("string", "sRGB", ()),  # [real]
            "floatLut": ("string", "linear", ()),  # [real]
            "workingSpaceLUT": ("string", "linear", ()),  # [real]
        },
    ),
}
#: [real] of Write: there once the file type is.
OF_FILE_TYPE = ("datatype", "compression")
#: [real] user knobs: class -> its number in addUserKnob.
USER_TYPES = {
    "String_Knob": 1,
    "File_Knob": 2,
    "Int_Knob": 3,
    "Enumeration_Knob": 4,
    "Boolean_Knob": 6,
    "Double_Knob": 7,
    "Tab_Knob": 20,
    "PyScript_Knob": 22,
    "Text_Knob": 26,
    "Multiline_Eval_String_Knob": 43,  # [memory]
}
