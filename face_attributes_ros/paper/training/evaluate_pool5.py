# SPDX-License-Identifier: Apache-2.0
"""Algorithm 2 of the paper on JAFFE: grey, detect, crop, features of a convolutional network,
support vector machine.

    face-attributes evaluate pool5 --data jaffe                                       # the \
        trunk of our attribute network
    face-attributes evaluate pool5 --data jaffe --trunk pixels                        # no network
    face-attributes evaluate pool5 --data jaffe --trunk lite0 --weights lite0.safetensors \
        --teach DIR                             # and a machine taught on FER+, judged on JAFFE
    face-attributes evaluate pool5 --data jaffe --trunk caffenet --weights caffenet.safetensors
    face-attributes evaluate pool5 --data jaffe --save ~/paper_weights/pool5_svm.safetensors

`jaffe` is a folder of the pictures or a zip of them; with `--crops` they are faces cut out
already, and nothing is detected. Weights are yours to supply for caffenet (tensors `conv1.weight`
... `conv5.bias`), alexnet (torchvision's names), lite0 and faceres (`paper.stand_ins` says whose).
DIR holds `labels.csv` and its zips. Figures go to a JSON file, the confusion matrix of
leave-one-subject-out to a PNG.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import ModelError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.paper.models import COMPACT_M
from face_attributes_ros.paper.pool5 import TRUNKS, Features, Trunk, load_trunk, new_trunk
from face_attributes_ros.paper.training.jaffe import (
    Portrait,
    face_crops,
    grey_pictures,
    labels,
    read_portraits,
)
from face_attributes_ros.paper.training.pool5_svm import (
    KERNELS,
    PROTOCOLS,
    fit_head,
    scores_by_kernel,
    summary,
)
from face_attributes_ros.paper.training.pool5_transfer import (
    neighbours,
    read_faces,
    transferred,
)
from face_attributes_ros.paper.training.results import record
from face_attributes_ros.training.attributes.probe import exported
from face_attributes_ros.training.common.checkpoint import save_tensors
from face_attributes_ros.training.common.plots import plot_confusion
from face_attributes_ros.weights import read_weights

CROP_PX = 128
_BATCH = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `evaluate pool5`."""
    add_feature_arguments(parser)
    parser.add_argument('--protocol', nargs='+', choices=PROTOCOLS, default=PROTOCOLS,
                        metavar='NAME', help=f'some of {", ".join(PROTOCOLS)} (default: all)')
    parser.add_argument('--kernel', nargs='+', choices=KERNELS, default=KERNELS, metavar='NAME',
                        help='linear, rbf or both')
    parser.add_argument('--teach', type=Path, metavar='DIR',
                        help='folder of a pack: a machine taught on its train faces is judged on '
                        'its val faces and on JAFFE, too')
    parser.add_argument('--teach-source', default='ferplus', metavar='SOURCE',
                        help='source in that folder (default: %(default)s)')
    parser.add_argument('--teach-most', type=int, default=300,
                        help='faces of each expression to teach (default: %(default)s)')
    parser.add_argument('--save', type=Path,
                        help='fit on all of it and write the machine for attributes.model there')
    parser.add_argument('--results', type=Path, default=Path('bench/results/paper.json'))
    parser.add_argument('--plot', type=Path,
                        help='PNG of the confusion about somebody new')


