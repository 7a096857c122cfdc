# SPDX-License-Identifier: Apache-2.0
"""Measure a shipped attribute network on labelled faces, beside its peers.

    face-attributes evaluate attributes --data DIR --peers DIR --backgrounds DIR --out
    bench/results/attributes.json

DIR of `--data` holds `labels.csv` and its zips; the test split is judged, and JAFFE, which nothing
was trained on. The network is the manifest's ONNX file on ONNX Runtime, so the figures are those
of what ships. `--peers` runs other people's networks over the same pictures, `--backgrounds`
judges face/no-face on a detection set's test pictures. `--write-metrics` puts the headline figures
into the manifest. Pictures of the results go to `--plots`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import Model, find_model
from face_attributes_ros.engines.seam import OpenNetwork
from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.training.attributes.card import fill
from face_attributes_ros.training.attributes.data.cache import cut, read_picture
from face_attributes_ros.training.attributes.data.packs import read_backgrounds, read_pack
from face_attributes_ros.training.attributes.data.tables import LabelTable, table_of
from face_attributes_ros.training.attributes.groups import (
    group_report,
    size_report,
    yaw_report,
)
from face_attributes_ros.training.attributes.heads import HEADS
from face_attributes_ros.training.attributes.peers import open_peers, peer_outputs
from face_attributes_ros.training.attributes.plots import plot_reliability, plot_sizes
from face_attributes_ros.training.attributes.predict import predict, predict_aligned
from face_attributes_ros.training.attributes.report import (
    calibration_report,
    headlines,
    headlines_of,
    honest_rows,
    report,
    selective_report,
)
from face_attributes_ros.training.attributes.scores import Arrays
from face_attributes_ros.training.common.manifest_table import put_metrics
from face_attributes_ros.training.common.onnx_file import notes_of
from face_attributes_ros.training.common.plots import plot_confusion

Results = dict[str, Any]

FACE_SIZES_PX = (24, 32, 48, 64, 96)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `evaluate attributes`."""
    parser.add_argument('--data', type=Path, required=True,
                        help='folder of labels.csv and its zips')
    parser.add_argument('--model', default='attributes_m',
                        help='name in the shipped manifest, or PATH/manifest.toml:NAME')
    parser.add_argument('--split', choices=('val', 'test'), default='test')
    parser.add_argument('--peers', type=Path,
                        help='folder of other networks and their attributes.py')
    parser.add_argument('--backgrounds', type=Path,
                        help='YOLO-format detection set whose test pictures judge face/no-face')
    parser.add_argument('--aligned', action='store_true',
                        help='also measure the second, upright and mirrored, pass')
    parser.add_argument('--out', type=Path, default=Path('bench/results/attributes.json'))
    parser.add_argument('--plots', type=Path, default=Path('docs/images'))
    parser.add_argument('--card', type=Path,
                        help='document whose blocks of results are made anew, models/README.md')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--write-metrics', type=Path, metavar='MANIFEST',
                        help='put the headline figures into this manifest')


def run(args: argparse.Namespace) -> int:
    """Measures, writes JSON and pictures, prints the headlines; the exit status."""
    peers = open_peers(args.peers) if args.peers else None
    model = find_model(args.model, 'attributes')
    network = open_network(model.path, backend='onnxruntime', device='cpu', threads=args.threads)
    table = table_of(
        read_pack(args.data, ('test', 'crossval') if args.split == 'test' else ('val', )))
    if not len(table):
        raise DataError(f'{args.data / "labels.csv"} has no rows of split {args.split}')
    pictures = [read_picture(image) for image in table.images]
    outputs = predict(network, pictures, model.input_px)
    results = {'model': {'name': model.name, 'sha256': model.sha256, 'input_px': model.input_px,
                         'runtime': network.description}, 'split': args.split,
               **own_results(outputs, table, model, temperatures_of(model.path))}
    results['face_size'] = size_report(lambda small: predict(network, small, model.input_px),
                                       table, pictures, FACE_SIZES_PX)
    if args.aligned:
        results['aligned'] = aligned_report(network, pictures, model.input_px, table)
    if args.backgrounds:
        results['face_head'] = face_report(network, outputs, args.backgrounds, model.input_px)
    if peers:
        results['peers'] = {
            name: report(found, table)
            for name, found in peer_outputs(peers, args.peers, pictures, table).items()
        }
    results = plain(results)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')
    draw(args.plots, results, outputs, table)
    if args.card:
        fill(args.out, args.card)
    if args.write_metrics:
        put_metrics(args.write_metrics, model.name, headline_metrics(results))
    said = {'figures': headlines(outputs, table), 'calibration': results['calibration']}
    print(json.dumps(said, default=float, indent=1))
    return 0


