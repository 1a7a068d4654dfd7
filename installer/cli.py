"""The commands and what a person sees when something is wrong: two lines and an exit code, never a traceback."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import build, checks, demo, doctor, install, place, uninstall
from .problems import Problem


def main(arguments: list[str]) -> int:
    """Run one command; returns 0, 1 (a problem or a failed check), 2 (usage) or 130 (stopped by the user)."""
    options = _parser().parse_args(arguments)
    folder = options.folder.expanduser().resolve()
    try:
        if options.command == "demo":
            return demo.run(folder, options.output.expanduser().resolve())
        if options.command == "install":
            return install.run(folder, options.sa2va)
        if options.command == "test":
            return checks.run(folder, options.without)
        if options.command == "build":
            make = build.blender if options.host == "blender" else build.nuke
            print(make(options.output.expanduser().resolve()))
            return 0
        if options.command == "doctor":
            return doctor.run(folder)
        return uninstall.run(folder, options.yes, options.models)
    except Problem as problem:
        sys.stdout.flush()
        print(f"\n{problem.message}\n{problem.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m installer", description="Set up Sa2VA Roto from this folder.")
    parser.add_argument(
        "--folder", type=Path, default=place.DEFAULT, metavar="DIR", help="where everything is put (.sa2va)"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    make = commands.add_parser("demo", help="try it: install privately and matte the demo clip")
    make.add_argument("-o", "--output", type=Path, default=demo.RESULTS, metavar="DIR", help="results (results/demo)")
    user = commands.add_parser("install", help="make the sa2va command, and the worker that hosts find by themselves")
    user.add_argument("--sa2va", action="store_true", help="with PyTorch, for the Sa2VA engine")
    test = commands.add_parser("test", help="make the development environment and run every check")
    test.add_argument(
        "--without",
        action="append",
        default=[],
        choices=checks.OPTIONAL,
        help="leave out PyTorch, or Blender as a module (5 GB), and what needs it; may be repeated",
    )
    package = commands.add_parser("build", help="make the package that a host application installs")
    package.add_argument("host", choices=("blender", "nuke"))
    package.add_argument("-o", "--output", type=Path, default=place.REPOSITORY / "dist", metavar="DIR", help="(dist)")
    commands.add_parser("doctor", help="say what is here, what is missing and what to do next")
    gone = commands.add_parser("uninstall", help="list what was made, with sizes, and remove it")
    gone.add_argument("--yes", action="store_true", help="do not ask")
    gone.add_argument("--models", action="store_true", help="remove the fetched models too")
    return parser
