# SPDX-License-Identifier: Apache-2.0
"""Measure face detectors on labelled pictures, ours and, beside them, other people's.

    face-attributes evaluate detector --data DIR
    face-attributes evaluate detector --data DIR --peers ../shared/peers \\
        --robustness
    face-attributes evaluate detector --data DIR --write-metrics models/manifest.toml
    face-attributes evaluate detector --data DIR --model runs/tiny/detector.safetensors --split val

Faces under 0.02 of the longer side and regions in DIR/ignore are neutral. AP by pycocotools (101
points) at IoU .5, by size too (small: under 0.06 of the longer side, large: over 0.2), and at
.5:.95. The F1 threshold is each detector's best on `val`, the quiet one the lowest at which, with
95 % confidence, at most .05 false alarms fall on a face-free picture, there and in the folders of
`--face-free` (`labels.face_free` makes one); the manifest gets the larger, and both as figures.
False positives per face-free image are counted at both and at score 0.5. Writes JSON and a
precision-recall curve, and with `--worst 64` contact sheets of the worst misses and false alarms
of our detectors. `--robustness` measures them, and the peers, turned, blurred, in the dark and
hidden, each by size and in crowds and with recall and false alarms at the shipped threshold.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model, load_manifest, shipped
from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.training.common.manifest_table import put_metrics
from face_attributes_ros.training.detector.conditions import CROWD_FACES, conditions
from face_attributes_ros.training.detector.data import Sample, read_samples
from face_attributes_ros.training.detector.measures import (
    headline_metrics,
    measure,
    shipped_threshold,
    tables,
)
from face_attributes_ros.training.detector.peers import load_peers
from face_attributes_ros.training.detector.plots import plot_precision_recall
from face_attributes_ros.training.detector.predict import (
    Detect,
    make_detect,
    predict,
    torch_detector,
)
from face_attributes_ros.training.detector.score import (
    Judged,
    Quiet,
    Result,
    best_f1,
    face_free,
    judge,
    quiet_threshold,
)
from face_attributes_ros.training.detector.worst import false_alarms, misses, sheet

# Name prefixes, where the data has them.
PARTS = {'multi': ('jol', 'kag', 'dlib', 'neg'), 'fddb_te': ('fddb_te',)}
MOST_FALSE_ALARMS = 0.05  # a face-free picture, at the quiet threshold, with confidence


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `evaluate detector`."""
    parser.add_argument(
        '--data', type=Path, required=True, help='YOLO-format folder or WIDER FACE'
    )
    parser.add_argument('--split', default='test', help='train, val or test')
    parser.add_argument(
        '--model', action='append', help='manifest name, .onnx, .safetensors; default: shipped'
    )
    parser.add_argument(
        '--input-px', type=int, default=0, help="longest canvas side; 0: the manifest's, else 448"
    )
    parser.add_argument(
        '--tiles', type=int, default=0, help='tiles along each side, as `detector.tiles`'
    )
    parser.add_argument('--backend', default='onnxruntime', help='runtime for ONNX files')
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of the runtime')
    parser.add_argument(
        '--peers', type=Path, help="folder with detectors.py and the peers' weights"
    )
    parser.add_argument(
        '--robustness',
        nargs='*',
        metavar='NAME',
        help='detectors to make pictures worse for; all without a name',
    )
    parser.add_argument(
        '--face-free', type=Path, action='append', default=[], metavar='DIR',
        help='more pictures without a face for the quiet threshold; its val',
    )
    parser.add_argument(
        '--worst', type=int, default=0, metavar='COUNT', help='contact sheets of so many failures'
    )
    parser.add_argument(
        '--worst-folder', type=Path, default=Path('runs/worst'), help='outside the project: people'
    )
    parser.add_argument(
        '--limit', type=int, default=0, help='only every n-th image, so many; 0: all'
    )
    parser.add_argument('--json', type=Path, default=Path('bench/results/detector.json'))
    parser.add_argument('--plot', type=Path, default=Path('docs/images/detector_pr.png'))
    parser.add_argument(
        '--write-metrics',
        type=Path,
        metavar='MANIFEST',
        help='put figures and F1 thresholds of its models into this manifest',
    )


