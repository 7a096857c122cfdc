# SPDX-License-Identifier: Apache-2.0
"""What a trained one of the paper's networks knows of faces that nothing was chosen on.

    face-attributes evaluate paper --data DIR --split val --weights runs/vgg/vgg_age.safetensors
    face-attributes evaluate paper --data DIR --split test --weights runs/a/all_in_one.safetensors
    face-attributes evaluate paper --data DIR --split val       # our network on the age groups

DIR holds `labels.csv` and its zips. Choices are made on `val`; `test` is for the last figure. The
age network answers with one of the paper's eight groups, for UTKFace's faces that lie in one: the
share of exact answers, and of those at most one group off. Our network's years are summed up
within the groups. The all-in-one network answers with everything it has, each source by its
labels. A face's picture is looked at once, as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from face_attributes_ros.build import open_attributes
from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.faces import AGE_GROUPS_YEARS
from face_attributes_ros.paper.all_in_one import AllInOneConfig, AllInOneNet
from face_attributes_ros.paper.models import COMPACT_M
from face_attributes_ros.paper.normalise import Normalise
from face_attributes_ros.paper.training.all_in_one import figures, middle_labels, with_points
from face_attributes_ros.paper.training.pool5_svm import wilson
from face_attributes_ros.paper.training.recipe import Recipe, middle
from face_attributes_ros.paper.training.results import record
from face_attributes_ros.paper.training.vgg_age import accuracy, group_of_range, groups_of
from face_attributes_ros.paper.vgg_age import VggAgeConfig, VggAgeNet
from face_attributes_ros.training.attributes.data.cache import cut, read_picture, resized
from face_attributes_ros.training.attributes.data.packs import read_pack
from face_attributes_ros.training.attributes.data.tables import LabelTable, Sample, table_of
from face_attributes_ros.weights import read_weights

SOURCES = ('utkface', 'fairface', 'ferplus', 'genki4k', 'ytf68')
"""What the all-in-one network is asked about."""

_BATCH = 32

Look = Callable[[np.ndarray], np.ndarray]
"""uint8 BGR crops (B, S, S, 3) to groups (B,)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `evaluate paper`."""
    parser.add_argument('--data', type=Path, required=True,
                        help='folder of labels.csv and its zips')
    parser.add_argument('--split', choices=('val', 'test'), default='val',
                        help='its split (default: %(default)s)')
    parser.add_argument('--weights', type=Path,
                        help='what `train paper` wrote; without it our network, on the age groups')
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 leaves torch its choice')
    parser.add_argument('--results', type=Path, default=Path('bench/results/paper.json'))


def run(args: argparse.Namespace) -> int:
    """Prints the figures and enters them into the JSON file; returns the exit status."""
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.weights is None:
        name, found = COMPACT_M, age_groups(*compact(args.threads), args)
    else:
        name, found = trained(args)
    record(args.results, f'{args.split} {name}', found)
    for key, value in found.items():
        print(f'{key}: {value}')
    return 0


def trained(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """(name of the entry, figures) of what `train paper` wrote. Raises ModelError for weights of
    another system."""
    tensors, about = read_weights(args.weights)
    system, sizes = about.get('system'), about.get('network', {})
    found = {'step': about.get('step'), 'faces_trained': about.get('data', {}).get('faces')}
    if system == 'vgg_age':
        ages = VggAgeNet(VggAgeConfig(**sizes))
        ages.load_state_dict(tensors)
        found |= age_groups(vgg_groups(ages.eval()), Recipe().rescale_px, args)
    elif system == 'all_in_one':
        network = AllInOneNet(AllInOneConfig(**sizes))
        network.load_state_dict(tensors)
        found |= everything(network.eval(), args)
    else:
        raise ModelError(f'{args.weights}: its metadata says system {system!r}, needs vgg_age or '
                         'all_in_one')
    return f'{system} {sizes.get("trunk", sizes["width"])}', found


def vgg_groups(network: VggAgeNet) -> Look:
    """The likeliest group by the age network, from pictures of 256: their middle 224."""
    normalise, recipe = Normalise(network.config.kind), Recipe()

    @torch.inference_mode()
    def look(crops: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(np.ascontiguousarray(middle(crops, recipe)))
        return network(normalise(image)).argmax(1).numpy()

    return look


def compact(threads: int) -> tuple[Look, int]:
    """(the group with most of the years by our network, its input side)."""
    model = open_attributes(COMPACT_M, device='cpu', threads=threads)
    column = list(model.outputs).index('age')

    def look(crops: np.ndarray) -> np.ndarray:
        years = model.network(crops)[column]
        return np.stack([years[:, low:high + 1].sum(1) for low, high in AGE_GROUPS_YEARS],
                        1).argmax(1)

    return look, model.size_px


def age_groups(look: Look, side: int, args: argparse.Namespace) -> dict[str, Any]:
    """Exact and one-off accuracy with the interval and the confusion of groups, on UTKFace."""
    samples = [sample for sample in read_pack(args.data, (args.split,), ('utkface',))
               if group_of_range(sample.age_low, sample.age_high) is not None]
    if not samples:
        raise DataError(f'{args.data} has no {args.split} face of utkface in an age group')
    true = groups_of(table_of(samples))
    seen = np.concatenate([look(pictures(samples[i:i + _BATCH], side))
                           for i in range(0, len(samples), _BATCH)])
    counts = np.zeros((len(AGE_GROUPS_YEARS),) * 2, int)
    np.add.at(counts, (true, seen), 1)
    shares = {name: round(value, 4) for name, value in accuracy(seen, true).items()}
    interval = wilson(int(counts.trace()), len(true))
    return {'faces': len(true), **shares, 'interval_95': [round(value, 4) for value in interval],
            'commonest_group': round(float(counts.sum(1).max() / len(true)), 4),
            'confusion': counts.tolist()}


def everything(network: AllInOneNet, args: argparse.Namespace) -> dict[str, Any]:
    """{source: {'faces', figures as of the training's log}}."""
    found = {}
    for source in SOURCES:
        samples = read_pack(args.data, (args.split,), (source,))
        if samples:
            raw = answers(network, samples)
            labels = labels_of(table_of(samples))
            found[source] = {'faces': len(samples), **{
                name: round(value, 4) for name, value in figures(raw, labels).items()}}
    return found


@torch.inference_mode()
def answers(network: AllInOneNet, samples: list[Sample]) -> dict[str, np.ndarray]:
    """{head: raw outputs (N, ...)}."""
    normalise, recipe, parts = Normalise('signed'), Recipe(), []
    for start in range(0, len(samples), _BATCH):
        crops = pictures(samples[start:start + _BATCH], recipe.rescale_px)
        image = torch.from_numpy(np.ascontiguousarray(middle(crops, recipe)))
        parts.append(network(normalise(image)))
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


def labels_of(table: LabelTable) -> dict[str, np.ndarray]:
    """A table's labels as `figures` wants them, after the middle crop."""
    columns = {name: torch.from_numpy(column) for name, column in table.labels.items()}
    return {name: column.numpy()
            for name, column in with_points(middle_labels(columns, Recipe())).items()}


def pictures(samples: list[Sample], side: int) -> np.ndarray:
    """(B, side, side, 3) uint8 BGR."""
    return np.stack([resized(cut(read_picture(sample.image), sample.box_fraction), side)
                     for sample in samples])
