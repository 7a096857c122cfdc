# SPDX-License-Identifier: Apache-2.0
"""Export a trained detector to ONNX, checked against torch before it is written.

    face-attributes export detector --weights runs/tiny/detector.safetensors \\
        --out models/detector_tiny.onnx

The file takes `image`, uint8 (B, H, W, 3) BGR, H and W any multiple of 32, and gives `detections`,
float32 (B, N, 5): x0, y0, x1, y1 in network pixels and a score, before non-maximum suppression.
Weights are rounded to fp16 (half the size) before batch norms are folded, and once folded; they
are cast to fp32 when a file is loaded, so that the torch file of `--torch` and the ONNX file hold
the same numbers. `--fp32` keeps them whole. OpenVINO and TensorRT read the same file
(docs/training_detector.md); the check runs in ONNX Runtime and, where installed, in OpenVINO.
"""
from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import file_sha256
from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import ContractDetector
from face_attributes_ros.networks.yolov3 import load_detector
from face_attributes_ros.training.common.checkpoint import half as halves
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors
from face_attributes_ros.training.common.files import part_of
from face_attributes_ros.training.common.manifest_table import put_table
from face_attributes_ros.training.common.onnx_file import installed, traced
from face_attributes_ros.training.detector.losses import OUR_LOSS

if TYPE_CHECKING:
    from onnx import ModelProto

SHAPES = (
    (1, 64, 96), (2, 256, 448), (1, 448, 448))  # (B, H, W) at which the file must agree with torch
LARGEST_DIFFERENCE = (0.01, 1e-4)  # boxes in px, scores
LICENCE = (
    'Research only: trained on images for research or of unstated licence (models/README.md). '
    'Our code Apache-2.0')
AFTER_ULTRALYTICS = '; trained, at first at least, with the loss of ultralytics, AGPL-3.0'
TRAINED_ON = (
    'face_detection pack: 3,396 of its 3,659 training images (FDDB, two mask sets, SaltyFish, '
    'face-free pictures)')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `export detector`."""
    parser.add_argument('--weights', type=Path, required=True,
                        help='detector.safetensors of a training run')
    parser.add_argument('--out', type=Path, required=True, help='the .onnx file to write')
    parser.add_argument('--fp32', action='store_true',
                        help='store weights as fp32 instead of fp16')
    parser.add_argument('--torch', action='store_true',
                        help='also write OUT with the suffix .safetensors, fp16')
    parser.add_argument('--manifest', type=Path,
                        help='manifest.toml to write the table [models.STEM] into')
    parser.add_argument('--input-px', type=int, default=448,
                        help='longest canvas side, chosen on val')
    parser.add_argument('--trained-on', default=TRAINED_ON, help="the manifest's word of the data")


def run(args: argparse.Namespace) -> int:
    """Exports, compares, writes and prints a line of JSON with the differences; returns the exit
    status."""
    report = export(args.weights, args.out, half=not args.fp32)
    if args.torch:
        report |= save_half(args.weights, args.out.with_suffix('.safetensors'))
    if args.manifest:
        put_table(args.manifest, args.out.stem, manifest_entry(args, report))
    print(json.dumps(report))
    return 0


def export(weights: Path, out: Path, half: bool = True) -> dict[str, Any]:
    """Writes `out` and returns its sha256, size and largest differences from torch in each
    installed runtime."""
    out, detector = Path(out), exported_detector(weights, half)
    part = part_of(out)
    try:
        part.write_bytes(to_onnx(detector, half).SerializeToString())
        differences = {backend: compare(detector, part, backend) for backend in installed()}
        _check(differences, out)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return {'file': str(out), 'sha256': file_sha256(out), 'bytes': out.stat().st_size,
            'differences': differences}


def exported_detector(weights: Path, half: bool) -> ContractDetector:
    """The detector with the numbers that its files will hold."""
    if not half:
        return load_detector(weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'half.safetensors'
        save_half(weights, path)
        return load_detector(path)


def save_half(weights: Path, out: Path) -> dict[str, str]:
    """Writes the weights in fp16, with their model table, for the torch path; returns name and
    sha256."""
    tensors, metadata = load_tensors(weights)
    save_tensors(out, halves(tensors), metadata)
    return {'torch_file': str(out), 'torch_sha256': file_sha256(out)}


def manifest_entry(args: argparse.Namespace, report: Mapping[str, Any]) -> dict[str, Any]:
    """The model's table, without figures: `evaluate detector --write-metrics` measures them and
    sets the threshold."""
    torch_copy = {
        key: Path(report[key]).name for key in ('torch_file', 'torch_sha256') if key in report
    }
    network = load_detector(args.weights).network
    ours = load_tensors(args.weights)[1].get('loss') == OUR_LOSS
    return {
        'task': 'detector', 'file': args.out.name, 'sha256': report['sha256'],
        'licence': LICENCE if ours else LICENCE + AFTER_ULTRALYTICS,
        'data': args.trained_on, **torch_copy, 'input_px': args.input_px,
        'thresholds': {'score': 0.5},
        'metrics': {
            'gflops_448': gflops(network, 448),
            'parameters': sum(p.numel() for p in network.parameters())
        }
    }


@torch.no_grad()
def gflops(network: nn.Module, side: int) -> float:
    """2 x multiply-adds of all convolutions for one square picture of `side` pixels, in
    billions."""
    found: list[float] = []

    def count(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        found.append(2 * output[0].numel() * module.get_parameter('weight')[0].numel() / 1e9)

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return round(sum(found), 2)


def _check(differences: Mapping[str, Mapping[str, float]], out: Path) -> None:
    box_limit, score_limit = LARGEST_DIFFERENCE
    for backend, found in differences.items():
        if found['box_px'] > box_limit or found['score'] > score_limit:
            raise ModelError(
                f'{out} is not written: {backend} differs from torch by {found["box_px"]} px '
                f'and {found["score"]} in score, allowed {box_limit} and {score_limit}')


def to_onnx(detector: ContractDetector, half: bool) -> ModelProto:
    """The detector as an ONNX model with dynamic batch, height and width."""
    axes = {'image': {0: 'batch', 1: 'height', 2: 'width'}, 'detections': {0: 'batch', 1: 'boxes'}}
    return traced(detector, torch.zeros(1, 64, 96, 3, dtype=torch.uint8), ['detections'], axes,
                  half)


def compare(detector: ContractDetector, path: Path, backend: str) -> dict[str, float]:
    """Largest difference between a runtime in fp32 and torch over `SHAPES`: boxes in px, and
    scores."""
    network = open_network(path, backend=backend, device='cpu', precision='fp32', threads=1)
    rng, box_px, score = np.random.default_rng(0), 0.0, 0.0
    for shape in SHAPES:
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        ours, theirs = network(image)[0], detector(torch.from_numpy(image)).numpy()
        if ours.shape != theirs.shape:
            raise ModelError(
                f'{backend} gives {ours.shape} for input {image.shape}, torch {theirs.shape}')
        apart = np.abs(ours - theirs).max((0, 1))
        box_px, score = max(box_px, float(apart[:4].max())), max(score, float(apart[4]))
    return {'box_px': round(box_px, 5), 'score': round(score, 6)}
