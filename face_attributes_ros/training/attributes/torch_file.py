# SPDX-License-Identifier: Apache-2.0
"""The shipped attribute network for the torch path: weights in fp16 with the calibration of an
exported ONNX file.

    python -m face_attributes_ros.training.attributes.torch_file --weights
    runs/m/attributes.safetensors \\
        --onnx models/attributes_m.onnx --manifest models/manifest.toml

writes models/attributes_m.safetensors and enters its name and checksum in the manifest. `export
attributes --torch` does the same in one go; this command is for an ONNX file that was exported
without it. `--weights` may be the file that it replaces.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from face_attributes_ros.engines.models import file_sha256, load_manifest, tomllib
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors
from face_attributes_ros.training.common.manifest_table import put_table


def save_torch(weights, out, temperatures, offsets):
    """Writes `out` and returns the manifest's entries for it: {'torch_file', 'torch_sha256'}."""
    tensors, metadata = load_tensors(weights)
    if 'network' not in metadata:
        raise DataError(f'{weights} holds no attribute network')
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    calibration = {'temperatures': temperatures, 'offsets': offsets}
    save_tensors(out, halves, metadata | {'calibration': calibration})
    return {'torch_file': out.name, 'torch_sha256': file_sha256(out)}


def calibration_of(onnx_path):
    """(temperatures, offsets) by head that `export attributes` folded into an ONNX file."""
    import onnx
    notes = {
        prop.key: prop.value
        for prop in onnx.load(str(onnx_path), load_external_data=False).metadata_props
    }
    if not {'temperatures', 'offsets'} <= set(notes):
        raise ModelError(
            f'{onnx_path} does not say how it was calibrated: was it written by export attributes, and not by an old version?'
        )
    return json.loads(notes['temperatures']), json.loads(notes['offsets'])


def main(arguments=None):
    """Writes the file and the manifest's entry; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--weights', type=Path, required=True,
                        help='safetensors of the training run that was exported')
    parser.add_argument('--onnx', type=Path, required=True,
                        help='the exported file; the new one lies beside it')
    parser.add_argument('--manifest', type=Path, required=True,
                        help='manifest.toml that has the exported file')
    args = parser.parse_args(arguments)
    name = next((name for name, model in load_manifest(args.manifest).items()
                 if model.path.name == args.onnx.name), None)
    if name is None:
        raise ModelError(f'{args.manifest} has no model whose file is {args.onnx.name}')
    entries = save_torch(args.weights, args.onnx.with_suffix('.safetensors'),
                         *calibration_of(args.onnx))
    with open(args.manifest, 'rb') as file:
        put_table(args.manifest, name, tomllib.load(file)['models'][name] | entries)
    print(json.dumps(entries))
    return 0


if __name__ == '__main__':
    sys.exit(main())
