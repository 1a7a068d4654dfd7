"""Run by Blender's Python (bpy): pick names from a Cryptomatte file with Blender's own node, as a user would.

Usage: blender_picks.py FILE WIDTH HEIGHT OUTPUT_FOLDER PICK..., where a pick is what is typed into the node's Matte ID
field. Writes ``0.exr``, ``1.exr``, ...: the node's Matte socket, 32-bit float.
"""

import sys

import bpy  # pyright: ignore[reportMissingImports]

path, width, height, folder, *picks = sys.argv[1:]
scene = bpy.context.scene
image = bpy.data.images.load(path)
scene.render.resolution_x, scene.render.resolution_y = int(width), int(height)
scene.render.resolution_percentage = 100
scene.render.use_sequencer = False
settings = scene.render.image_settings
settings.file_format = "OPEN_EXR"
settings.color_mode = "RGBA"
settings.color_depth = "32"
scene.view_settings.view_transform = "Raw"

if hasattr(scene, "compositing_node_group"):  # 5.0 on
    tree = bpy.data.node_groups.new("picks", "CompositorNodeTree")
    scene.compositing_node_group = tree
    tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    result = tree.nodes.new("NodeGroupOutput")
else:
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    result = tree.nodes.new("CompositorNodeComposite")

node = tree.nodes.new("CompositorNodeCryptomatteV2")
node.source = "IMAGE"
node.image = image
tree.links.new(node.outputs["Matte"], result.inputs[0])
scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
scene.collection.objects.link(scene.camera)
sys.stdout.write(f"LAYER {node.layer_name}\n")

for number, pick in enumerate(picks):
    node.matte_id = pick
    scene.render.filepath = f"{folder}/{number}.exr"
    bpy.ops.render.render(write_still=True)
