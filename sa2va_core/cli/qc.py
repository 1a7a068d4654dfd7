"""``sa2va qc``: what the QC of a finished job says, and whether it is good enough."""

from __future__ import annotations

import argparse
import math
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sa2va_core.mattes.qc import result

from .console import print_json

_SHOWN = 10


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser("qc", help="show scores and worst frames of a finished job")
    parser.add_argument("folder", type=Path, metavar="RESULT_DIR", help="folder that `sa2va matte` wrote")
    add_bar(parser)
    parser.add_argument("--open", action="store_true", help="open the report in the browser")
    parser.add_argument("--json", action="store_true", help="print qc.json, for machines")
    parser.set_defaults(run=run)


def add_bar(parser: Any) -> None:
    """``--fail-under``, for a parser or a group of one; shared with ``sa2va matte`` and ``sa2va batch``."""
    parser.add_argument(
        "--fail-under", type=_score, metavar="X", help="exit with 3 if an object scores below X, 0 to 1"
    )


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return value


def run(arguments: argparse.Namespace) -> int:
    data = result.require(arguments.folder)
    if arguments.json:
        print_json(data)
    else:
        print(table(data))
        print(f"\nReport: {arguments.folder / result.REPORT}")
    if arguments.open:
        webbrowser.open((arguments.folder / result.REPORT).resolve().as_uri())
    if arguments.fail_under is not None:
        result.require_score(data, arguments.folder, arguments.fail_under)
    return 0


def table(data: Mapping[str, Any]) -> str:
    """Every object, then the worst frames, as text."""
    shot = data["shot"]
    rows = [("object", "verdict", "score", "worst", "why")]
    for item in data["objects"]:
        score = "-" if item["score"] is None else f"{item['score']:.2f}"
        reasons = "; ".join(item["worst_reasons"])
        rows.append((item["name"], item["verdict"], score, str(item["worst_frame"]) if reasons else "-", reasons))
    frames = "1 frame" if shot["count"] == 1 else f"{shot['count']} frames"
    lines = [f"{shot['name']}  {shot['first']}-{shot['last']}  {frames}", "", *_aligned(rows)]
    worst = data["worst"][:_SHOWN]
    if worst:
        rows = [("frame", "object", "score", "why")]
        rows += [(str(w["frame"]), w["object"], f"{w['score']:.2f}", "; ".join(w["reasons"])) for w in worst]
        lines += ["", *_aligned(rows)]
    return "\n".join(lines)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
