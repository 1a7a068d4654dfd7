"""``build``: packages that a host installs by itself, with the plugin code inside them."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from . import place
from .problems import Problem

_PLUGIN = place.REPOSITORY / "plugin" / "sa2va_plugin"
_BLENDER = place.REPOSITORY / "hosts" / "blender"
_NUKE = place.REPOSITORY / "hosts" / "nuke"
#: What a host does not need: the suite that adapters are tested with.
_LEFT_OUT = ("conformance",)
_IMPORT = re.compile(r"^(\s*from )(sa2va_plugin)\b", re.MULTILINE)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def blender(folder: Path) -> Path:
    """Write the extension's zip into ``folder``; the same tree gives the same bytes. Raises Problem."""
    source = _BLENDER / "sa2va_roto"
    files = _python_package(source)
    files["LICENSE"] = (_BLENDER / "LICENSE").read_bytes()
    files.update(_plugin())
    version = re.search(r'^version = "([^"]+)"', files["blender_manifest.toml"].decode("utf-8"), re.MULTILINE)
    assert version is not None
    target = folder / f"sa2va_roto-{version[1]}.zip"
    _write(target, files)
    return target


def nuke(folder: Path) -> Path:
    """Write the Nuke package's zip into ``folder``: one folder to unpack and name in NUKE_PATH. Raises Problem."""
    files = {path.relative_to(_NUKE).as_posix(): path.read_bytes() for path in sorted(_NUKE.rglob("*.py"))}
    files["LICENSE"] = (place.REPOSITORY / "LICENSE").read_bytes()
    files.update(_plugin())
    version = re.search(r'^__version__ = "([^"]+)"', files["sa2va_nuke/__init__.py"].decode("utf-8"), re.MULTILINE)
    assert version is not None
    target = folder / f"sa2va_nuke-{version[1]}.zip"
    _write(target, {f"sa2va_nuke-{version[1]}/{name}": data for name, data in files.items()})
    return target


def _plugin() -> dict[str, bytes]:
    files = {"sa2va_plugin/LICENSE": (place.REPOSITORY / "LICENSE").read_bytes()}
    for path in sorted(_PLUGIN.rglob("*.py")):
        relative = path.relative_to(_PLUGIN)
        if relative.parts[0] not in _LEFT_OUT:
            files[f"sa2va_plugin/{relative.as_posix()}"] = path.read_bytes()
    return files


def _python_package(source: Path) -> dict[str, bytes]:
    """A host's files; where they import the plugin, they do so from beside themselves: extensions share a Python."""
    files = {}
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.suffix in (".py", ".toml"):
            relative = path.relative_to(source)
            data = path.read_bytes()
            if path.suffix == ".py":
                dots = "." * len(relative.parts)
                data = _IMPORT.sub(rf"\1{dots}\2", data.decode("utf-8")).encode("utf-8")
            files[relative.as_posix()] = data
    return files


def _write(target: Path, files: Mapping[str, bytes]) -> None:
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(str(part), "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, files[name])
        part.replace(target)
    except OSError as error:
        raise Problem(
            f"The package cannot be written ({error.strerror}): {target}", "Choose another folder with -o DIR."
        ) from error
