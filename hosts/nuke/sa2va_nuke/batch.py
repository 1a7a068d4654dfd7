"""All Sa2VA nodes of a script, without a window:

    nuke -t .../sa2va_nuke/batch.py SCRIPT.nk [--node NAME ...] [--save FILE.nk | --jobs FOLDER]

Exit code: 0 when every node got its mattes, else as `sa2va` has it: 1 for what will fail again, 75 for what may succeed
when it is tried again (the worker was lost, results cannot be written now), 130 when cancelled; of several nodes, the
worst. 2 for a wrong command. Nuke takes a last argument that
looks like a frame range for itself, so ranges come from the nodes' knobs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if __name__ == "__main__":
    # Not every Nuke tells a script of -t its own file.
    sys.path.insert(0, str(Path(globals().get("__file__", sys.argv[0])).resolve().parents[1]))

import nuke
from sa2va_plugin.errors import JobSpecError, OutputError, Sa2vaError, worst_exit_code
from sa2va_plugin.jobspec import JobSpec
from sa2va_plugin.paths import resolve

from sa2va_nuke import actions, knobs
from sa2va_nuke.jobs import Job


class Told(actions.NodeDocument):
    """A node whose status is printed as well, each line once."""

    def __init__(self, node: nuke.Group) -> None:
        super().__init__(node)
        self._name, self._said = node.fullName(), ""
        self.error: Optional[Sa2vaError] = None

    def show(self, text: str) -> None:
        super().show(text)
        if text != self._said:
            self._said = text
            _say(f"{self._name}: {text}")

    def finished(self, manifest: str) -> None:
        super().finished(manifest)
        if self.error is None:
            _say(f"{self._name}: {knobs.text(self._node, 'status')}")

    def failed(self, error: Sa2vaError) -> None:
        super().failed(error)
        self.error = error


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="nuke -t batch.py", description="Matte all Sa2VA nodes of a script.")
    parser.add_argument("script")
    parser.add_argument("--node", action="append", default=[], metavar="NAME", help="only this node; may be repeated")
    parser.add_argument("--save", metavar="FILE", help="save the script with the mattes in it")
    parser.add_argument("--jobs", metavar="FOLDER", help="make no mattes: write NODE.json, for `sa2va matte`")
    options = parser.parse_args(list(arguments))
    try:
        nodes = _open(options.script, options.node)
    except Sa2vaError as error:
        _say(str(error))
        return error.exit_code
    outcomes = {node.fullName(): _matte(node, options.jobs) for node in nodes}
    failed = {name: error for name, error in outcomes.items() if error is not None}
    errors = [*failed.values()]
    if options.save:
        errors += _save(options.save.replace("\\", "/"))
    _say(
        f"{len(nodes) - len(failed)} of {len(nodes)} nodes have their {'jobs' if options.jobs else 'mattes'}."
        + "".join(f"\nfailed: {name}" for name in failed)
    )
    return worst_exit_code(errors)


def _open(script: str, names: Sequence[str]) -> list[nuke.Group]:
    try:
        nuke.scriptOpen(script.replace("\\", "/"))
    except RuntimeError as error:
        raise JobSpecError(f"The script cannot be opened: {error}", "Check its path.") from error
    if names:
        found = [(name, nuke.toNode(name)) for name in names]
        missing = [name for name, node in found if not knobs.is_sa2va(node)]
        if missing:
            raise JobSpecError(f"No Sa2VA node has the name {missing[0]}.", "Give names as the node graph shows them.")
        return [node for _, node in found if isinstance(node, nuke.Group)]
    if nuke.env.get("nc") or nuke.env.get("indie"):
        # These let a script's Python touch ten nodes; a search would use them up.
        raise JobSpecError("Nuke Indie and Non-commercial do not let a script search its nodes.", "Use --node NAME.")
    nodes = [node for node in nuke.allNodes("Group") if isinstance(node, nuke.Group) and knobs.is_sa2va(node)]
    if not nodes:
        raise JobSpecError("There is no Sa2VA node in the script.", "Nodes inside groups need --node GROUP.NAME.")
    return nodes


def _matte(node: nuke.Group, jobs: Optional[str]) -> Optional[Sa2vaError]:
    """What went wrong, if anything did."""
    told = Told(node)
    try:
        spec = actions.prepare(node)
        if jobs:
            _write(spec, Path(jobs) / f"{node.fullName()}.json")
        else:
            Job(told, spec).run_here()
    except Sa2vaError as error:
        told.failed(error)
    return told.error


def _save(target: str) -> list[Sa2vaError]:
    """What went wrong, if anything did."""
    try:
        nuke.scriptSaveAs(target, 1)
    except RuntimeError as error:
        failure = OutputError(f"The script cannot be saved: {error}", "Choose another --save.")
        _say(str(failure))
        return [failure]
    return []


def _write(spec: JobSpec, target: Path) -> None:
    """The job as the worker would get it. The node's *Use run* takes what comes of it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(resolve(spec, os.environ.get("OCIO", "")).to_json(), "utf-8")
    except OSError as error:
        raise OutputError(
            f"The job cannot be written ({error.strerror}): {target}", "Choose another folder."
        ) from error
    _say(f"{target.as_posix()}: its mattes go to {spec.outputs.folder}")


def _say(text: str) -> None:
    # A terminal that lacks a letter must not end the batch.
    known = getattr(sys.stdout, "encoding", None) or "ascii"
    sys.stdout.write(text.encode(known, "backslashreplace").decode(known) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
