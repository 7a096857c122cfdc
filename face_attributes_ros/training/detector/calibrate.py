# SPDX-License-Identifier: Apache-2.0
"""Make a detector's scores mean something: the share of boxes with that score that are right, on
val.

    python -m face_attributes_ros.training.detector.calibrate \\
        --weights runs/tiny/detector.safetensors --data SET --input-px 448 \\
        --out runs/tiny/calibrated.safetensors

A gain and an offset of the score's logit, fitted by maximum likelihood to the detections on val
(Platt, 1999), are folded into the last convolution of each level. Order, and with it average
precision, stays.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.predict import make_detect, predict, torch_detector
from face_attributes_ros.training.detector.score import judge

LEAST_SCORE = 0.03  # weaker detections say nothing about the scores that anybody uses
_NEWTON_STEPS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `detector.calibrate`."""
    parser.add_argument(
        '--weights', type=Path, required=True, help='detector.safetensors of a training run'
    )
    parser.add_argument(
        '--data', type=Path, required=True, help='YOLO-format folder; its val is used'
    )
    parser.add_argument('--input-px', type=int, default=448, help='longest canvas side')
    parser.add_argument('--out', type=Path, required=True, help='the safetensors file to write')


def run(args: argparse.Namespace) -> int:
    """Fits, folds, writes and prints the gain and offset; returns the exit status."""
    detect = make_detect(torch_detector(args.weights), args.input_px)
    judged = judge(predict(detect, read_samples(args.data, 'val')))
    used = judged.scores >= LEAST_SCORE
    gain, offset = fit(judged.scores[used], judged.correct[used])
    tensors, metadata = load_tensors(args.weights)
    calibration = {'gain': round(gain, 4), 'offset': round(offset, 4), 'input_px': args.input_px}
    save_tensors(args.out, folded(tensors, gain, offset), metadata | {'calibration': calibration})
    print(json.dumps(calibration | {'detections': int(used.sum())}))
    return 0


def fit(scores: np.ndarray, correct: np.ndarray) -> tuple[float, float]:
    """(gain, offset) of the logit under which `scores` (N,) are the likeliest chances of being
    `correct`.
    """
    if correct.all() or not correct.any():
        raise DataError(
            'calibration needs right and wrong detections, got '
            f'{int(correct.sum())} of {len(correct)} right'
        )
    logits = np.log(scores / (1 - scores)).clip(-12, 12).astype(float)
    table = np.stack([logits, np.ones_like(logits)], 1)
    found = np.array([1.0, 0.0])
    for _ in range(_NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-table @ found))
        curvature = (table * (chance * (1 - chance))[:, None]).T @ table
        found = found + np.linalg.solve(curvature, table.T @ (correct - chance))
    return float(found[0]), float(found[1])


def folded(tensors: Mapping[str, torch.Tensor], gain: float,
           offset: float) -> dict[str, torch.Tensor]:
    """The tensors with the map in the last convolution of the score branch (`cv3`) of each level.
    """
    last = {
        name.rsplit('.', 1)[0]
        for name in tensors
        if '.cv3.' in name
        and name.endswith('.bias')
        and name.replace('.bias', '.weight') in tensors
        and '.bn.' not in name
    }
    if not last:
        raise DataError('these weights hold no score convolution (model.N.cv3.LEVEL.K.bias)')
    changed = dict(tensors)
    for name in last:
        changed[f'{name}.weight'] = tensors[f'{name}.weight'] * gain
        changed[f'{name}.bias'] = tensors[f'{name}.bias'] * gain + offset
    return changed


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('.')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
