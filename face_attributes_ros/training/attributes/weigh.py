# SPDX-License-Identifier: Apache-2.0
"""Judge the weights between those of two runs on every val there is, so that the share that ships
is chosen there.

    python -m face_attributes_ros.training.attributes.weigh \\
        --weights models/attributes_m.safetensors runs/seventh/attributes.safetensors \\
        --shares 0 0.3 0.5 0.7 1 --data DIR --full FULL --json bench/results/attributes_weigh.json

DIR is the folder of `labels.csv`, FULL that of the packs of `data/packs.py`. Each share of the
second file's weights gets the offsets that its export would get; JAFFE is judged beside val, and
nothing is fitted on it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.networks.attributes import Shipped
from face_attributes_ros.training.attributes.between import between
from face_attributes_ros.training.attributes.calibration import shifted
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_listed_pack, read_pack
from face_attributes_ros.training.attributes.data.tables import LabelTable, Sample, table_of
from face_attributes_ros.training.attributes.export import run_torch
from face_attributes_ros.training.attributes.fit import fit_offsets
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.attributes.predict import whole_crops
from face_attributes_ros.training.attributes.report import headlines
from face_attributes_ros.training.common.results import put_result

LABORATORIES = 'rafd_', 'yale_'
"""Beginnings of the names of faces whose photographers' other pictures are in no training set."""
NOT_FITTED = 'jaffe', 'laboratory', 'web', 'film'


def judged_samples(data: Path, full: Path) -> list[Sample]:
    """Everything that is held out from training, but test; acted faces as the sources
    `laboratory` and `web`, without people of whom other pictures are trained on (KDEF)."""
    acted = [replace(sample, source='laboratory' if named(sample, *LABORATORIES) else 'web')
             for sample in read_listed_pack(full, 'posed', 'val')
             if not sample.group.startswith('kdef')]
    return [*read_pack(data, ('val', 'crossval')), *acted, *read_listed_pack(full, 'film', 'val'),
            *read_listed_pack(full, 'ages', 'val')]


def named(sample: Sample, *beginnings: str) -> bool:
    """Whether the stored picture's own name begins so."""
    return sample.image.rpartition('!')[2].startswith(beginnings)


def judge(weights: Path, table: LabelTable, crops: np.ndarray) -> dict[str, dict[str, float]]:
    """{source: {metric: value}} of a network with the offsets that val gives it."""
    outputs = run_torch(Shipped(load_network(weights)[0]), crops)
    fitted = ~np.isin(table.sources, NOT_FITTED)
    offsets = fit_offsets({name: values[fitted] for name, values in outputs.items()},
                          {name: values[fitted] for name, values in table.labels.items()},
                          table.sources[fitted])
    outputs |= {head: shifted(outputs[head], np.array(offset)) for head, offset in offsets.items()}
    return {source: {name: round(float(value), 5) for name, value in figures.items()}
            for source, figures in headlines(outputs, table).items()}


def weigh(weights: Sequence[Path], shares: Sequence[float], data: Path,
          full: Path) -> dict[str, Any]:
    """{'faces': {source: count}, 'shares': {share: {source: {metric: value}}}}."""
    first, second = weights
    table = table_of(judged_samples(data, full))
    size = load_network(second)[1]['size']
    crops = whole_crops([read_picture(image) for image in table.images], size)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for share in shares:
            mixed = Path(folder) / 'between.safetensors'
            between(first, second, share, mixed)
            found[f'{share:g}'] = judge(mixed, table, crops)
            print(f'{share:g}: {found[f"{share:g}"]}', flush=True)
    sources, counts = np.unique(table.sources, return_counts=True)
    return {'faces': dict(zip(sources.tolist(), counts.tolist(), strict=True)), 'shares': found}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split('.')[0])
    parser.add_argument('--weights', type=Path, nargs=2, required=True,
                        metavar=('FIRST', 'SECOND'))
    parser.add_argument('--shares', type=float, nargs='+', required=True, help='of the second')
    parser.add_argument('--data', type=Path, required=True, help='folder of labels.csv')
    parser.add_argument('--full', type=Path, required=True, help='folder of the other packs')
    parser.add_argument('--json', type=Path, required=True)
    args = parser.parse_args(arguments)
    for name, values in weigh(args.weights, args.shares, args.data, args.full).items():
        put_result(args.json, name, values)
    return 0


if __name__ == '__main__':
    sys.exit(main())
