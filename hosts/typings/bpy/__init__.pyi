# Blender's API as "anything": published stubs cover one version each and disagree with the four others we run on.
from typing import Any

from . import app as app
from . import utils as utils

context: Any
data: Any
ops: Any
path: Any

types: Any
