"""Speed and memory of the Sa2VA engine on a GPU, on random weights of a published size.

    python benchmarks/engine_gpu.py FOLDER [--size 4b] [--only load,five,one,four,eight,long,parts,twice] [--frames 300]
        [--compiled] [--compat] [--no-drafts] [--device cpu]

The checkpoint is written to FOLDER/SIZE in the official layout if it is not there (8 to 10 GB), and loaded by the
normal loader. Answers are forced to the length of a real one ("Sure, [SEG]."): every decoding step is still run.
Frames are noise of 1920 x 1080 in host memory; time counts until the last logits are on the host. Every line that is
printed is a JSON object. ``--device cpu --size tiny`` tries the script itself.

``twice``: one and four phrases without and with a second look. What random weights draw is no object, so every target
is given a crop of a quarter of the frame each way, and what it gives is taken: the most that a second look can cost.

Needs torch with CUDA, transformers >= 4.57.1, safetensors, tokenizers, numpy and Pillow.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugin")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from sa2va_plugin.jobspec import EngineSpec, ObjectSpec  # noqa: E402

from benchmarks import random_sa2va  # noqa: E402
from sa2va_core.engines.sa2va import second_look  # noqa: E402
from sa2va_core.engines.sa2va.crops import Crop  # noqa: E402
from sa2va_core.engines.sa2va.engine import Sa2vaEngine  # noqa: E402
from sa2va_core.engines.sa2va.language.tokenizer import SEG  # noqa: E402
from sa2va_core.media.frames import Picture  # noqa: E402

#: Distinct frames held in memory; longer clips repeat them.
DISTINCT = 24
#: What a real tokenizer makes of "Sure, [SEG]." is three tokens, [SEG], a full stop and the end.
FORM = "S, [SEG]."


CUDA = torch.cuda.is_available()


def synchronize() -> None:
    if CUDA:
        torch.cuda.synchronize()


def gib(kind: str) -> float:
    """GPU memory in GiB: ``memory_allocated``, ``max_memory_allocated`` or ``max_memory_reserved``."""
    return getattr(torch.cuda, kind)() / 2**30 if CUDA else 0.0


def say(case: str, **figures: Any) -> None:
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    print(json.dumps({"case": case, **rounded}), flush=True)


class Noise:
    """A clip of smooth noise, uint8, held in memory."""

    def __init__(self, frames: int, width: int, height: int) -> None:
        self.frames: Sequence[int] = range(frames)
        self.size = (width, height)
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 255, (DISTINCT, height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        self._held = [np.ascontiguousarray(c.repeat(8, 0).repeat(8, 1)[:height, :width]) for c in coarse]

    def read(self, frame: int) -> Picture:
        return Picture(frame, self._held[frame % DISTINCT])

    def stream(self, frames: Sequence[int]) -> Iterator[Picture]:
        return (self.read(frame) for frame in frames)


class Forced:
    """The language model's head, which always says FORM and the end."""

    def __init__(self, language: Any, drafts: bool) -> None:
        tokenizer = language.tokenizer
        self._script = [*tokenizer.encode(FORM, add_special_tokens=False).ids, tokenizer.token_to_id("<|im_end|>")]
        self._head, self._answer, self._said = language.head, language.answer, 0
        self.tokens = len(self._script)
        language.head, language.answer = self.head, partial(self.answer, forms=(FORM,) if drafts else ())

    def head(self, states: torch.Tensor) -> torch.Tensor:
        logits = self._head(states)
        for row in range(len(logits)):
            token = self._script[min(self._said + row, len(self._script) - 1)]
            logits[row, token] = torch.inf
        self._said += len(logits)
        return logits

    def answer(self, *args: Any, **kwargs: Any) -> Any:
        self._said = 0
        return self._answer(*args, **kwargs)


def objects(count: int) -> list[ObjectSpec]:
    return [ObjectSpec(f"thing{i}", f"the thing number {i} on the left") for i in range(count)]


