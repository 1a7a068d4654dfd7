"""Does Sa2VA Roto work in this Nuke? A person with Nuke runs

    nuke -t acceptance.py [-o REPORT.json]

and posts the block that it prints, with the report: docs/nuke.md lists what came of it. No worker, no footage and no
window are needed. It writes a plate, mattes and splines whose pixels are known, lets the adapter build every form of
result from them, renders, and compares. The report also holds what our tests only believe: the knobs of this Nuke's
nodes, and how it writes a keyed shape of its own.

It takes seconds and touches at most ten nodes at once, so that Indie and Non-commercial do (``nuke --indie -t``,
``nuke --nc -t``; ``nuke -i -t`` where there is no render licence). Exit code: 0 when all is well, 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import math
import shutil
import struct
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

if __name__ == "__main__":
    # Not every Nuke tells a script of -t its own file. The plugin lies beside it, or in a checkout two folders up.
    _here = Path(globals().get("__file__", sys.argv[0])).resolve().parent
    sys.path[:0] = [str(_here), str(_here.parent.parent / "plugin")]

from sa2va_plugin.naming import FramePattern
from sa2va_plugin.splines import SplineFit, SplineKey, SplineObject, SplinePoint, SplineSet, SplineShape

WIDTH, HEIGHT, FIRST, LAST = 96, 54, 1001, 1005
#: A frame of the plate on which nothing was found.
EMPTY = LAST + 1
RADIUS, HOLE, CENTRE_Y = 14.0, 6.0, 30.0
#: Red, green, blue, alpha.
PLATE = (0.25, 0.5, 0.125, 0.5)
#: Kappa: a quarter of a circle as one cubic.
_HANDLE = 4 / 3 * (math.sqrt(2) - 1)


def centre_x(frame: float) -> float:
    """Where the disc is. Pixels from the left; its y is from the top."""
    return 30.0 + 5.0 * (frame - FIRST)


def _distance(frame: int, x: int, y: int) -> float:
    """Of a pixel's centre from the disc's."""
    return math.hypot(x + 0.5 - centre_x(frame), y + 0.5 - CENTRE_Y)


def disc(frame: int, x: int, y: int) -> float:
    """The disc's matte at a pixel, y down."""
    return 1.0 if frame <= LAST and _distance(frame, x, y) < RADIUS else 0.0


def ring(frame: int, x: int, y: int) -> float:
    """What the splines draw: the disc with a hole in it."""
    return 0.0 if _distance(frame, x, y) < HOLE else disc(frame, x, y)


def soft(frame: int, x: int, y: int) -> float:
    """A matte of in-between values: three quarters in the left third."""
    return 0.75 if frame <= LAST and x < WIDTH // 3 and 4 <= y < HEIGHT - 4 else 0.0


