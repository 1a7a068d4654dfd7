"""The output folder of a job: who may write there, what stands in it, and whose it is."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sa2va_plugin.errors import JobSpecError, MediaError, OutputError, ResultError
from sa2va_plugin.jobspec import JobSpec

from sa2va_core.engines.base import Engine, Verdict
from sa2va_core.media.atomic import output_error
from sa2va_core.media.clip import Clip
from sa2va_core.media.write import SCRATCH, lies_in_results

from . import manifest
from .events import Listener, Started, VerdictReached
from .journal import FrameRecord, intact, read_journal, remove

#: Seconds. A job that ends takes its lock away; who comes that very moment tries again.
_WAIT = 0.5


def keep_pins(spec: JobSpec, folder: Path) -> None:
    """Raise JobSpecError for a pinned matte among the results that the job may replace: it would be gone before it is
    read."""
    for path in (pin.path for item in spec.objects for pin in item.masks):
        if lies_in_results(Path(path), folder):
            raise JobSpecError(
                f"A pinned matte lies among the results that the job may replace: {path}",
                "Copy it to another folder, or choose another output folder.",
            )


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """One job at a time in a folder, which is made if need be; the system drops the lock when its holder dies.

    Raises OutputError.
    """
    # Not in the scratch folder: that can then be removed as a whole while the lock is held.
    lock = folder / f"{SCRATCH}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock).acquire(timeout=_WAIT)
    except Timeout:
        raise OutputError(
            f"Another job is writing to this folder: {folder}",
            "Wait for it, cancel it, or choose another output folder.",
        ) from None
    except OSError as error:
        raise output_error(folder, error) from error
    with held:
        try:
            yield
        finally:
            # Never after the release: the file could be the next job's lock by then. Whoever has it open finds it gone
            # and makes a new one. Windows removes no open file, and does it in the release.
            with suppress(OSError):
                lock.unlink()


def remove_scratch(folder: Path) -> None:
    """Remove what only an unfinished job needs. For whoever has the :func:`sole_use` of the folder."""
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)


def unchanged(record: FrameRecord, clip: Clip, folder: Path) -> bool:
    """Whether a finished frame still stands: its plate frame as it was, its files intact."""
    return record.input == clip.fingerprint(record.frame) and intact(folder, record.files)


def plate_fingerprint(clip: Clip) -> str | None:
    """Changes when any frame of the clip may have; None while one is missing."""
    try:
        return hashlib.sha256("\n".join(map(clip.fingerprint, clip.frames)).encode()).hexdigest()
    except MediaError:
        return None


def kept(files: Mapping[str, str]) -> dict[str, str]:
    """Those of a frame's files that stay when the job is over."""
    return {name: digest for name, digest in files.items() if not name.startswith(SCRATCH + "/")}


def finished(spec: JobSpec, folder: Path, clip: Clip, engine: Engine, on_event: Listener) -> Path | None:
    """The manifest of the same job, if it was finished here and nothing has changed since."""
    data = manifest.read(folder)
    if data is None or data["job_hash"] != spec.hash():
        return None
    made_by = data["made_by"]["engine"]
    if made_by["version"] != engine.info.version or made_by["weights"] != dict(engine.info.weights):
        return None
    if data.get("pins", {}) != manifest.pins(spec):
        return None
    records = [FrameRecord(**record) for record in data["frames"]]
    if [record.frame for record in records] != list(clip.frames) or not intact(folder, data["files"]):
        return None
    if not all(unchanged(record, clip, folder) for record in records):
        return None
    on_event(Started(spec.hash(), engine.info.label, len(records), len(records)))
    for item in data["objects"]:
        frames = manifest.parse_ranges(item["frames"])
        on_event(VerdictReached(item["name"], Verdict(item["verdict"], item["reason"], frames)))
    return folder / manifest.NAME


def frames_of_another(spec: JobSpec, folder: Path) -> int:
    """How many frames a different job had finished here when it was stopped."""
    header, records = read_journal(folder / SCRATCH)
    return 0 if header.get("job_hash") == spec.hash() else len(records)


def refuse_other_job(spec: JobSpec, folder: Path) -> None:
    """Raise ResultError where an earlier, different job has its results, or part of them."""
    data = manifest.read(folder)
    if data is not None and data["job_hash"] != spec.hash():
        phrases = ", ".join(f'"{item["phrase"]}"' for item in data["objects"])
        raise ResultError(
            f"The folder holds the results of another job ({phrases}): {folder}",
            "Choose another folder, or say --overwrite to replace them.",
        )
    stopped = frames_of_another(spec, folder)
    if stopped:
        raise ResultError(
            f"The folder holds another job, stopped after {stopped} frame{'s' * (stopped > 1)}: {folder}",
            "Run that job again to go on with it, choose another folder, or say --overwrite to replace it.",
        )


def clear(folder: Path) -> None:
    """Remove what an earlier job left here: only files that its manifest names."""
    data = manifest.read(folder)
    if data is None:
        return
    (folder / manifest.NAME).unlink()
    remove(folder, [*data["files"], *(name for record in data["frames"] for name in record["files"])])
