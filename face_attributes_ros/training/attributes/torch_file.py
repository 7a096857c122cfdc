# SPDX-License-Identifier: Apache-2.0
"""The shipped attribute network for the torch path: weights in fp16 with the calibration of an
exported ONNX file.

    python -m face_attributes_ros.training.attributes.torch_file \\
        --weights runs/m/attributes.safetensors --onnx models/attributes_m.onnx \\
        --manifest models/manifest.toml

writes models/attributes_m.safetensors and enters its name and checksum in the manifest. `export
attributes --torch` does the same in one go; this command is for an ONNX file that was exported
without it. `--weights` may be the file that it replaces.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from face_attributes_ros.engines.models import file_sha256, load_manifest
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.training.common.checkpoint import half, load_tensors, save_tensors
from face_attributes_ros.training.common.manifest_table import model_table, put_table
from face_attributes_ros.training.common.onnx_file import notes_of


def save_torch(weights: Path, out: Path, temperatures: Mapping[str, float],
               offsets: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Writes `out` and returns the manifest's entries for it: {'torch_file', 'torch_sha256'}."""
    tensors, metadata = load_tensors(weights)
    if 'network' not in metadata:
        raise DataError(f'{weights} holds no attribute network')
    calibration = {'temperatures': temperatures, 'offsets': offsets}
    save_tensors(out, half(tensors), metadata | {'calibration': calibration})
    return {'torch_file': out.name, 'torch_sha256': file_sha256(out)}


def calibration_of(onnx_path: Path) -> tuple[dict[str, float], dict[str, list[float]]]:
    """(temperatures, offsets) by head that `export attributes` folded into an ONNX file."""
    notes = notes_of(onnx_path)
    if not {'temperatures', 'offsets'} <= set(notes):
        raise ModelError(f'{onnx_path} does not say how it was calibrated: was it written by '
                         'export attributes, and not by an old version?')
    return notes['temperatures'], notes['offsets']


def main(arguments: Sequence[str] | None = None) -> int:
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
    put_table(args.manifest, name, model_table(args.manifest, name) | entries)
    print(json.dumps(entries))
    return 0


if __name__ == '__main__':
    sys.exit(main())
