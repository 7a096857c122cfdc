# SPDX-License-Identifier: Apache-2.0
"""What each canvas gives and costs: accuracy on val and CPU time, by the canvas's longest side.

    python -m face_attributes_ros.training.detector.canvas --data DIR \\
        --model detector_tiny --model detector_small --json bench/results/detector_sizes.json

The time is that of the detector on one thread, for a 16:9 picture as wide as the canvas: the
median of many, as CPU time of the process.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.data import Sample, read_samples
from face_attributes_ros.training.detector.evaluate import open_detector
from face_attributes_ros.training.detector.predict import Detect, predict
from face_attributes_ros.training.detector.score import best_f1, judge

CANVASES_PX = (448, 512, 576, 640)
REPEATS = 41


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `detector.canvas`."""
    parser.add_argument('--data', type=Path, required=True, help='YOLO-format folder; its val')
    parser.add_argument('--model', action='append', required=True, help='as in evaluate detector')
    parser.add_argument('--backend', default='onnxruntime', help='runtime for ONNX files')
    parser.add_argument('--json', type=Path, required=True, help='the file to write')


def run(args: argparse.Namespace) -> int:
    """Measures, prints and writes every model at every canvas; returns the exit status."""
    samples = read_samples(args.data, 'val')
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name in args.model:
        rows = {px: canvas_row(name, px, args.backend, samples) for px in CANVASES_PX}
        found[Path(name).stem if '/' in name else name] = rows
        print(name, json.dumps(rows), flush=True)
    command = 'python -m face_attributes_ros.training.detector.canvas --data DIR --model NAME'
    report = {'command': command, 'part': 'all', 'detectors': found}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(report, indent=1) + '\n')
    return 0


def canvas_row(name: str, canvas_px: int, backend: str,
               samples: Sequence[Sample]) -> dict[str, Any]:
    """Accuracy on the samples and milliseconds of one model at one canvas."""
    options = argparse.Namespace(input_px=canvas_px, tiles=0, backend=backend, threads=1)
    detect = open_detector(name, options)
    results = predict(detect, samples)
    row = coco_metrics(results) | {'best_f1': round(best_f1(judge(results))[0], 4)}
    return row | {'cpu_ms': round(median_ms(detect, canvas_px), 2)}


def median_ms(detect: Detect, canvas_px: int) -> float:
    """Median CPU time of a 16:9 picture as wide as the canvas, letterbox and suppression too."""
    picture = np.random.default_rng(0).integers(
        0, 256, (canvas_px * 9 // 16, canvas_px, 3), dtype=np.uint8
    )
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        detect(picture)
        times.append(1000 * (time.process_time() - start))
    return float(np.median(times))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