def own_results(outputs: Arrays, table: LabelTable, model: Model,
                temperatures: Mapping[str, float]) -> Results:
    """Everything that one pass over the pictures tells."""
    return {'figures': report(outputs, table),
            'calibration': calibration_report(outputs, table, temperatures),
            'selective': selective_report(outputs, table, model.thresholds),
            'people': group_report(outputs, table),
            'yaw': yaw_report(outputs, table)}


def temperatures_of(path: Path) -> dict[str, float]:
    """The temperatures that the export folded into the file; empty where it says nothing of
    them."""
    temperatures: dict[str, float] = notes_of(path).get('temperatures', {})
    return temperatures


def aligned_report(network: OpenNetwork, pictures: Sequence[np.ndarray], size: int,
                   table: LabelTable) -> Results:
    """The second pass against the first: headlines of each, and the cost as a ratio of processor
    time."""
    started = time.process_time()
    one_pass = predict(network, pictures, size)
    plain_s = time.process_time() - started
    outputs, aligned_s = predict_aligned(network, pictures, size)
    return {'one_pass': headlines(one_pass, table), 'two_passes': headlines(outputs, table),
            'cost_ratio': aligned_s / plain_s}


def face_report(network: OpenNetwork, outputs: Arrays, folder: Path, size: int) -> Results:
    """How many face pictures the face head accepts, and how many faceless squares of unseen
    pictures it refuses.
    """
    samples = read_backgrounds(folder, 1, listing='test.txt')
    squares = [cut(read_picture(sample.image), sample.box_fraction) for sample in samples]
    return {
        'faces': len(outputs['face']), 'accepted': (outputs['face'] > 0.5).mean(),
        'backgrounds': len(squares), 'refused': (predict(network, squares, size)['face']
                                                 <= 0.5).mean()
    }


def headline_metrics(results: dict[str, Any]) -> dict[str, float]:
    """The manifest's figures: `source_figure` of every headline, and the calibration errors."""
    figures = {f'{source}_{name}': value for source, values in results['figures'].items()
               for name, value in headlines_of(values).items()}
    return figures | {
        f'{head}_ece': values['ece'] for head, values in results['calibration'].items()
    }


def plain(value: Any) -> Any:
    """The same with numpy gone and floats rounded to five digits, fit for JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 5)
    return int(value) if isinstance(value, np.integer) else value


def draw(folder: Path, results: Results, outputs: Arrays, table: LabelTable) -> None:
    """Writes the pictures for which there is data."""
    for source in ('ferplus', 'jaffe'):
        if source in results['figures']:
            confusion = np.array(results['figures'][source]['confusion'])
            plot_confusion(folder / f'attributes_confusion_{source}.png', confusion,
                           EXPRESSIONS, f'Expressions, {source}')
    plot_sizes(folder / 'attributes_face_size.png', results['face_size'])
    plot_reliability(folder / 'attributes_calibration.png', {
        head.name: (outputs[head.name][rows], table.labels[head.column][rows])
        for head in HEADS if len(rows := honest_rows(head, table))})