def run(engine: Sa2vaEngine, source: Noise, count: int, twice: bool = False) -> dict[str, Any]:
    """One shot: seconds in all, until the first result, and what follows from them."""
    synchronize()
    if CUDA:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    session = engine.open_shot(source, objects(count), None, twice)
    first, results, seen, details = 0.0, 0, 0, 0
    for result in session.run():
        first = first or time.perf_counter() - start
        results += 1
        seen += sum(t.logits.size > 1 for t in result.objects.values())
        details += sum(len(t.details) for t in result.objects.values())
    seconds = time.perf_counter() - start
    plan = session.plan
    return {
        "frames": results,
        "phrases": count,
        "seconds": seconds,
        "frames_per_second": results / seconds,
        "until_first_result": first,
        "tracking_frames_per_second": (results - 1) / max(seconds - first, 1e-9),
        "tracks_with_a_matte": seen,
        "second_looks": details,
        "conditioning_frames": [len(t.conditioning) for t in plan.targets] if plan else [],
        "peak_gib": gib("max_memory_allocated"),
        "reserved_gib": gib("max_memory_reserved"),
    }


def quarter(logits: np.ndarray, size: tuple[int, int]) -> Crop:
    """A crop near the middle, whatever the logits."""
    width, height = size
    return Crop(3 * width // 8, 3 * height // 8, 3 * width // 8 + width // 4, 3 * height // 8 + height // 4, size)


def looking_twice(engine: Sa2vaEngine, frames: int) -> None:
    """Everything is small, and every second look is taken."""
    kept = second_look.crop_of, second_look.AGREES, second_look.LESS_SURE, second_look.VISIBLE
    second_look.crop_of, second_look.AGREES, second_look.LESS_SURE, second_look.VISIBLE = quarter, -1.0, 1.0, -1e9
    for width, height, counts in ((1920, 1080, (1, 4)), (3840, 2160, (1,))):
        source = Noise(frames, width, height)
        for count in counts:
            for twice in (False, True):
                run(engine, Noise(30, width, height), count, twice)
                say(f"twice {width}x{height}", second_look=twice, **run(engine, source, count, twice))
    second_look.crop_of, second_look.AGREES, second_look.LESS_SURE, second_look.VISIBLE = kept


def timed(work: Callable[[], Any], repeats: int = 20) -> float:
    """Milliseconds a call, many in a row, after a warm-up."""
    with torch.inference_mode():
        for _ in range(3):
            work()
        synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        synchronize()
    return (time.perf_counter() - start) / repeats * 1000


def parts(engine: Sa2vaEngine, tag: str) -> None:
    """Where a frame's time goes, part by part."""
    network, encoder = engine.network, engine.encoder
    sam2, pixels = network.sam2, encoder.pixels
    source = Noise(8, 1920, 1080)
    shown = [source.read(i).rgb for i in range(8)]
    say(f"part upload+resize{tag}", batch=8, ms_per_frame=timed(lambda: pixels(shown)) / 8)
    with torch.inference_mode():
        squares = pixels(shown)
    for batch in (1, 4, 8):
        ms = timed(lambda batch=batch: sam2.encode(squares[:batch]), 8)
        say(f"part image encoder{tag}", batch=batch, ms_per_frame=ms / batch)
    with torch.inference_mode():
        features = sam2.encode(squares)[0]
    width = sam2.geometry.width
    for count in (1, 4, 8):
        with torch.inference_mode():
            embeddings = torch.randn(count, width, device=network.device, dtype=network.dtype)
            masks = sam2.ground(features, embeddings)
            maps = sam2.remember(features, masks.logits)
            pointers = masks.pointer[:, None].expand(-1, 18, -1)
        for given in (1, 3, 5):
            slots = [6] * given + [0, 1, 2, 3, 4, 5]
            seen = [maps] * len(slots)
            ms = timed(lambda seen=seen, slots=slots, p=pointers: sam2.attend(features, seen, slots, p))
            say(f"part memory attention{tag}", objects=count, maps=len(slots), ms=ms)
        coarse = sam2.without_memory(features).expand(count, -1, -1, -1)
        ms = timed(lambda c=coarse, n=count: sam2.decode(features, c, sam2.no_prompt(n)))
        say(f"part mask decoder{tag}", objects=count, ms=ms)
        say(f"part memory encoder{tag}", objects=count, ms=timed(lambda m=masks: sam2.remember(features, m.logits)))


def attention_kernels() -> None:
    """The large attention alone, by every kernel that takes it, against the card's limit."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    for count in (1, 8):
        q = torch.randn(count, 1, 4096, 256, device="cuda", dtype=torch.bfloat16)
        k = torch.randn(count, 1, 9 * 4096 + 72, 256, device="cuda", dtype=torch.bfloat16)
        flop = 4 * count * 4096 * k.shape[2] * 256
        for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION):
            try:
                with sdpa_kernel(backend):
                    ms = timed(lambda q=q, k=k: F.scaled_dot_product_attention(q, k, k), 10)
                say("attention kernel", backend=backend.name, objects=count, ms=ms, tflops=flop / ms / 1e9)
            except RuntimeError as error:
                say("attention kernel", backend=backend.name, objects=count, error=str(error)[:120])


def language_cost(engine: Sa2vaEngine) -> dict[str, dict[str, float]]:
    """Seconds of the language side: the pictures once, then every phrase; the first time and again."""
    found = {}
    language = engine.network.language
    source = Noise(5, 1920, 1080)
    shown = [source.read(i).rgb for i in range(5)]
    clock = time.perf_counter
    for turn in ("cold", "warm"):
        synchronize()
        start = clock()
        scene = language.see(shown, still=False)
        synchronize()
        seen = clock() - start
        times = []
        for i in range(4):
            start = clock()
            language.answer(scene, f"<image>\nPlease segment the thing number {i}.")
            synchronize()
            times.append(clock() - start)
        found[turn] = {"pictures": seen, "first phrase": times[0], "further phrase": sum(times[1:]) / 3}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="4b", choices=list(random_sa2va.SIZES))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", default="load,language,five,one,four,eight,parts")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--compat", action="store_true")
    parser.add_argument("--no-drafts", action="store_true")
    args = parser.parse_args()
    wanted = set(args.only.split(","))
    folder = args.folder / args.size
    if not (folder / "model.safetensors.index.json").is_file():
        start = time.perf_counter()
        random_sa2va.write(folder, random_sa2va.SIZES[args.size], device=args.device)
        if CUDA:
            torch.cuda.empty_cache()
        say("written", size=args.size, seconds=time.perf_counter() - start)
    say("machine", device=torch.cuda.get_device_name() if CUDA else "cpu", torch=torch.__version__, size=args.size)
    start = time.perf_counter()
    spec = EngineSpec("sa2va", str(folder), args.device, "compat" if args.compat else "default")
    engine = Sa2vaEngine(folder, spec)
    synchronize()
    say("load", seconds=time.perf_counter() - start, weights_gib=gib("memory_allocated"))
    forced = Forced(engine.network.language, drafts=not args.no_drafts)
    say("answer", tokens=forced.tokens, seg_token=engine.network.language.tokenizer.token_to_id(SEG))
    tag = " compiled" if args.compiled else ""
    if args.compiled:
        engine.compile()
    start = time.perf_counter()
    run(engine, Noise(30, 1920, 1080), 1)
    say("warm-up", seconds=time.perf_counter() - start, compiled=args.compiled)
    if "language" in wanted:
        for turn, figures in language_cost(engine).items():
            say("language", turn=turn, **figures)
    if "five" in wanted:
        for _ in range(3):
            say("five 448x448" + tag, **run(engine, Noise(5, 448, 448), 1))
    clip = Noise(args.frames, 1920, 1080)
    for name, count in (("one", 1), ("four", 4), ("eight", 8)):
        if name in wanted:
            say(f"{name} phrase(s), 1920x1080{tag}", compat=args.compat, **run(engine, clip, count))
    if "long" in wanted:
        for frames in (300, 3000):
            say("length" + tag, **run(engine, Noise(frames, 1920, 1080), 1))
    if "twice" in wanted:
        looking_twice(engine, args.frames)
    if "parts" in wanted:
        parts(engine, tag)
        if CUDA:
            attention_kernels()


if __name__ == "__main__":
    main()
