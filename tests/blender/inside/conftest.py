"""Inside Blender: the extension, installed from its zip by Blender's own operator, and an empty scene a test."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest

warnings.simplefilter("ignore", DeprecationWarning)
MODULE = "bl_ext.user_default.sa2va_roto"
STAGE = Path(os.environ["SA2VA_STAGE"])
FACTS = SimpleNamespace(**json.loads((STAGE / "stage.json").read_text()))
REPOSITORY = Path(os.environ["SA2VA_TEST_REPOSITORY"])
WORKER = [os.environ["SA2VA_WORKER_PYTHON"], str(REPOSITORY / "tests" / "worker" / "toy_worker.py")]


def pytest_configure(config):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="bl_pkg")
    (package,) = STAGE.glob("*.zip")
    bpy.ops.extensions.package_install_files(filepath=str(package), repo="user_default", enable_on_install=True)


def pytest_unconfigure(config):
    # Blender as a module hangs (4.5) or crashes (4.2) at exit with add-on classes registered.
    if MODULE in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_disable(module=MODULE)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(getattr(config, "exit_status", 1)))


def pytest_sessionfinish(session, exitstatus):
    session.config.exit_status = exitstatus


def part(name):
    """A module of the installed extension."""
    return importlib.import_module(f"{MODULE}.{name}")


def name_everywhere(scene):
    for workspace in bpy.data.workspaces:
        if hasattr(workspace, "sequencer_scene"):
            workspace.sequencer_scene = scene


@pytest.fixture
def scene(tmp_path, monkeypatch):
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True, load_ui=False)
    found = bpy.context.scene
    name_everywhere(found)
    render = found.render
    render.fps, render.fps_base = 24, 1.0
    render.resolution_x, render.resolution_y, render.resolution_percentage = FACTS.width, FACTS.height, 100
    render.dither_intensity = 0.0
    found.view_settings.view_transform = "Standard"
    found.frame_start, found.frame_end = 1, FACTS.frames
    editor = found.sequence_editor_create()
    if hasattr(editor, "show_missing_media"):
        editor.show_missing_media = False
    return found


@pytest.fixture
def host(tmp_path, monkeypatch):
    """The extension's host with a worker of its own; at the end the worker is ended."""
    control = tmp_path / "control"
    control.mkdir()
    monkeypatch.setenv("SA2VA_TEST_CONTROL", str(control))
    one = part("host").HOST
    one.detach()
    line = one.worker
    line.command, line.folder, line.engines = WORKER, str(tmp_path / "worker"), None
    part("properties").set_engines([("starter", "Starter", ""), ("sa2va", "Sa2VA", ""), ("brightness", "Test", "")])
    yield one
    one.detach()
    end_worker(line.folder)


def end_worker(folder):
    from sa2va_plugin import connection

    found = connection.read_connection(folder)
    if found is not None:
        with contextlib.suppress(ProcessLookupError):  # a test has ended it
            os.kill(found.pid, 9)


def run_job(host, target, seconds=60):
    """Press Generate and wait; returns what the panel says then."""
    host.start(target)
    return finish(host, seconds)


def finish(host, seconds=60):
    deadline = time.monotonic() + seconds
    while not host.idle:
        assert time.monotonic() < deadline, (host.text, host.notice)
        host.tick()
        if host.offers_go_on:
            break
        time.sleep(0.02)
    return host.notice


def new_image(scene, files, channel, frame, name="clip"):
    compat = part("compat")
    strip = compat.new_strips(scene).new_image(name, str(files[0]), channel, frame)
    for path in files[1:]:
        strip.elements.append(Path(path).name)
    compat.set_length(strip, len(files))
    return strip


def new_sound(scene):
    """A sound strip, and the scene that it is in: a module without sound cannot make one, but opens a file with one."""
    try:
        return scene, part("compat").new_strips(scene).new_sound("sound", str(STAGE / "silence.wav"), 1, 1)
    except RuntimeError:
        made = STAGE / "sound.blend"
        if not made.exists():
            pytest.skip("this module has no sound, and there is none that has")
        bpy.ops.wm.open_mainfile(filepath=str(made), load_ui=False)
        name_everywhere(bpy.context.scene)
        return bpy.context.scene, part("compat").strips(bpy.context.scene)[0]


def white_files():
    return sorted((STAGE / "white").glob("*.png"))


def still_files():
    return [STAGE / "stills" / f"shot.{1000 + n}.png" for n in range(1, FACTS.frames + 1)]


def black_below(scene):
    strips = part("compat").new_strips(scene)
    try:
        strip = strips.new_effect("black", "COLOR", 1, 1, frame_end=200)
    except TypeError:
        strip = strips.new_effect("black", "COLOR", 1, 1, length=200)
    strip.color = (0, 0, 0)


def render(scene, frame, folder, sequencer=True):
    """One frame through Blender's render, as float RGBA (H, W, 4), 0..1, as stored, top row first."""
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "PNG", "RGBA", "8"
    scene.render.use_sequencer, scene.render.use_compositing = sequencer, not sequencer
    scene.render.film_transparent = True
    scene.frame_set(frame)
    path = Path(folder) / f"render_{frame}.png"
    path.unlink(missing_ok=True)
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True, scene=scene.name)
    return picture_of(path)


def picture_of(path):
    """A stored picture as float RGBA (H, W, 4), 0..1, as stored, top row first."""
    image = bpy.data.images.load(str(path), check_existing=False)
    image.colorspace_settings.name, image.alpha_mode = "Non-Color", "CHANNEL_PACKED"
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, 4)[::-1]


def number_in(picture):
    """The number that a numbered picture shows."""
    number, width = 0, picture.shape[1] // FACTS.bits
    for bit in range(FACTS.bits):
        block = picture[20:-20, bit * width + 6 : (bit + 1) * width - 6, :3]
        number = number << 1 | int(block.mean() > 0.5)
    return number


def disc(number):
    rows, columns = np.mgrid[0 : FACTS.height, 0 : FACTS.width]
    return (np.hypot(columns - 40 - 4 * number, rows - 54) < 20.2).astype(np.float32)


def ramp():
    plane = np.tile(np.linspace(0, 1, FACTS.width, dtype=np.float32), (FACTS.height, 1))
    plane[: FACTS.height // 2] = 0.5
    return plane


def iou(a, b):
    a, b = a > 0.5, b > 0.5
    return (a & b).sum() / (a | b).sum()
