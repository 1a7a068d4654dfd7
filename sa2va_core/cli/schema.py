"""``sa2va schema``: the JSON Schema of a job."""

from __future__ import annotations

import argparse
import json
from typing import Any

from sa2va_plugin.jobspec import json_schema


def add(subparsers: Any) -> None:
    subparsers.add_parser("schema", help="print the JSON Schema of a job file").set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    print(json.dumps(json_schema(), indent=2))
    return 0
