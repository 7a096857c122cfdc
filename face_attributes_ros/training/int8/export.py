# SPDX-License-Identifier: Apache-2.0
"""Make the int8 file of a shipped network, measure what it costs, and put it into the manifest if
that is little enough.

    face-attributes export int8 --model detector_tiny --data DETECTION_DIR \\
        --manifest models/manifest.toml
    face-attributes export int8 --model attributes_m --data ATTRIBUTES_DIR \\
        --manifest models/manifest.toml

DIR is what the network was trained and evaluated on. Ranges come from a few hundred training
pictures, seeded. Candidates keep fewer and fewer layers in int8; the first one that loses less
than half the bars of `scores.py` on val, on every runtime that is installed, is taken and measured
once on test; where none does, the nearest to it that keeps the bars whole. Only then, and if test
keeps the bars as well, does it take the place of NAME_int8.onnx beside the float file, and of the
manifest's entry; its figures go to bench/results/int8.json in any case. `--force` puts it there
all the same, but out of reach of `precision: auto`, which takes what `auto_precisions` lists.
Whatever fails before leaves file and manifest as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from face_attributes_ros.engines.models import Model, file_sha256, load_manifest
from face_attributes_ros.training.common.files import part_of
from face_attributes_ros.training.common.manifest_table import (
    allow_precision,
    model_table,
    put_table,
)
from face_attributes_ros.training.common.results import put_result
from face_attributes_ros.training.int8.choose import choose
from face_attributes_ros.training.int8.measure import measure, speed, table
from face_attributes_ros.training.int8.rooms import room_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `export int8`."""
    parser.add_argument('--model', required=True,
                        help='a detector or attribute network of the manifest')
    parser.add_argument('--data', type=Path, required=True,
                        help='YOLO-format folder, or folder of labels.csv and its zips')
    parser.add_argument('--manifest', type=Path, default=Path('models/manifest.toml'))
    parser.add_argument('--images', type=int, default=400, help='training pictures for the ranges')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path, default=Path('bench/results/int8.json'))
    parser.add_argument('--force', action='store_true',
                        help='into the manifest even where it loses too much')


def run(args: argparse.Namespace) -> int:
    """Quantises, chooses on val, measures on test, prints the table; exit status 1 where nothing
    keeps the bars."""
    model = find(args.manifest, args.model)
    out = model.path.with_name(f'{model.path.stem}_int8.onnx')
    part = part_of(out)
    try:
        result = judged(model, part, args)
        passed = bool(result['chosen']) and not any(
            row['failures'] for row in result['runtimes'].values())
        if passed or args.force:
            os.replace(part, out)
            put_int8(args.manifest, model, out, result)
            allow_precision(args.manifest, model.name, 'int8', passed)
        else:
            forget_stale(args.manifest, model)
            print(f'{out} is not written: it loses too much; --force writes it')
    finally:
        part.unlink(missing_ok=True)
    return 0 if passed else 1


def judged(model: Model, part: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Writes the chosen candidate to `part` and everything measured to the results file; returns
    that."""
    room = room_of(model, args.data)
    tried, chosen = choose(model, room, part, args.images, args.seed)
    print(json.dumps(tried))
    result = {
        'made_from': model.sha256, 'images': args.images, 'seed': args.seed, 'tried_on_val': tried,
        'chosen': chosen, **measure(model, room, part), 'speed_cpu_ms': speed(model, part)
    }
    print(table(result))
    put_result(args.json, model.name, result)
    return result


def find(manifest: Path, name: str) -> Model:
    """The manifest's entry without its int8 file, which is about to be made anew and may be of
    other weights; its float file checked. Changes nothing."""
    kept = floats_of(model_table(manifest, name))
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / 'manifest.toml'
        put_table(alone, name, kept)
        model = load_manifest(alone)[name]
    return replace(model, path=Path(manifest).parent / kept['file']).checked()


def floats_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """A model's table without what it says of an int8 file."""
    kept = {key: value for key, value in values.items() if not key.startswith('int8_')}
    auto = [one for one in kept.pop('auto_precisions', ()) if one != 'int8']
    return kept | ({'auto_precisions': auto} if auto else {})


def put_int8(manifest: Path, model: Model, out: Path, result: Mapping[str, Any]) -> None:
    """Names the file in the manifest's entry, with its checksum and figures."""
    figures = result['runtimes']['onnxruntime']['figures']
    put_table(
        manifest, model.name, model_table(manifest, model.name) | {
            'int8_file': out.name, 'int8_sha256': file_sha256(out), 'int8_made_from': model.sha256,
            'int8_metrics': figures
        })


def forget_stale(manifest: Path, model: Model) -> None:
    """Takes an int8 file of other weights out of the manifest, where a measured one is not to
    replace it: a manifest that names it cannot be loaded."""
    values = model_table(manifest, model.name)
    if values.get('int8_made_from', model.sha256) != model.sha256:
        put_table(manifest, model.name, floats_of(values))
