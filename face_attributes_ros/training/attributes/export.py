# SPDX-License-Identifier: Apache-2.0
"""Calibrate a trained attribute network on val and export it to ONNX, checked against torch before
it is written.

    face-attributes export attributes --weights runs/m/attributes.safetensors --data DIR \\
        --out models/attributes_m.onnx --size 80 --manifest models/manifest.toml --torch

The file takes `image`, uint8 (B, S, S, 3) BGR, and gives the outputs of `AttributeEstimator` by
name. Batch norm and identity branches are folded into the kernels, temperatures into the graph;
what went in is in the file's metadata. Weights are stored as fp16 and cast to fp32 when the file
is loaded; `--fp32` keeps them whole.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from face_attributes_ros.engines.models import file_sha256
from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.attributes import OUTPUTS, Shipped
from face_attributes_ros.networks.bodies import AttributeNet
from face_attributes_ros.networks.compact import multiply_adds
from face_attributes_ros.training.attributes.calibration import shifted
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_listed_pack, read_pack
from face_attributes_ros.training.attributes.data.tables import table_of
from face_attributes_ros.training.attributes.fit import calibrate, fit_offsets
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.attributes.predict import whole_crops
from face_attributes_ros.training.attributes.torch_file import save_torch
from face_attributes_ros.training.common.files import write
from face_attributes_ros.training.common.manifest_table import put_table
from face_attributes_ros.training.common.onnx_file import note, traced

if TYPE_CHECKING:
    from onnx import ModelProto

LARGEST_DIFFERENCE = {'fp32': 1e-4, 'fp16': 0.02}
LICENCE = (
    'Apache-2.0 code; weights for research only: the terms of UTKFace, FER+, GENKI-4K, YouTube '
    'Faces, LFW, KDEF, CFD, IMFDB, All-Age-Faces and Adience allow no other, and effectnet states '
    'none. Taught by face-api.js (MIT) and FaceRes (MIT package; its VGGFace2 pictures were for '
    'research)')
TRAINED_ON = (
    'UTKFace, FairFace, FER+ (FER2013), effectnet, LFW, GENKI-4K, YouTube Faces key points; '
    'acted expressions of KDEF, SFEW, IMFDB, stock and web pictures, neutral faces of CFD; '
    'ages of All-Age-Faces, of a part of Adience and of Indian school children; '
    'faceless squares of detection sets; answers of face-api.js (expressions) and of a reader of '
    'FaceRes (ages, genders) on all of them')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `export attributes`."""
    parser.add_argument('--weights', type=Path, required=True,
                        help='attributes.safetensors of a training run')
    parser.add_argument('--data', type=Path, required=True,
                        help='folder of labels.csv; its val split calibrates')
    parser.add_argument('--full', type=Path,
                        help='folder of an ages_more pack, whose val split calibrates, too')
    parser.add_argument('--out', type=Path, required=True, help='the .onnx file to write')
    parser.add_argument('--size', type=int,
                        help='crop side in pixels; the last one trained at where not given')
    parser.add_argument('--manifest', type=Path,
                        help='manifest.toml to write the table [models.STEM] into')
    parser.add_argument('--crop-scale', type=float, default=0.9,
                        help="crop's side over the detector box's longer side")
    parser.add_argument('--fp32', action='store_true',
                        help='store weights as fp32 instead of fp16')
    parser.add_argument('--torch', action='store_true',
                        help='also write OUT with the suffix .safetensors, fp16, calibrated')


@torch.no_grad()
def run_torch(module: Shipped, crops: np.ndarray, batch: int = 128) -> dict[str, np.ndarray]:
    """{output: array} of a `Shipped` module over uint8 crops (N, S, S, 3)."""
    parts = [module(torch.from_numpy(np.array(crops[start:start + batch])))
             for start in range(0, len(crops), batch)]
    columns = zip(*parts, strict=True)
    return {name: torch.cat(column).numpy() for name, column in zip(OUTPUTS, columns, strict=True)}


