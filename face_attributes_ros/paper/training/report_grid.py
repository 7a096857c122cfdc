# SPDX-License-Identifier: Apache-2.0
"""Tables 2 and 3 of the paper as one picture: persons across, expressions down, what the system
says under each face.

    face-attributes report grid --data jaffe --out grid.png                     # pool5 + SVM \
        trained on the other nine
    face-attributes report grid --data jaffe --out grid.png --model compact_m   # a network \
        that never saw JAFFE

A green frame is right, a red one wrong. The picture shows people: keep it out of anything you
publish without their terms.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from face_attributes_ros.build import PAPER_MODELS
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.paper.models import open_paper_model
from face_attributes_ros.paper.training.evaluate_pool5 import (
    add_feature_arguments,
    open_detector,
    open_features,
)
from face_attributes_ros.paper.training.jaffe import (
    Portrait,
    grey_pictures,
    labels,
    read_portraits,
)
from face_attributes_ros.paper.training.pool5_svm import (
    held_out_scores,
    probabilities,
    temperature,
)
from face_attributes_ros.paper.training.results import record
from face_attributes_ros.training.attributes.data.cache import read_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIGHT, WRONG = '#1a7f37', '#cf222e'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `report grid`."""
    add_feature_arguments(parser)
    parser.add_argument('--model', choices=PAPER_MODELS,
                        help='this system in place of a machine trained on the others')
    parser.add_argument('--out', type=Path, default=Path('expression_grid.png'),
                        help='PNG to write (default: %(default)s)')
    parser.add_argument('--results', type=Path,
                        help='JSON of figures to enter the shares into (bench/results/paper.json)')


def run(args: argparse.Namespace) -> int:
    """Writes the picture, prints the share that is right; returns the exit status."""
    portraits = read_portraits(args.data)
    probs = model_probabilities(args, portraits) if args.model else machine_probabilities(
        args, portraits)
    truth, persons = labels(portraits)
    shown = first_of_each(truth, persons)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    draw(args.out, portraits, probs, shown, args.model
         or f'{args.trunk} + SVM, trained on the other women')
    right = probs.argmax(1) == truth
    shares = {
        'shown': len(shown), 'right_shown': round(float(right[list(shown.values())].mean()), 4),
        'pictures': len(truth), 'right': round(float(right.mean()), 4)
    }
    if args.results:
        record(args.results, f'grid {args.model or args.trunk}', shares)
    print(
        f'{args.out}: {shares["shown"]} of {len(truth)} pictures shown; '
        f'right {shares["right_shown"]:.3f} of those, {shares["right"]:.3f} of all')
    return 0


def machine_probabilities(args: argparse.Namespace, portraits: Sequence[Portrait]) -> np.ndarray:
    """(N, 7) by machines that never saw the woman they judge."""
    truth, persons = labels(portraits)
    features, _, _ = open_features(args, portraits)
    scores = held_out_scores(features, truth, persons, 'leave_one_subject_out')
    return probabilities(scores, temperature(scores, truth))


def model_probabilities(args: argparse.Namespace, portraits: Sequence[Portrait]) -> np.ndarray:
    """(N, 7) by one of the live systems; faces that are not found get equal parts."""
    detector = open_detector(args)
    system = open_paper_model(args.model, 'cpu')
    estimator = AttributeEstimator(system.network, system.outputs, size_px=system.size_px,
                                   crop_scale=system.crop_scale)
    probs = np.full((len(portraits), len(EXPRESSIONS)), 1 / len(EXPRESSIONS))
    for row, picture in zip(probs, grey_pictures(portraits)):
        found = estimator.crops([picture]) if detector is None else estimator(
            picture,
            detector(picture)[:1])
        for attributes in found:
            row[:] = attributes.expression_probs
    return probs


def first_of_each(truth: np.ndarray, persons: np.ndarray) -> dict[tuple[str, int], int]:
    """{(person, expression index): row} of the first picture of each pair."""
    rows: dict[tuple[str, int], int] = {}
    for row, key in enumerate(zip(persons.tolist(), truth.tolist())):
        rows.setdefault(key, row)
    return rows


def draw(path: Path, portraits: Sequence[Portrait], probs: np.ndarray,
         shown: Mapping[tuple[str, int], int], title: str) -> None:
    """Writes the grid."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    persons = sorted({person for person, _ in shown})
    size = 1.25 * len(persons) + .6, 1.5 * len(EXPRESSIONS) + .4
    figure, axes = pyplot.subplots(len(EXPRESSIONS), len(persons), figsize=size, dpi=90,
                                   layout='constrained', squeeze=False)
    figure.suptitle(title, fontsize=10)
    for (row, column), axis in np.ndenumerate(axes):
        axis.set(xticks=[], yticks=[])
        found = shown.get((persons[column], row))
        if found is not None:
            _cell(axis, read_picture(portraits[found].image), probs[found], row)
        if row == 0:
            axis.set_title(persons[column], fontsize=9)
        if column == 0:
            axis.set_ylabel(EXPRESSIONS[row], fontsize=9)
    figure.savefig(path)
    pyplot.close(figure)


def _cell(axis: Axes, picture: np.ndarray, probs: np.ndarray, truth: int) -> None:
    best = int(probs.argmax())
    colour, mark = (RIGHT, '\N{CHECK MARK}') if best == truth else (WRONG,
                                                                    '\N{MULTIPLICATION SIGN}')
    axis.imshow(picture[..., ::-1])
    axis.set_xlabel(f'{mark} {EXPRESSIONS[best]} {probs[best]:.2f}', fontsize=7, color=colour,
                    labelpad=2)
    for side in axis.spines.values():
        side.set(color=colour, linewidth=2)