def add_feature_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `open_features` reads."""
    parser.add_argument('--data', type=Path, required=True,
                        help='JAFFE: a folder of its pictures, or a zip')
    parser.add_argument('--crops', action='store_true', help='the pictures are face crops already')
    parser.add_argument('--trunk', choices=TRUNKS, default='compact',
                        help='convolutions (default: %(default)s)')
    parser.add_argument('--weights', type=Path,
                        help='their safetensors; compact takes those of the shipped model, '
                        'pixels needs none')
    parser.add_argument('--detector', default='detector_tiny',
                        help='detector in the manifest (default: %(default)s)')
    parser.add_argument('--crop-scale', type=float, default=1.3,
                        help='crop side over box side (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 leaves torch its choice')


def run(args: argparse.Namespace) -> int:
    """Prints a row a protocol and kernel, writes JSON and plot; returns the exit status."""
    portraits = read_portraits(args.data)
    truth, persons = labels(portraits)
    features, trunk, about = open_features(args, portraits)
    result = {
        **about, 'pictures': len(portraits), 'persons': len(set(persons)),
        'features': features.shape[1], 'nearest': neighbours(features, truth, persons)
    }
    for protocol in args.protocol:
        by_kernel = scores_by_kernel(features, truth, persons, protocol, args.kernel)
        for kernel, scores in by_kernel.items():
            row = result[f'{protocol} {kernel}'] = summary(scores, truth)
            say(protocol, kernel, row)
    if args.teach:
        result |= taught_elsewhere(args, Features(trunk), features, truth)
    record(args.results, f'pool5 {args.trunk}', result)
    shown = result.get('leave_one_subject_out linear')
    if shown and args.plot:
        plot_confusion(args.plot, np.array(shown['confusion']), EXPRESSIONS,
                       f'JAFFE, somebody new: {args.trunk} + SVM')
    if args.save:
        save_machine(args.save, trunk, fit_head(features, truth, persons), about)
    return 0


def say(protocol: str, kernel: str, row: Mapping[str, Any]) -> None:
    """Prints one row."""
    print(f'{protocol:<22} {kernel:<7} accuracy {row["accuracy"]:.3f}  '
          f'balanced {row["balanced"]:.3f}', flush=True)


def taught_elsewhere(args: argparse.Namespace, trunk: Features, jaffe: np.ndarray,
                     truth: np.ndarray) -> dict[str, Any]:
    """{'SOURCE KERNEL': {'taught', 'c', 'val', 'jaffe'}}: machines that learned from the faces of
    `--teach` only, on its val faces and on JAFFE's features (N, F)."""
    source, sets = args.teach_source, []
    for split, most in (('train', args.teach_most), ('val', args.teach_most // 3)):
        faces = read_faces(args.teach, source, split, most)
        crops, _ = face_crops(grey_pictures(faces), None, CROP_PX, args.crop_scale)
        sets.append((compute(trunk, crops), *labels(faces)))
    (taught, known, groups), (held, held_known, _) = sets
    found = {}
    for kernel in args.kernel:
        c, (on_val, on_jaffe) = transferred((taught, known), groups,
                                            (held, jaffe), kernel)
        val, other = summary(on_val, held_known), summary(on_jaffe, truth)
        found[f'{source} {kernel}'] = {'taught': len(taught), 'c': c, 'val': val, 'jaffe': other}
        say(f'{source} to its val', kernel, val)
        say(f'{source} to JAFFE', kernel, other)
    return found


def open_features(args: argparse.Namespace,
                  portraits: Sequence[Portrait]) -> tuple[np.ndarray, Trunk, dict[str, Any]]:
    """(features (N, F), trunk, what they are) of the portraits, as the arguments say."""
    if args.threads:
        torch.set_num_threads(args.threads)
    trunk, about = open_trunk(args.trunk, args.weights)
    crops, missed = face_crops(grey_pictures(portraits), open_detector(args), CROP_PX,
                               args.crop_scale)
    about |= {
        'detector': None if args.crops else args.detector, 'crop_scale': args.crop_scale,
        'faces_not_found': missed
    }
    return compute(Features(trunk), crops), trunk, about


def open_detector(args: argparse.Namespace) -> FaceDetector | None:
    """The detector that the arguments name, at its own threshold; None for crops."""
    if args.crops:
        return None
    model = find_model(args.detector, 'detector')
    return FaceDetector(open_network(model.path, device='cpu', threads=args.threads),
                        imgsz_px=model.input_px, threshold=model.thresholds.get('score', .5))


def open_trunk(name: str, weights: Path | None = None) -> tuple[Trunk, dict[str, Any]]:
    """(trunk with weights, what it is); ModelError without weights: random convolutions are no
    result."""
    if name == 'pixels':
        return new_trunk(name), {'trunk': name, 'weights': None, 'network': None}
    if weights is None and name == 'compact':
        weights = find_model(COMPACT_M, 'attributes').torch_weights()
    if weights is None:
        raise ModelError(
            f'trunk {name} needs your weights: --weights FILE.safetensors; none are shipped, and '
            'random convolutions would be no result')
    tensors, metadata = read_weights(weights)
    trunk = new_trunk(name, metadata.get('network') if name == 'compact' else None)
    load_trunk(trunk, tensors, weights)
    return trunk, {
        'trunk': name, 'weights': weights.name,
        'network': metadata.get('network') if name == 'compact' else None
    }


@torch.inference_mode()
def compute(features: Features, crops: np.ndarray) -> np.ndarray:
    """(N, F) float32 of crops (N, S, S, 3), in fp32."""
    prepared = (features.prepare(torch.from_numpy(crops[i:i + _BATCH])).contiguous()
                for i in range(0, len(crops), _BATCH))
    side = features.trunk.input_px
    with exported(features.trunk, torch.zeros(2, 3, side, side), half=False) as run:
        parts = [run(batch.numpy()) for batch in prepared]
    return np.concatenate(parts)


def save_machine(path: Path, trunk: nn.Module, head: nn.Module, about: Mapping[str, Any]) -> None:
    """Writes trunk and machine as one safetensors file that `attributes.model` opens."""
    tensors = {f'trunk.{name}': value for name, value in trunk.state_dict().items()}
    tensors |= {f'head.{name}': value for name, value in head.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(path, tensors, {'system': 'pool5_svm', **about})
