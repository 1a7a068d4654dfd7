"""Run by every Nuke that has this folder in NUKE_PATH or nuke.pluginAddPath, also on the farm.

There is nothing to do: either of the two has put the folder on sys.path, and rendering needs no code of ours.
"""
