"""From a sheet's entries to jobs: one for each shot, with all of its objects, so that a shot is looked at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sa2va_plugin.errors import JobSpecError, Sa2vaError
from sa2va_plugin.jobspec import VERSION, JobSpec
from sa2va_plugin.naming import layer_name, name_from_phrase
from sa2va_plugin.paths import resolve

from sa2va_core.engines import registry
from sa2va_core.media.clip import map_frames
from sa2va_core.media.sequence import locate
from sa2va_core.media.write import keep_apart

from .entries import Cell, Entry, Problem, fail
from .fields import PLATE
from .sheet import read_sheet

_FOLDER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class ShotJob:
    """One shot of a sheet. Its results go to the folder ``shot`` of the batch."""

    shot: str
    place: str
    spec: JobSpec


def plan(path: Path, folder: Path, shots: Sequence[str] = (), objects: Sequence[str] = ()) -> list[ShotJob]:
    """The jobs of a sheet, all of it checked; results under ``folder``. They are as the worker and other machines take
    them, with absolute paths and $OCIO written in: results are known again by the hash of that.

    ``shots``, ``objects``: patterns that leave out the rest. Plates are looked for relative to the sheet. All is
    checked that can be known without reading a frame or loading weights. Raises SheetError with every fault, and
    JobSpecError where the patterns leave nothing.
    """
    entries, problems = read_sheet(path)
    jobs = _Planner(path, folder, entries, problems).jobs()
    fail(path, sorted(problems, key=lambda problem: int((re.search(r"\d+", problem.place) or "0")[0])))
    chosen = [_filtered(job, objects) for job in jobs if not shots or _matches(job.shot, shots)]
    left = [job for job in chosen if job is not None]
    if not left:
        raise JobSpecError(
            f"The filters leave nothing of the sheet: {path}",
            f"Its shots: {_some(job.shot for job in jobs)}. "
            f"Its objects: {_some(item.name for job in jobs for item in job.spec.objects)}.",
        )
    return left


def _some(names: Iterable[str]) -> str:
    known = list(dict.fromkeys(names))
    return ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _filtered(job: ShotJob, objects: Sequence[str]) -> ShotJob | None:
    if not objects:
        return job
    kept = tuple(item for item in job.spec.objects if _matches(item.name, objects))
    data = job.spec.to_dict()
    data["objects"] = [item for item in data["objects"] if item["name"] in {k.name for k in kept}]
    return ShotJob(job.shot, job.place, JobSpec.from_dict(data)) if kept else None


class _Planner:
    def __init__(self, path: Path, folder: Path, entries: Sequence[Entry], problems: list[Problem]) -> None:
        self._path, self._folder, self._entries, self._problems = path, folder, entries, problems
        self._hints: set[str] = set()

    def jobs(self) -> list[ShotJob]:
        shots = self._shots()
        if not shots and not self._problems:
            self._problem("", "no shot has a plate.")
        # Patterns speak first, so that what a shot says of itself counts.
        general: list[Entry] = []
        single: dict[str, list[Entry]] = {}
        for entry in self._entries:
            (single.setdefault(entry.shots[0], []) if self._single(entry) else general).append(entry)
        unused = {id(entry) for entry in general if entry.object is not None}
        jobs = []
        for name, place in shots.items():
            mine = [entry for entry in general if _matches(name, entry.shots)]
            unused -= {id(entry) for entry in mine}
            if any(entry.faulty for entry in (*mine, *single[name])):
                continue
            job = self._job(name, place, mine, single[name])
            if job is not None:
                jobs.append(job)
        for entry in general:
            if id(entry) in unused:
                self._problem(entry.place, f"no shot matches {', '.join(entry.shots)}.")
        return jobs

    def _problem(self, place: str, text: str) -> None:
        self._problems.append(Problem(place, text))

    def _single(self, entry: Entry) -> bool:
        return len(entry.shots) == 1 and not _WILD.search(entry.shots[0])

    def _shots(self) -> dict[str, str]:
        """Name -> place of every shot, in the sheet's order."""
        shots: dict[str, str] = {}
        folders: dict[str, str] = {}
        whole: dict[str, str] = {}
        for entry in self._entries:
            if not self._single(entry):
                continue
            (name,) = entry.shots
            if entry.whole:
                if name in whole:
                    self._problem(entry.place, f"the shot {name!r} stands here a second time ({whole[name]}).")
                whole.setdefault(name, entry.place)
            if name in shots:
                continue
            shots[name] = entry.place
            if not _FOLDER.fullmatch(name):
                text = f"the shot {name[:40]!r} cannot name a folder; use letters, digits, '.', '_' and '-'."
                self._problem(entry.place, text)
            elif name.lower() in folders:
                self._problem(entry.place, f"{name!r} and {folders[name.lower()]!r} would share a folder.")
            folders.setdefault(name.lower(), name)
        return shots

    def _job(self, name: str, place: str, general: Sequence[Entry], own: Sequence[Entry]) -> ShotJob | None:
        before = len(self._problems)
        cells: dict[str, Cell] = {}
        for entry in general:
            cells.update(entry.fields)
        mine: dict[str, Cell] = {}
        for entry in own:
            for path, cell in entry.fields.items():
                known = mine.setdefault(path, cell)
                if known.value != cell.value:
                    what = "plates" if path == PLATE else f"values of {path}"
                    self._problem(cell.place, f"the shot {name!r} has two {what} ({known.place}).")
        cells.update(mine)
        if PLATE not in mine:
            self._problem(place, f"the shot {name!r} has no plate.")
        stated = [entry for entry in (*own, *general) if entry.object is not None]
        objects = [self._object(entry) for entry in stated]
        if not objects:
            self._problem(place, f"the shot {name!r} has no object.")
        layers: dict[str, str] = {}
        for item, entry in zip(objects, stated, strict=True):
            layer = layer_name(item["name"])
            known = layers.setdefault(layer.lower(), entry.place)
            if known != entry.place:
                self._problem(
                    entry.place, f"two objects of the shot {name!r} would share the layer {layer!r} ({known})."
                )
        if len(self._problems) > before:
            return None
        try:
            spec = resolve(JobSpec.from_dict(self._data(name, cells, objects)), os.environ.get("OCIO", ""))
            self._check(spec, stated)
        except Sa2vaError as error:
            self._told(self._blame(error, place, cells), error)
            return None
        return ShotJob(name, place, spec) if len(self._problems) == before else None

    def _told(self, place: str, error: Sa2vaError) -> None:
        # The words that an engine knows are many; once is enough.
        hint = "" if error.hint in self._hints else error.hint
        self._hints.add(hint)
        self._problem(place, f"{error.message} {hint}".strip())

    def _object(self, entry: Entry) -> dict[str, Any]:
        made = dict(entry.object or {})
        made["name"] = made.get("name") or name_from_phrase(str(made.get("phrase", "")))
        return made

    def _data(self, name: str, cells: dict[str, Cell], objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
        data: dict[str, Any] = {"version": VERSION, "objects": list(objects), "outputs": {}}
        for path, cell in cells.items():
            part, _, key = path.partition(".")
            data.setdefault(part, {})[key] = cell.value
        data["outputs"]["folder"] = str(self._folder / name)
        plate = Path(str(data["shot"]["path"])).expanduser()
        data["shot"]["path"] = str(plate if plate.is_absolute() else self._path.parent / plate)
        return data

    def _check(self, spec: JobSpec, stated: Sequence[Entry]) -> None:
        """``stated``: where each of the job's objects comes from."""
        factory = registry.factory(spec.engine.name)
        for item, entry in zip(spec.objects, stated, strict=True):
            try:
                factory.check((item,))
            except Sa2vaError as error:
                self._told(entry.place, error)
        factory.check((), spec.matte.second_look)
        plate = locate(spec.shot.path, spec.shot.view)
        keep_apart(plate.movie or next(iter(plate.files.values())), Path(spec.outputs.folder))
        if plate.files:
            map_frames(spec.shot, list(plate.files), plate.label)

    def _blame(self, error: Sa2vaError, place: str, cells: dict[str, Cell]) -> str:
        """Where in the sheet an error of a job comes from: the field that its message names, or else the shot."""
        for path, cell in cells.items():
            if error.message.startswith(f"{path} "):
                return cell.place
        return place
