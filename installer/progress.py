"""Stages with a number, a clock and a log: ``[2/5] Install the packages ... 12 s``."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from .problems import Problem, explain

TAIL_LINES = 15


def clean_environment(**more: str) -> Mapping[str, str]:
    """The environment for child processes: no Python or pip setting that leads them outside their own folder."""
    drop = {
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "VIRTUAL_ENV",
        "SA2VA_PYTHON",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
    }
    kept = {name: value for name, value in os.environ.items() if name not in drop}
    kept.update(PYTHONNOUSERSITE="1", PIP_USER="0", PYTHONUNBUFFERED="1", **more)
    return kept


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 60 else f"{int(value) // 60} min {int(value) % 60:02d} s"


class Clock(threading.Thread):
    """Shows on a terminal how long the stage takes and what it does now; elsewhere it stays silent."""

    def __init__(self, title: str, shown: bool) -> None:
        super().__init__(daemon=True)
        self.title, self.detail, self.shown = title, "", shown
        self.started = time.monotonic()
        self.over = threading.Event()

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def run(self) -> None:
        while self.shown and not self.over.wait(0.2):
            width = max(20, _columns() - 1)
            line = f"{self.title} ... {seconds(self.elapsed())}  {self.detail}"
            sys.stdout.write("\r" + line[:width].ljust(width))
            sys.stdout.flush()

    def stop(self) -> None:
        self.over.set()
        self.join()
        if self.shown:
            sys.stdout.write("\r" + " " * (_columns() - 1) + "\r")


def _columns() -> int:
    return shutil.get_terminal_size().columns


class Stages:
    """Runs the stages of one command; ``total`` is known from the start."""

    def __init__(self, total: int, log: Path, lock: IO[bytes] | None = None) -> None:
        self.total, self.done, self.log = total, 0, log
        self.clock: Clock | None = None
        self.note = ""
        # Windows has no such inheritance.
        self.keep_open = (lock.fileno(),) if lock is not None and os.name != "nt" else ()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("", encoding="utf-8")

    @contextlib.contextmanager
    def stage(self, title: str, live: bool = False) -> Iterator[None]:
        """One stage; ``live`` when its commands print for themselves. Set ``self.note`` inside to replace its time."""
        self.done += 1
        self.note = ""
        head = f"[{self.done}/{self.total}] {title}"
        self.clock = Clock(head, shown=sys.stdout.isatty() and not live)
        if not self.clock.shown:
            print(head, "...", flush=True)
        self.clock.start()
        outcome = "failed after"
        try:
            yield
            outcome = "done in"
        finally:
            self.clock.stop()
            line = f"{self.note or outcome + ' ' + seconds(self.clock.elapsed())}"
            print(f"{head}: {line}" if self.clock.shown else f"      {line}", flush=True)

    def say(self, text: str) -> None:
        """One line for the user in the middle of a stage."""
        if self.clock is not None and self.clock.shown:
            sys.stdout.write("\r" + " " * (_columns() - 1) + "\r")
        print(f"      {text}", flush=True)

    def run(self, command: Sequence[str], doing: str, cwd: Path, env: Mapping[str, str]) -> str:
        """Run quietly, output to the log. Raises Problem, with the last lines and the log's place, when it fails."""
        code, lines = self._follow(command, cwd, env)
        text = "\n".join(lines)
        if code:
            problem = explain(text, doing)
            tail = "\n".join("    " + line for line in lines[-TAIL_LINES:])
            raise Problem(f"{tail}\n{problem.message}", f"{problem.hint}\nLog: {self.log}")
        return text

    def show(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> int:
        """Run with its output going straight to the user; returns the exit code. Ctrl-C is the command's to handle."""
        before = signal.signal(signal.SIGINT, lambda number, frame: None)
        try:
            with self._start(command, cwd, env, stdout=None) as child:
                code = child.wait()
        finally:
            signal.signal(signal.SIGINT, before)
        if code in (130, -signal.SIGINT):
            raise KeyboardInterrupt
        return code

    def _follow(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[int, list[str]]:
        lines: collections.deque[str] = collections.deque(maxlen=400)
        with self.log.open("a", encoding="utf-8") as log, self._start(command, cwd, env) as child:
            log.write("$ " + " ".join(command) + "\n")
            try:
                for raw in child.stdout or ():
                    line = raw.rstrip()
                    log.write(line + "\n")
                    lines.append(line)
                    if self.clock is not None:
                        self.clock.detail = line.strip()
            except BaseException:
                child.terminate()
                raise
            return child.wait(), list(lines)

    def _start(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], stdout: int | None = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            list(command),
            cwd=str(cwd),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT if stdout else None,
            text=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=self.keep_open,
        )
