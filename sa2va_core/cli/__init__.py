"""The command line: one file for each subcommand, each with ``add(subparsers)``."""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Sequence

from sa2va_plugin import __version__
from sa2va_plugin.errors import Sa2vaError

from . import (
    ask,
    batch,
    cancel,
    engines,
    farm,
    inspect,
    jobs,
    logs,
    look,
    matte,
    models,
    qc,
    schema,
    splines,
    status,
    worker,
)
from .console import report_error

COMMANDS = (
    *(matte, ask, qc, batch, farm, splines, look, inspect, models, engines, schema),
    *(worker, status, jobs, cancel, logs),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 (error), 2 (usage), 3 (below --fail-under), 75 (may succeed
    later), 130 (cancelled)."""
    parser = argparse.ArgumentParser(
        prog="sa2va", description="Type a sentence, get production mattes.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"sa2va-roto {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(subparsers)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does: a name that a console cannot show is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = parser.parse_args(_joined(sys.argv[1:] if argv is None else argv))
    try:
        return arguments.run(arguments)
    except Sa2vaError as error:
        report_error(error, as_json=getattr(arguments, "json", False))
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has enough; closing stdout here keeps Python from complaining at exit.
        sys.stderr.close()
        return 0


def _joined(argv: Sequence[str]) -> list[str]:
    """``--range -5-10`` as ``--range=-5-10``: argparse takes a value that begins with ``-`` for an option."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] == "--range" and re.match(r"-\d", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
