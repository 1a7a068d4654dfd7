"""A bundle as ``deadline bundle submit`` reads it before it talks to AWS; prints it as JSON. Runs in managers.py's."""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
import sys
from pathlib import Path

from deadline.client.job_bundle.loader import read_yaml_or_json_object, validate_directory_symlink_containment
from deadline.client.job_bundle.parameters import (
    apply_job_parameters,
    merge_queue_job_parameters,
    read_job_bundle_parameters,
)
from deadline.client.job_bundle.submission import AssetReferences, split_parameter_args
from deadline.job_attachments.upload import S3AssetManager

bundle = sys.argv[1]
validate_directory_symlink_containment(bundle)
assets = AssetReferences.from_dict(read_yaml_or_json_object(bundle, "asset_references", required=False))
definitions = read_job_bundle_parameters(bundle)
parameters = merge_queue_job_parameters(queue_id="", job_parameters=definitions, queue_parameters=[])
apply_job_parameters([], bundle, parameters, assets)
folders = [path for path in map(Path, assets.input_directories) for path in path.rglob("*") if path.is_file()]
upload = S3AssetManager().prepare_paths_for_upload(
    sorted(assets.input_filenames | set(map(str, folders))),
    sorted(assets.output_directories),
    sorted(assets.referenced_paths),
    require_paths_exist=True,
)
told = {
    "parameters": split_parameter_args(parameters, bundle)[1],
    "inputs": sorted(str(path) for group in upload.asset_groups for path in group.inputs),
    "outputs": sorted(str(path) for group in upload.asset_groups for path in group.outputs),
}
sys.stdout.write(json.dumps(told))