def run(args: argparse.Namespace) -> int:
    """Calibrates, exports, compares, writes and prints a JSON line; the exit status."""
    print(json.dumps(export(args)))
    return 0


def export(args: argparse.Namespace) -> dict[str, Any]:
    """Writes the file, and the manifest's table where one is named; returns what was measured."""
    network, metadata = load_network(args.weights)
    size = args.size or metadata['size']
    temperatures, thresholds, offsets, crops = fitted(network, args.data, size, args.full)
    shipped = Shipped(network, temperatures, offsets)
    model = to_onnx(shipped, size, half=not args.fp32)
    note(model, {'temperatures': temperatures, 'offsets': offsets, 'input_px': size,
                 'step': metadata['step'], 'seed': metadata['seed'],
                 'data': metadata['data'], 'network': metadata['network']})
    difference = compare(shipped, model.SerializeToString(), crops[:64])
    limit = LARGEST_DIFFERENCE['fp32' if args.fp32 else 'fp16']
    if max(difference.values()) > limit:
        raise ModelError(f'{args.out} is not written: ONNX differs from torch by {difference}, '
                         f'allowed {limit}')
    write(args.out, model.SerializeToString())
    entry = manifest_entry(args, network, size, thresholds)
    if args.torch:
        entry |= save_torch(args.weights, args.out.with_suffix('.safetensors'), temperatures,
                            offsets)
    if args.manifest:
        put_table(args.manifest, args.out.stem, entry)
    return {**entry, 'bytes': args.out.stat().st_size, 'temperatures': temperatures,
            'offsets': offsets, 'difference': difference}


def fitted(network: AttributeNet, data: Path, size: int, full: Path | None = None) -> tuple[
        dict[str, float], dict[str, float], dict[str, list[float]], np.ndarray]:
    """(temperatures, thresholds, offsets, crops) of val: what the export folds in, and the
    pictures it was fitted on."""
    samples = read_pack(data, ('val',))
    samples += read_listed_pack(full, 'ages', 'val') if full else []
    table = table_of(samples)
    crops = whole_crops([read_picture(image) for image in table.images], size)
    outputs = run_torch(Shipped(network), crops)
    offsets = fit_offsets(outputs, table.labels, table.sources)
    outputs |= {head: shifted(outputs[head], np.array(offset)) for head, offset in offsets.items()}
    return *calibrate(outputs, table.labels, table.sources), offsets, crops


def manifest_entry(args: argparse.Namespace, network: AttributeNet, size: int,
                   thresholds: dict[str, float]) -> dict[str, Any]:
    """The model's table, without figures: `evaluate attributes` measures them."""
    return {
        'task': 'attributes', 'file': args.out.name, 'sha256': file_sha256(args.out),
        'licence': LICENCE, 'data': TRAINED_ON, 'input_px': size, 'crop_scale': args.crop_scale,
        'thresholds': {
            name: round(thresholds[name], 4)
            for name in ('gender', 'expression')
            if name in thresholds
        }, 'metrics': {'multiply_adds': multiply_adds(network, size)}
    }


def to_onnx(shipped: Shipped, size: int, half: bool = True) -> ModelProto:
    """The module as an ONNX model with a dynamic batch."""
    axes = {name: {0: 'batch'} for name in ('image', *OUTPUTS)}
    return traced(shipped, torch.zeros(2, size, size, 3, dtype=torch.uint8), OUTPUTS, axes, half)


def compare(shipped: Shipped, onnx_bytes: bytes, crops: np.ndarray) -> dict[str, float]:
    """{output: largest difference} between ONNX Runtime and torch; angles in radians, the rest in
    its own unit.
    """
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx_bytes, options, providers=['CPUExecutionProvider'])
    ours = session.run(list(OUTPUTS), {'image': np.array(crops)})
    theirs = run_torch(shipped, crops)
    return {name: round(float(np.abs(array - theirs[name]).max()), 6)
            for name, array in zip(OUTPUTS, ours, strict=True)}
