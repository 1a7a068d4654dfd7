"""Time and error of the conversion to the model's picture: what ships, against the exact OCIO view.

    python benchmarks/colour.py [--rounds 5]

Half-float 1080p frames of plate-like content: exposures from 6 stops under to 4 over mid-grey, moderately saturated.
Errors in 8-bit codes against the exact view in float, so half a code of rounding is in each.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import PyOpenColorIO
from numpy.typing import NDArray
from sa2va_plugin.jobspec import Shot

from sa2va_core.media.colour import InputTransform, load_config
from sa2va_core.media.readahead import cores

ocio: Any = PyOpenColorIO
SPACES = ("ACEScg", "ARRI LogC3 (EI800)", "ARRI LogC4", "S-Log3 S-Gamut3.Cine")
VIEWS = ("Un-tone-mapped", "ACES 2.0 - SDR 100 nits (Rec.709)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{cores()} cores, one thread used, best of {rounds}\n")
    print("| plate | view | exact ms | shipped ms | error mean | p99 | max |")
    print("|---|---|---|---|---|---|---|")
    colour = load_config("")
    for space in SPACES:
        values = plate_like(colour.config, space)
        for view in VIEWS:
            transform = InputTransform(colour, space, Shot("-", display_view=view))
            chosen = ocio.DisplayViewTransform(src=space, display=transform.display, view=view)
            processor = colour.config.getProcessor(chosen)
            to_codes = processor.getOptimizedCPUProcessor(
                ocio.BIT_DEPTH_F16, ocio.BIT_DEPTH_UINT8, ocio.OPTIMIZATION_DEFAULT
            )
            exact_ms = best_ms(rounds, lambda p=to_codes, v=values: convert(p, v))
            shipped_ms = best_ms(rounds, lambda t=transform, v=values: t.apply(v))
            exact = values.astype(np.float32)
            processor.getDefaultCPUProcessor().applyRGB(exact)
            error = np.abs(transform.apply(values) - np.clip(exact, 0, 1) * 255)
            figures = f"{error.mean():.2f} | {np.percentile(error, 99):.2f} | {error.max():.1f}"
            print(f"| {space} | {view} | {exact_ms:.0f} | {shipped_ms:.0f} | {figures} |", flush=True)


def plate_like(config: Any, space: str) -> NDArray[np.float16]:
    rng = np.random.default_rng(11)
    linear = 0.18 * np.exp2(rng.uniform(-6, 4, (1080, 1920, 1))) * rng.uniform(0.6, 1.4, (1080, 1920, 3))
    values = linear.astype(np.float32)
    config.getProcessor("ACEScg", space).getDefaultCPUProcessor().applyRGB(values)
    return values.astype(np.float16)


def convert(processor: Any, values: NDArray[np.float16]) -> None:
    height, width = values.shape[:2]
    out = np.empty((height, width, 3), np.uint8)
    processor.apply(
        ocio.PackedImageDesc(values, width, height, 3, ocio.BIT_DEPTH_F16, 2, 6, 6 * width),
        ocio.PackedImageDesc(out, width, height, 3, ocio.BIT_DEPTH_UINT8, 1, 3, 3 * width),
    )


def best_ms(rounds: int, run: Any) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


if __name__ == "__main__":
    main()
