"""Leave Blender as a user does, with the extension on: ``leave.py WHEN``, after a job or while one runs.

Pytest is no part of it: the tests end it in a way of their own.
"""

import os
import sys
import time
from pathlib import Path

import bpy
from conftest import MODULE, WORKER, name_everywhere, new_image, part, pytest_configure, white_files

WHEN = sys.argv[1]

pytest_configure(None)
assert MODULE in bpy.context.preferences.addons
scene = bpy.context.scene
name_everywhere(scene)
scene.sequence_editor_create()
strip = new_image(scene, white_files()[:6], 1, 1)
bpy.ops.wm.save_as_mainfile(filepath=str(Path(os.environ["SA2VA_TEST_CONTROL"]) / "shot.blend"))
host = part("host").HOST
host.worker.command = WORKER
host.worker.folder = os.environ["SA2VA_TEST_FOLDER"]
part("properties").set_engines([("brightness", "Test", "")])
scene = bpy.context.scene
target = part("targets").StripTarget(scene, part("compat").strips(scene)["clip"])
part("properties").add_object(target.claim(), "the light")
target.settings.engine = "brightness"
host.start(target)
part("handlers").wake()
while host.busy and not (WHEN == "busy" and host.fraction is not None):
    host.tick()
    time.sleep(0.02)
assert host.busy == (WHEN == "busy"), host.notice
assert WHEN == "busy" or host.notice[1] == "Done.", host.notice
print("leaving", flush=True)
