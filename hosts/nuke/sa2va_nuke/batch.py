"""All Sa2VA nodes of a script, without a window:

    nuke -t .../sa2va_nuke/batch.py SCRIPT.nk [--node NAME ...] [--save FILE.nk | --jobs FOLDER]

Exit code: 0 when every node got its mattes, 1 when one did not, 2 for a wrong command. Nuke takes a last argument that
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
from sa2va_plugin.client import resolve
from sa2va_plugin.errors import JobSpecError, Sa2vaError
from sa2va_plugin.jobspec import JobSpec

from sa2va_nuke import actions, knobs
from sa2va_nuke.jobs import Job


class Told(actions.NodeDocument):
    """A node whose status is printed as well, each line once."""

    def __init__(self, node: nuke.Group) -> None:
        super().__init__(node)
        self._name, self._said, self.ok = node.fullName(), "", False

    def show(self, text: str) -> None:
        super().show(text)
        if text != self._said:
            self._said = text
            _say(f"{self._name}: {text}")

    def finished(self, manifest: str) -> None:
        super().finished(manifest)
        text = knobs.text(self._node, "status")
        self.ok = text.startswith("Done")
        _say(f"{self._name}: {text}")


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
        return 1
    failed = [node.fullName() for node in nodes if not _matte(node, options.jobs)]
    if options.save:
        nuke.scriptSaveAs(options.save.replace("\\", "/"), 1)
    _say(
        f"{len(nodes) - len(failed)} of {len(nodes)} nodes have their {'jobs' if options.jobs else 'mattes'}."
        + "".join(f"\nfailed: {n}" for n in failed)
    )
    return 1 if failed else 0


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


def _matte(node: nuke.Group, jobs: Optional[str]) -> bool:
    told = Told(node)
    try:
        spec = actions.prepare(node)
    except Sa2vaError as error:
        told.show(str(error))
        return False
    if jobs:
        return _write(spec, Path(jobs) / f"{node.fullName()}.json")
    Job(told, spec).run_here()
    return told.ok


def _write(spec: JobSpec, target: Path) -> bool:
    """The job as the worker would get it. The node's *Use run* takes what comes of it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(resolve(spec, os.environ.get("OCIO", "")).to_json(), "utf-8")
    except OSError as error:
        _say(f"The job cannot be written ({error.strerror}): {target}\nChoose another folder.")
        return False
    _say(f"{target.as_posix()}: its mattes go to {spec.outputs.folder}")
    return True


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
