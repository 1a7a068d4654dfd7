"""``sa2va ask``: a question about a shot, answered in words by an engine that has a language model."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from sa2va_plugin.errors import EngineError
from sa2va_plugin.jobspec import EngineSpec

from sa2va_core.engines import registry
from sa2va_core.media.clip import open_clip

from .console import print_json
from .matte import add_engine_options, add_plate_options, frame_range, shot_from


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "ask",
        help="ask a question about a shot",
        description="The model looks at a few frames spread over the shot and answers in words.",
    )
    parser.add_argument("shot", help="movie, file of a sequence, folder or pattern")
    parser.add_argument("question", help='for example "How many people are there?"')
    parser.add_argument("--range", metavar="A-B", help="first and last frame, inclusive")
    add_plate_options(parser)
    add_engine_options(parser, default="sa2va")
    parser.add_argument("--json", action="store_true", help="the answer as a JSON object, for machines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    spec = EngineSpec(arguments.engine, arguments.model or "", arguments.device or "auto")
    if not registry.factory(spec.name).answers:
        able = [name for name in registry.names() if registry.factory(name).answers]
        raise EngineError(
            f"The engine {spec.name} finds things, but it cannot answer questions.",
            f"Use --engine {' or '.join(able)}.",
        )
    shot = shot_from(arguments)
    if arguments.range:
        shot = replace(shot, range=frame_range(arguments.range))
    with open_clip(shot) as clip:
        engine = registry.create(spec)
        try:
            answer = engine.ask(clip, arguments.question)
        finally:
            engine.close()
    if arguments.json:
        print_json({"question": arguments.question, "answer": answer, "model": engine.info.model})
    else:
        print(answer)
    return 0
