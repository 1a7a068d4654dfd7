"""The suite that every adapter must pass, on the real panel, timer and file of this Blender."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import bpy
from conftest import WORKER, name_everywhere, new_image, part
from sa2va_plugin.conformance import AdapterConformance, HostUnderTest
from sa2va_plugin.naming import FramePattern


class BlenderHost(HostUnderTest):
    def __init__(self, folder, command, document=None):
        self._host = part("host").HOST
        self._host.detach()
        self._host.worker.command, self._host.worker.folder = list(command), folder
        self._host.worker.engines = None
        if document:
            bpy.ops.wm.open_mainfile(filepath=document)
        else:
            bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True, load_ui=False)
            path = Path(folder).parent / "shot.blend"
            bpy.ops.wm.save_as_mainfile(filepath=str(path))
        part("properties").set_engines([("starter", "", ""), ("sa2va", "", ""), ("brightness", "Test", "")])
        name_everywhere(self._scene)

    @property
    def _scene(self):
        return bpy.context.scene

    @property
    def _strip(self):
        found = [s for s in part("compat").strips(self._scene) if not s.sa2va.matte_of]
        return found[0] if found else None

    def fill_in(self, plate, name, phrase, folder, engine):
        pattern = FramePattern.parse(plate)
        parent = Path(plate).parent
        files = sorted(parent.glob("*.png")) if parent.is_dir() else [Path(pattern.path(n)) for n in range(1001, 1013)]
        strips = part("compat").new_strips(self._scene)
        for strip in list(strips):
            strips.remove(strip)
        strip = new_image(self._scene, files, 1, 1)
        item = part("properties").add_object(strip.sa2va, phrase, name)
        item.phrase = phrase
        strip.sa2va.engine = engine
        # Results lie beside the file; the suite looks in a folder of its own.
        part("machine").preferences().scratch = folder
        part("order").results_root = lambda blend: Path(folder)

    def press_run(self):
        try:
            self._host.start(part("targets").StripTarget(self._scene, self._strip))
        except part("sa2va_plugin.errors").Sa2vaError as error:
            if not self._host.busy:
                self._host.notice = ("ERROR", error.message, error.hint)

    def press_cancel(self):
        self._host.cancel()

    def press_go_on(self):
        self._host.go_on()

    def tick(self):
        self._host.tick()

    @property
    def busy(self):
        return self._host.busy

    @property
    def offers_go_on(self):
        return self._host.offers_go_on

    @property
    def shown(self):
        return "\n".join((self._host.text, *self._host.notice[1:]))

    @property
    def mattes(self):
        found = []
        for strip in part("compat").strips(self._scene):
            if strip.sa2va.matte_of:
                name = strip.elements[0].filename
                pattern = name[: -len("1001.exr")] + "####.exr"
                found.append(str(Path(os.path.normpath(bpy.path.abspath(strip.directory)), pattern)))
        return found

    def close(self):
        if bpy.data.filepath and Path(bpy.data.filepath).parent.is_dir():
            bpy.ops.wm.save_mainfile()
        path = bpy.data.filepath
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True, load_ui=False)
        return path


class TestBlender(AdapterConformance):
    __test__ = True
    command = WORKER
    engine, phrase, frames = "brightness", "the light", 20

    def setUp(self):
        self.control = Path(tempfile.mkdtemp())
        os.environ["SA2VA_TEST_CONTROL"] = str(self.control)
        self._root = part("order").results_root
        super().setUp()

    def tearDown(self):
        part("order").results_root = self._root
        part("machine").preferences().scratch = ""
        self._end_worker()

    def open_host(self, folder, command, document=None):
        return BlenderHost(folder, command, document)

    def make_jobs_slow(self, slow):
        (self.control / "delay").write_text("0.2" if slow else "0")