def run(args: argparse.Namespace) -> int:
    """Prints the tables, writes JSON and plot; returns the exit status."""
    detectors = open_detectors(args)
    torch.set_flush_denormal(
        True
    )  # for a peer's weights; ONNX Runtime's first session switches it off
    degraded = [] if args.robustness is None else args.robustness or list(detectors)
    unknown = set(degraded) - set(detectors)
    if unknown:
        raise ParameterError(
            f'--robustness {" ".join(sorted(unknown))}: needs some of {" ".join(detectors)}'
        )
    samples, val = (
        _thinned(read_samples(args.data, split), args.limit) for split in (args.split, 'val')
    )
    more_free = [sample for folder in args.face_free for sample in read_samples(folder, 'val')]
    report = {
        'data': {'split': args.split, 'images': len(samples)},
        'detectors': {},
        'parts': {},
        'robustness': {},
        'conditions': {},
    }
    curves = {}
    for name, detect in detectors.items():
        results = predict(detect, samples)
        on_val = results if args.split == 'val' else predict(detect, val)
        threshold = best_f1(judge(on_val))[1]
        free = face_free([*on_val, *predict(detect, more_free)])
        quiet = quiet_threshold(free, MOST_FALSE_ALARMS)
        report['detectors'][name] = chosen_thresholds(threshold, quiet)
        for part, chosen in parts_and_crowds(samples).items():
            row = measure([results[i] for i in chosen], threshold, quiet.threshold)
            report['parts'].setdefault(part, {})[name] = row
        curves[name] = judge([results[i] for i in curve_part(samples)[1]])
        if name in degraded:
            rows = conditions(detect, [samples[i] for i in curve_part(samples)[1]],
                              max(threshold, quiet.threshold))
            report['conditions'][name] = rows
            report['robustness'][name] = {key: row['ap50'] for key, row in rows.items()}
        if args.worst:
            write_worst(args, name, results, samples, threshold)
        print(f'{name}: {report["detectors"][name]}', flush=True)
    _write(args, report, curves, curve_part(samples)[0])
    if args.write_metrics:
        for name in load_manifest(args.write_metrics).keys() & report['detectors']:
            thresholds = {'score': shipped_threshold(report, name)[0]}
            put_metrics(args.write_metrics, name, headline_metrics(report, name), thresholds)
    return 0


def chosen_thresholds(f1_threshold: float, quiet: Quiet) -> dict[str, Any]:
    """Both thresholds for the report, and what the second rests on: face-free pictures, false
    alarms in them, and their bound a picture."""
    return {
        'threshold_val': round(f1_threshold, 3),
        'quiet_threshold_val': math.ceil(1000 * quiet.threshold) / 1000,
        'quiet_on': {'pictures': quiet.pictures, 'alarms': quiet.alarms,
                     'bound': round(quiet.bound, 4)},
    }


def open_detectors(args: argparse.Namespace) -> dict[str, Detect]:
    """`detect(image_bgr) -> (boxes, scores)` of each model of ours, then of each peer, by name."""
    names = args.model or [name for name, model in shipped().items() if model.task == 'detector']
    detectors = {
        Path(name).stem if '/' in name else name: open_detector(name, args) for name in names
    }
    return detectors | (load_peers(args.peers) if args.peers else {})


def open_detector(name: str, args: argparse.Namespace) -> Detect:
    """The detect function of a manifest entry, an ONNX file, or a training run's safetensors."""
    if name.endswith('.safetensors'):
        return make_detect(torch_detector(Path(name)), args.input_px or 448, args.tiles)
    if name.endswith('.onnx'):
        path, input_px = Path(name), args.input_px or 448
    else:
        model = find_model(name, 'detector')
        path, input_px = model.path, args.input_px or model.input_px
    return make_detect(
        open_network(path, backend=args.backend, device='cpu', threads=args.threads), input_px,
        args.tiles
    )


def _thinned(samples: list[Sample], limit: int) -> list[Sample]:
    return samples[:: max(1, len(samples) // limit)] if limit else samples


def parts_of(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """Indices of the samples in `all`, in each of `PARTS` that the data has."""
    parts = {'all': list(range(len(samples)))}
    for part, prefixes in PARTS.items():
        chosen = [
            index for index, sample in enumerate(samples) if sample.name.startswith(prefixes)
        ]
        if chosen and len(chosen) < len(samples):
            parts[part] = chosen
    return parts


def parts_and_crowds(samples: Sequence[Sample]) -> dict[str, list[int]]:
    """`parts_of`, and `crowd`: the pictures of `CROWD_FACES` and more, where there are others too.
    """
    crowds = [index for index, s in enumerate(samples) if len(s.boxes) >= CROWD_FACES]
    there = bool(crowds) and len(crowds) < len(samples)
    return parts_of(samples) | ({'crowd': crowds} if there else {})


def curve_part(samples: Sequence[Sample]) -> tuple[str, list[int]]:
    """(name, indices) of the part for the plot and the robustness table: the hard one where there
    is one.
    """
    parts = parts_of(samples)
    name = 'multi' if 'multi' in parts else 'all'
    return name, parts[name]


def write_worst(args: argparse.Namespace, name: str, results: Sequence[Result],
                samples: Sequence[Sample], threshold: float) -> None:
    """Writes NAME_misses.png and NAME_false_alarms.png, judged at `threshold`."""
    args.worst_folder.mkdir(parents=True, exist_ok=True)
    for kind, failures in (
        ('misses', misses(results, threshold)),
        ('false_alarms', false_alarms(results, threshold)),
    ):
        cv2.imwrite(
            str(args.worst_folder / f'{name}_{kind}.png'), sheet(failures, samples, args.worst)
        )


def _write(args: argparse.Namespace, report: dict[str, Any], curves: dict[str, Judged],
           part: str) -> None:
    if not report['detectors']:
        raise DataError('nothing to evaluate: give --model or a manifest with detectors')
    for path in (args.json, args.plot):
        path.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(report, indent=1) + '\n')
    plot_precision_recall(args.plot, curves, f'{args.split}, part {part}')
    print(tables(report))
    print(f'written: {args.json}, {args.plot}')
