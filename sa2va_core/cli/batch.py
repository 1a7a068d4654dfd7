"""``sa2va batch``: every shot of a prompt sheet, on this machine."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from sa2va_plugin.errors import worst_exit_code
from sa2va_plugin.paths import absolute

from sa2va_core.farm import summary
from sa2va_core.farm.batch import ShotState, run_batch, standing
from sa2va_core.farm.plan import ShotJob, plan
from sa2va_core.jobs.manifest import ranges
from sa2va_core.worker.remote import connect

from .console import print_json, stop_on_signal
from .qc import add_bar

_COLOURS = {
    "found": "green",
    "not in shot": "red",
    "ambiguous": "yellow",
    "done": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "waiting": "dim",
}
_ROWS = 24


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "batch",
        help="make the mattes of every shot of a prompt sheet",
        description="A sheet is a .csv, .tsv, .yaml or .json file; docs/batch.md describes it. The jobs run in this "
        "machine's worker. The same command again does only what is missing or has changed.",
    )
    add_sheet_options(parser)
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="folder for the results, a folder a shot")
    add_bar(parser)
    parser.add_argument("--dry-run", action="store_true", help="check the sheet, list what would be done, and stop")
    parser.add_argument("--json", action="store_true", help="as JSON lines, for machines")
    parser.set_defaults(run=run)


def add_sheet_options(parser: argparse.ArgumentParser) -> None:
    """The sheet and what is wanted of it; shared with ``sa2va farm``."""
    parser.add_argument("sheet", type=Path, help="shots and phrases")
    parser.add_argument("--shot", action="append", default=[], metavar="PATTERN", help="only shots that match (sh01*)")
    parser.add_argument("--object", action="append", default=[], metavar="PATTERN", help="only objects that match")


def run(arguments: argparse.Namespace) -> int:
    folder = Path(absolute(arguments.output))
    jobs = plan(arguments.sheet, folder, arguments.shot, arguments.object)
    summary.keep_apart(arguments.sheet, folder)
    if arguments.dry_run:
        _list(jobs, arguments.json)
        return 0
    with stop_on_signal() as cancelled, _listener(len(jobs), arguments.json) as listener:
        states = run_batch(
            jobs,
            folder,
            lambda: connect(start=True),
            on_change=listener,
            cancelled=cancelled,
            fail_under=arguments.fail_under,
        )
    table, page = summary.write(folder, states)
    if arguments.json:
        print_json({"event": "batch", **_counts(states), "summary": [table, page]})
    else:
        print(", ".join(f"{count} {how}" for how, count in _counts(states).items() if count))
        print(f"Look at: {page}")
    return worst_exit_code(state.error for state in states if state.error is not None)


def _counts(states: Sequence[ShotState]) -> dict[str, int]:
    return {how: sum(state.state == how for state in states) for how in ("done", "failed", "cancelled")}


def _list(jobs: Sequence[ShotJob], as_json: bool) -> None:
    for job in jobs:
        spec = job.spec
        if as_json:
            print_json({"shot": job.shot, "standing": standing(job), "job": spec.to_dict()})
            continue
        span = "all frames" if spec.shot.range is None else ranges(range(spec.shot.range[0], spec.shot.range[1] + 1))
        phrases = ", ".join(f'{item.name}="{item.phrase}"' for item in spec.objects)
        print(f"{job.shot}: {standing(job)}. {spec.shot.path} ({span}) {phrases}")


def _listener(total: int, as_json: bool) -> _Json | _Lines | _Live:
    if as_json:
        return _Json()
    return _Live(total) if sys.stderr.isatty() else _Lines()


class _Quiet:
    def __enter__(self) -> Any:
        return self

    def __exit__(self, *raised: object) -> None:
        pass


class _Json(_Quiet):
    """Each change of a shot as one JSON object."""

    def __call__(self, state: ShotState) -> None:
        error = state.error
        print_json(
            {
                "event": "shot",
                "shot": state.job.shot,
                "state": state.state,
                "done": state.done,
                "total": state.total,
                "eta": state.eta,
                "verdicts": {name: verdict.state for name, verdict in state.verdicts.items()},
                "scores": state.scores,
                "error": None
                if error is None
                else {"class": type(error).__name__, "message": error.message, "hint": error.hint},
            }
        )


class _Lines(_Quiet):
    """A line for each shot as it ends."""

    def __call__(self, state: ShotState) -> None:
        if state.over:
            print(f"{state.job.shot}: {_told(state)}", flush=True)


def _told(state: ShotState) -> str:
    if state.error is not None:
        return f"{state.state}. {state.error.message} {state.error.hint}".strip()
    verdicts = ", ".join(f"{name} {verdict.state}{_score(state, name)}" for name, verdict in state.verdicts.items())
    finished = " (finished before)" if state.kept and state.kept == state.total else ""
    return f"{state.done} frames{finished}: {verdicts}"


class _Live:
    """One table on a terminal: what runs, and what ended last."""

    def __init__(self, total: int) -> None:
        self._total, self._started = total, time.monotonic()
        self._states: dict[str, ShotState] = {}
        self._frames = 0
        self._live = Live(console=Console(stderr=True), get_renderable=self._table, refresh_per_second=4)

    def __enter__(self) -> _Live:
        self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._live.stop()

    def __call__(self, state: ShotState) -> None:
        # Last changed last, so that the table's end is where things happen.
        self._states.pop(state.job.shot, None)
        self._states[state.job.shot] = state

    def _table(self) -> Table:
        over = sum(state.over for state in self._states.values())
        table = Table(title=f"{over} of {self._total} shots{self._left(over)}", expand=True)
        for name in ("shot", "frames", "left", "objects"):
            table.add_column(name, no_wrap=name != "objects")
        for state in list(self._states.values())[-_ROWS:]:
            table.add_row(
                Text(state.job.shot, _COLOURS[state.state]),
                f"{state.done}/{state.total}" if state.total else "",
                _clock(state.eta),
                self._objects(state),
            )
        return table

    def _left(self, over: int) -> str:
        """By the mean of the shots that were run here; those that were finished before took no time."""
        ran = sum(state.over and state.kept < max(1, state.total) for state in self._states.values())
        spent = time.monotonic() - self._started
        return f", about {_clock(spent / ran * (self._total - over))} left" if ran and over < self._total else ""

    def _objects(self, state: ShotState) -> Text:
        if state.error is not None:
            return Text(state.error.message, _COLOURS[state.state])
        words = Text()
        for item in state.job.spec.objects:
            verdict = state.verdicts.get(item.name)
            words.append(f"{item.name} ")
            words.append(
                f"{verdict.state}{_score(state, item.name)}  " if verdict else "…  ",
                _COLOURS[verdict.state] if verdict else "dim",
            )
        return words


def _score(state: ShotState, name: str) -> str:
    return f" {state.scores[name]:.2f}" if name in state.scores else ""


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"