def exr(channels: Mapping[str, Callable[[int, int], float]], crop: bool = False) -> bytes:
    """An uncompressed half-float scan line OpenEXR file (openexr.com, "OpenEXR File Layout"). ``crop``: its data window
    is, as the worker writes it, the box of what is not 0; one pixel, top left, when all is 0."""
    pixels = [(x, y) for y in range(HEIGHT) for x in range(WIDTH)]
    if crop:
        pixels = [(x, y) for x, y in pixels if any(value(x, y) for value in channels.values())] or [(0, 0)]
    left, right = min(x for x, _ in pixels), max(x for x, _ in pixels)
    top, bottom = min(y for _, y in pixels), max(y for _, y in pixels)
    width, rows = right - left + 1, range(top, bottom + 1)

    def attribute(name: str, kind: str, data: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data

    names = sorted(channels)
    listed = b"".join(n.encode() + b"\0" + struct.pack("<iB3xii", 1, 0, 1, 1) for n in names) + b"\0"
    box, whole = struct.pack("<4i", left, top, right, bottom), struct.pack("<4i", 0, 0, WIDTH - 1, HEIGHT - 1)
    head = struct.pack("<ii", 20000630, 2)
    head += attribute("channels", "chlist", listed)
    head += attribute("compression", "compression", b"\0")
    head += attribute("dataWindow", "box2i", box) + attribute("displayWindow", "box2i", whole)
    head += attribute("lineOrder", "lineOrder", b"\0") + attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
    head += attribute("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0))
    head += attribute("screenWindowWidth", "float", struct.pack("<f", 1)) + b"\0"
    size = len(names) * width * 2
    start = len(head) + 8 * len(rows)
    table = b"".join(struct.pack("<Q", start + i * (size + 8)) for i in range(len(rows)))
    lines = b"".join(
        struct.pack("<2i", y, size)
        + b"".join(struct.pack(f"<{width}e", *(channels[n](x, y) for x in range(left, right + 1))) for n in names)
        for y in rows
    )
    return head + table + lines


def splines() -> SplineSet:
    """The ring as two shapes of four points, keyed on the first, the middle and the last frame."""

    def key(frame: int, radius: float) -> SplineKey:
        x, k = centre_x(frame), radius * _HANDLE
        points = []
        for dx, dy in ((0, -1), (1, 0), (0, 1), (-1, 0)):
            px, py = x + radius * dx, CENTRE_Y + radius * dy
            points.append(SplinePoint(px, py, px + k * dy, py - k * dx, px - k * dy, py + k * dx))
        return SplineKey(frame, tuple(points))

    def shape(name: str, radius: float, cuts: Optional[str] = None) -> SplineShape:
        keys = tuple(key(frame, radius) for frame in (FIRST, (FIRST + LAST) // 2, LAST))
        return SplineShape(name, FIRST, LAST, keys, cuts)

    shapes = (shape("disc_1", RADIUS), shape("disc_1_hole1", HOLE, "disc_1"))
    item = SplineObject("disc", "the disc", shapes, SplineFit(0.1, FIRST, 1.0, 1.0))
    return SplineSet(WIDTH, HEIGHT, 1.0, "24/1", FIRST, LAST, 1.0, (item,))


def write_run(folder: Path) -> None:
    """A finished run with two objects, as the worker leaves it, and its plate in ``plate.####.exr``."""
    for part in ("mattes", "cryptomatte"):
        (folder / part).mkdir(parents=True)
    frames = []
    for frame in range(FIRST, EMPTY + 1):
        plate = {c: (lambda x, y, value=value: value) for c, value in zip("RGBA", PLATE)}
        (folder / f"plate.{frame}.exr").write_bytes(exr(plate))

        def one(x: int, y: int, frame: int = frame) -> float:
            return disc(frame, x, y)

        def two(x: int, y: int, frame: int = frame) -> float:
            return soft(frame, x, y)

        def union(x: int, y: int, frame: int = frame) -> float:
            return max(disc(frame, x, y), soft(frame, x, y))

        names = [f"mattes/disc_mattes.{frame}.exr", f"cryptomatte/disc_crypto.{frame}.exr"]
        (folder / names[0]).write_bytes(exr({"A": union, "disc.A": one, "soft.A": two}, crop=True))
        (folder / names[1]).write_bytes(exr({"A": union, **{f"sa2va00.{c}": one for c in "RGBA"}}))
        frames.append({"frame": frame, "files": names})
    objects = [{"name": n, "layer": n, "verdict": "found", "reason": ""} for n in ("disc", "soft")]
    (folder / "manifest.json").write_text(json.dumps({"frames": frames, "objects": objects, "warnings": []}), "utf-8")
    (folder / "splines.json").write_text(splines().to_json(), "utf-8")


class Report:
    """What was seen, check by check."""

    def __init__(self) -> None:
        self.checks: list[dict[str, Any]] = []
        self.dumps: dict[str, str] = {}

    def check(self, name: str, seen: Any, wanted: Any, within: float = 0.0) -> None:
        ok = abs(seen - wanted) <= within if within else seen == wanted
        self.checks.append({"check": name, "ok": bool(ok), "seen": str(seen), "wanted": str(wanted)})

    def dump(self, name: str, made: Callable[[], str]) -> None:
        """What Nuke makes of our nodes, for correcting what our tests believe. That it cannot be had is no failure."""
        try:
            self.dumps[name] = made()
        except Exception as error:  # noqa: BLE001
            self.dumps[name] = f"not to be had: {error}"

    def attempt(self, name: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001
            self.checks.append({"check": name, "ok": False, "seen": traceback.format_exc(), "wanted": "no exception"})

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(item["ok"] for item in self.checks)


def _points(frame: int) -> Iterator[tuple[int, int]]:
    """Pixels, y down: inside the hole, in the disc, around it, and in the corners; none within two pixels of an
    outline."""
    for x in range(3, WIDTH, 9):
        for y in range(3, HEIGHT, 9):
            if all(abs(_distance(frame, x, y) - radius) > 2 for radius in (RADIUS, HOLE)):
                yield x, y


def _compare(
    report: Report, node: Any, channel: str, frame: int, wanted: Callable[[int, int, int], float], within: float = 1e-3
) -> None:
    """The largest error of a channel over the sample points. Nuke's y is up, and pixel centres are at .5."""
    import nuke

    nuke.frame(frame)
    worst = max(abs(node.sample(channel, x + 0.5, HEIGHT - y - 0.5) - wanted(frame, x, y)) for x, y in _points(frame))
    report.check(f"{channel} of {node.name()} at {frame}: largest error", worst, 0, within)


def _union(frame: int, x: int, y: int) -> float:
    return max(disc(frame, x, y), soft(frame, x, y))


def _black(frame: int, x: int, y: int) -> float:
    return 0.0


def _knobs(node: Any) -> str:
    """A line a knob: its name, its class, the values that it has."""
    lines = []
    for name, knob in sorted(node.knobs().items()):
        values = knob.values() if hasattr(knob, "values") else ""
        lines.append(f"{name}: {knob.Class()} {values}".rstrip())
    return "\n".join(lines)


def _keyed_by_nuke() -> str:
    """How this Nuke writes a keyed shape that its own Python made: no such text was to be had when ours was written."""
    import nuke

    rotopaint: Any = importlib.import_module("nuke.rotopaint")
    roto: Any = nuke.nodes.Roto()
    try:
        curves = roto["curves"]
        shape = rotopaint.Shape(curves)
        corners = ((10, 10), (40, 10), (25, 40))
        for corner in corners:
            shape.append(corner)
        for step, frame in enumerate((FIRST, FIRST + 2, LAST)):
            for point, (x, y) in zip(shape, corners):
                point.center.addPositionKey(frame, (x + 7.5 * step, y))
        curves.rootLayer.append(shape)
        curves.changed()
        return curves.toScript()
    finally:
        nuke.delete(roto)


def run(folder: Path, report: Report) -> None:
    """All checks, in this Nuke. ``folder``: empty, for scratch files."""
    import nuke
    from sa2va_nuke import actions, knobs, mattes, results, scene

    write_run(folder)
    place = folder.as_posix()
    root = nuke.root()
    root["first_frame"].setValue(FIRST)
    root["last_frame"].setValue(EMPTY)
    read = nuke.nodes.Read(name="Plate", file=f"{place}/plate.####.exr", first=FIRST, last=EMPTY, raw=True)
    read.setSelected(True)
    node = actions.create()
    above = node.input(0)
    report.check("the node is fed by what was selected", above.name() if above else None, "Plate")

    def layers() -> None:
        node["result"].setValue("layers")
        results.use(node, mattes.read(place))
        for frame in (FIRST, LAST):
            _compare(report, node, "disc.alpha", frame, disc)
            _compare(report, node, "soft.alpha", frame, soft)
            _compare(report, node, "rgba.alpha", frame, _union)
            _compare(report, node, "rgba.red", frame, lambda frame, x, y: PLATE[0])
        for frame in (EMPTY, EMPTY + 5):
            _compare(report, node, "disc.alpha", frame, _black)
        _compare(report, node, "rgba.red", EMPTY, lambda frame, x, y: PLATE[0])
        for name in ("disc", "soft"):
            report.check(f"{name} is a layer", name in nuke.layers(node), True)
        node["premult"].setValue(True)
        _compare(report, node, "rgba.green", FIRST, lambda frame, x, y: PLATE[1] * _union(frame, x, y))
        node["premult"].setValue(False)
        node["alpha"].setValue(False)
        results.use(node, mattes.read(place))
        _compare(report, node, "rgba.alpha", FIRST, lambda frame, x, y: PLATE[3])
        _compare(report, node, "soft.alpha", FIRST, soft)
        node["alpha"].setValue(True)
        results.use(node, mattes.read(place))
        report.dump("knobs of Sa2VA", lambda: _knobs(node))
        report.dump("knobs of Copy", lambda: _knobs(node.node("Copy1")))

    def beside() -> None:
        node["result"].setValue("layers + Cryptomatte")
        results.use(node, mattes.read(place))
        crypto = nuke.toNode(f"{node.name()}_crypto")
        assert crypto is not None, "there is no Read of the Cryptomatte"
        report.check("the Cryptomatte has its layer", "sa2va00" in nuke.layers(crypto), True)
        nuke.delete(crypto)
        node["run"].setValue("")
        node["result"].setValue("files only")
        results.use(node, mattes.read(place))
        report.check("files only: the run is named", knobs.path(node, "run"), place)

    def rendered() -> None:
        write = nuke.nodes.Write(name="Out", inputs=[node], file=f"{place}/out.####.exr", file_type="exr", raw=True)
        write["channels"].setValue("all")
        report.dump("knobs of Write", lambda: _knobs(write))
        nuke.execute(write, FIRST, LAST)
        nuke.delete(write)
        back = nuke.nodes.Read(name="Back", file=f"{place}/out.####.exr", first=FIRST, last=LAST, raw=True)
        _compare(report, back, "disc.alpha", LAST, disc)
        nuke.delete(back)

    def roto() -> None:
        report.dump("Roto keyed by Nuke's own Python", _keyed_by_nuke)
        node["result"].setValue("layers + Roto")
        results.use(node, mattes.read(place))
        shape = nuke.toNode(f"{node.name()}_roto_1")
        assert shape is not None, "there is no Roto node"
        report.dump("Roto of three keys", lambda: shape["curves"].toScript())
        report.dump("knobs of Roto", lambda: _knobs(shape))
        for frame in range(FIRST, LAST + 1):
            _compare(report, shape, "rgba.alpha", frame, ring, 0.02)
        _compare(report, shape, "rgba.alpha", LAST + 2, _black)
        nuke.delete(shape)

    def by_path() -> None:
        shot = scene.read_shot(read, FIRST, LAST, nuke.views()[0], "")
        pattern = FramePattern.parse(shot.path)  # Nuke may write its #### as %04d
        first_file = pattern.path(FIRST) if pattern is not None else shot.path
        report.check("a Read goes by path", (first_file, shot.range), (f"{place}/plate.{FIRST}.exr", (FIRST, LAST)))
        report.dump("knobs of Read", lambda: _knobs(read))
        for mode, text, first in (("start at", "1", 1), ("offset", "-1000", FIRST - 1000)):
            read["frame_mode"].setValue(mode)
            read["frame"].setValue(text)
            report.check(f"where Nuke puts a clip with {mode} {text}", read.firstFrame(), first)
        read["frame_mode"].setValue("expression")
        read["frame"].setValue("")

    def by_render() -> None:
        management: Any = root["colorManagement"]
        was = management.value()
        grade = nuke.nodes.Grade(name="Effect", inputs=[read])
        try:
            for choice in management.values():
                management.setValue(choice)
                report.dump(f"colour in {choice}", lambda: repr(scene.colour()))
                shot = scene.rendered_shot(f"{place}/{choice}", FIRST, FIRST + 1, "")
                scene.render(grade, shot, nuke.views()[0])
                back = nuke.nodes.Read(name="Back", file=shot.path, first=FIRST, last=FIRST + 1, raw=True)
                for channel, value in zip(("red", "green", "blue"), PLATE):
                    _compare(report, back, f"rgba.{channel}", FIRST + 1, lambda frame, x, y, value=value: value)
                nuke.delete(back)
        finally:
            management.setValue(was)
            nuke.delete(grade)
        report.dump("knobs of Root", lambda: _knobs(root))

    def pasted() -> None:
        if edition() != "commercial":
            return  # a copy would make more than ten nodes
        for other in nuke.selectedNodes():
            other.setSelected(False)
        node.setSelected(True)
        nuke.nodeCopy(f"{place}/copied.nk")
        copy: Any = nuke.nodePaste(f"{place}/copied.nk")
        mine, its = (knobs.text(each, knobs.CLASS_KNOB) for each in (node, copy))
        report.check("a pasted copy is a node of its own", bool(its) and its != mine, True)
        nuke.delete(copy)

    def saved() -> None:
        # These editions save scripts of their own kind, which are not text.
        script = f"{place}/saved." + {"non-commercial": "nknc", "indie": "nkind"}.get(edition(), "nk")
        nuke.scriptSaveAs(script, 1)
        nuke.scriptClear()
        nuke.scriptOpen(script)
        again = nuke.toNode("Sa2VA1")
        report.check("the node is there after re-opening", knobs.is_sa2va(again), True)
        report.dump("saved.nk", lambda: Path(script).read_text("utf-8"))
        _compare(report, again, "disc.alpha", FIRST, disc)

    for check in (layers, beside, rendered, by_path, by_render, roto, pasted, saved):
        report.attempt(check.__name__, check)


def edition() -> str:
    import nuke

    found = [name for key, name in (("nc", "non-commercial"), ("indie", "indie")) if nuke.env.get(key)]
    return found[0] if found else "commercial"


def verdict(report: Report, about: Mapping[str, str]) -> str:
    """What to post: the version, the verdict, and what failed."""
    failed = [item for item in report.checks if not item["ok"]]
    lines = [
        f"Sa2VA Roto acceptance: {'PASS' if report.ok else 'FAIL'}",
        ", ".join(f"{key} {value}" for key, value in about.items()),
        f"{len(report.checks) - len(failed)} of {len(report.checks)} checks passed",
    ]
    lines += [f"FAIL  {item['check']}: {item['seen'].strip()}, not {item['wanted']}" for item in failed]
    return "```\n" + "\n".join(lines) + "\n```\n"


def write(text: str, wanted: Path) -> Path:
    """Keep a report, if need be elsewhere: Nuke may have been started in a folder that nobody can write to."""
    for place in (wanted, Path(tempfile.gettempdir()) / wanted.name):
        with contextlib.suppress(OSError):
            place.write_text(text, "utf-8")
            return place
    return Path("(the report cannot be written anywhere)")


def main(arguments: Sequence[str]) -> int:
    import nuke

    parser = argparse.ArgumentParser(prog="nuke -t acceptance.py")
    parser.add_argument("-o", "--output", default="sa2va_nuke_acceptance.json", metavar="FILE")
    output = Path(parser.parse_args(list(arguments)).output).absolute()
    report = Report()
    folder = Path(tempfile.mkdtemp(prefix="sa2va-acceptance-"))
    report.attempt("the checks as a whole", lambda: run(folder, report))
    about = {
        "Nuke": f"{nuke.NUKE_VERSION_STRING} {edition()}",
        "Python": sys.version.split()[0],
        "on": sys.platform,
        "Sa2VA Roto": _version(),
    }
    data = {"about": about, "ok": report.ok, "checks": report.checks, "dumps": report.dumps}
    kept = write(json.dumps(data, indent=1), output)
    said = "".join(f"{'pass' if item['ok'] else 'FAIL'}  {item['check']}\n" for item in report.checks)
    said += f"\nPost this block, and the file {kept}:\n\n" + verdict(report, about)
    # A terminal of Windows may know ASCII and little more.
    sys.stdout.write(said.encode("ascii", "backslashreplace").decode())
    sys.stdout.flush()
    # Nuke may hold files of it still, which Windows does not let go.
    shutil.rmtree(str(folder), ignore_errors=True)
    return 0 if report.ok else 1


def _version() -> str:
    import sa2va_nuke

    return sa2va_nuke.__version__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
