# SPDX-License-Identifier: Apache-2.0
"""One row a head of what is trained and judged: labels, loss, metrics, calibration.

Losses, log columns, reports, tables, the look at val and the bars of int8 are loops over these
rows: to train and judge another head, add one. What the network gives is `networks/`' business,
what becomes of it at run time `face_attributes_ros/heads.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from face_attributes_ros.training.attributes.figures import (
    age_details,
    expression_details,
    pose_details,
)
from face_attributes_ros.training.attributes.losses import (
    age_loss,
    binary_loss,
    distance_gap,
    distribution_gap,
    expression_loss,
    landmark_loss,
    pose_loss,
    yes_no_gap,
)
from face_attributes_ros.training.attributes.scores import (
    Arrays,
    Values,
    age_errors,
    bin_hits,
    class_hits,
    landmark_errors,
    mean_pose_errors,
    yes_no_hits,
)

Tensors = Mapping[str, Tensor]
SETS = {'utkface': 'UTKFace', 'fairface': 'FairFace', 'ferplus': 'FER+', 'jaffe': 'JAFFE',
        'genki4k': 'GENKI-4K', 'ytf68': 'YouTube Faces'}
"""Sources that are judged, by the names they are shown under."""


@dataclass(frozen=True)
class Metric:
    """One figure: its name in results, how it is shown, and how much of it int8 may lose.

    `values` gives one value a face, whose mean it is; None where `details` of the head give it.
    `sets` are the sources whose figure is shown, each with its column in a training's log ('' for
    none). `bar` is negative for errors. `interval` is the name of its interval
    in the table of groups of people ('': not in it), `by_size` puts it into that of face sizes.
    """

    name: str
    title: str
    unit: str
    digits: int
    bar: float
    values: Values | None = None
    sets: Mapping[str, str] = field(default_factory=dict)
    interval: str = ''
    by_size: bool = False

    @property
    def is_error(self) -> bool:
        """Whether less is better."""
        return self.bar < 0

    def shown(self, value: float) -> str:
        """The value as text; shares in percent."""
        percent = self.unit == '%'
        return f'{value * (100 if percent else 1):.{self.digits}f} {self.unit}'

    def title_on(self, source: str) -> str:
        """What it is called in a table of several sets."""
        unseen = ', never trained on' if source == 'jaffe' else ''
        return f'{SETS[source]} {self.title}{unseen}'


@dataclass(frozen=True)
class TrainingHead:
    """One head: `column` is the label that a face must carry, `weight` that of its loss.

    `loss` takes raw outputs (B, K), labels and class weights, and is a mean over the faces that
    carry the label; `gap` is how far raw outputs are from a teacher's. `balanced` heads weigh
    classes by rarity. `given` are the names under which a network may answer. `details` are told
    besides the metrics. Sources in `honest` were asked for just this label: confidence is judged
    on them, at the export where the column `asked` is known too. Sources in `derived` read it off
    another label: it is not judged on them.
    """

    name: str
    column: str
    weight: float
    loss: Callable[[Tensor, Tensors, Tensors], Tensor]
    gap: Callable[[Tensor, Tensor], Tensor]
    metrics: tuple[Metric, ...] = ()
    details: Callable[[Arrays, Arrays, np.ndarray], dict[str, Any]] | None = None
    given: tuple[str, ...] = ()
    balanced: bool = False
    honest: tuple[str, ...] = ()
    asked: str = ''
    derived: tuple[str, ...] = ()

    def answered(self, outputs: Arrays) -> bool:
        """Whether a network's outputs say anything of this head."""
        return any(name in outputs for name in self.given or (self.name,))


def yes_no(column: str, smoothing: float = 0.0) -> Callable[[Tensor, Tensors, Tensors], Tensor]:
    """The loss of a logit (B, 1) against a label of 0 to 1."""
    return lambda raw, labels, _: binary_loss(raw, labels[column], smoothing)


def share(name: str, title: str, **more: Any) -> Metric:
    """A share that is better when larger, of which int8 may lose half a point."""
    return Metric(name, title, '%', 1, .005, **more)


HEADS = (
    TrainingHead(
        'age', 'age_low', 1.0, gap=distribution_gap, details=age_details,
        loss=lambda raw, labels, _: age_loss(raw, labels['age_low'], labels['age_high']),
        given=('age', 'age_years'), metrics=(
            Metric('age_mae_years', 'age, mean error', 'years', 2, -.05, age_errors,
                   {'utkface': 'age_mae'}, interval='age_interval_years', by_size=True),
            share('age_bin_accuracy', 'age, 9 ranges', values=bin_hits,
                  sets={'fairface': 'age_bin'}, interval='age_bin_interval'),
            share('groups_exact', 'age groups of the paper'),
            share('groups_one_off', 'age groups within one'),
            share('interval_coverage', 'ages inside of the 80 % interval'))),
    TrainingHead(
        'gender', 'p_female', 1.0, yes_no('p_female', 0.05), yes_no_gap,
        honest=('utkface', 'fairface'), metrics=(
            share('gender_accuracy', 'gender', values=yes_no_hits('gender', 'p_female'),
                  sets={'utkface': 'gender_utkface', 'fairface': 'gender_fairface'},
                  interval='gender_interval', by_size=True),)),
    TrainingHead(
        'expression', 'expression', 1.0, gap=distribution_gap, details=expression_details,
        loss=lambda raw, labels, weights: expression_loss(raw, labels['expression'],
                                                          weights['expression']),
        balanced=True, honest=('ferplus',), metrics=(
            share('expression_accuracy', 'expression',
                  values=class_hits('expression', 'expression'),
                  sets={'ferplus': 'expression', 'jaffe': ''}, by_size=True),
            share('expression_balanced', 'expression, balanced',
                  sets={'ferplus': 'expression_balanced'}))),
    TrainingHead(
        'smile', 'smile', 0.5, yes_no('smile', 0.05), yes_no_gap, honest=('genki4k',),
        asked='pose', derived=('ferplus', 'jaffe'), metrics=(
            share('smile_accuracy', 'smile', values=yes_no_hits('smile', 'smile'),
                  sets={'genki4k': 'smile'}, by_size=True),)),
    TrainingHead(
        'pose', 'pose', 2.0, lambda raw, labels, _: pose_loss(raw, labels['pose']), distance_gap,
        details=pose_details, metrics=(
            Metric('pose_mae_deg', 'head pose, mean error', 'degrees', 2, -.1, mean_pose_errors,
                   {'genki4k': 'pose_deg'}),)),
    TrainingHead(
        'landmarks', 'landmarks', 10.0,
        lambda raw, labels, _: landmark_loss(raw, labels['landmarks']), distance_gap, metrics=(
            Metric('landmark_nme', 'landmarks, error over eye distance', '%', 1, -.0005,
                   landmark_errors, {'ytf68': 'nme'}, by_size=True),)),
    TrainingHead('face', 'face', 0.3, yes_no('face'), yes_no_gap),
    TrainingHead('quality', 'quality', 0.2, yes_no('quality'), yes_no_gap),
)
WEIGHTS = {head.name: head.weight for head in HEADS}
METRICS = {metric.name: metric for head in HEADS for metric in head.metrics}


def shown() -> Iterator[tuple[str, Metric]]:
    """(source, metric) of every figure that tables show, set by set."""
    for source in SETS:
        yield from ((source, metric) for metric in METRICS.values() if source in metric.sets)


def head_losses(raw: Tensors, labels: Tensors, class_weights: Tensors) -> dict[str, Tensor]:
    """{head: scalar loss} of a batch, of the heads that the network has; `labels` as in
    `tables.WIDTHS`, with `quality`; `class_weights` by balanced head."""
    return {head.name: head.loss(raw[head.name].float(), labels, class_weights)
            for head in HEADS if head.name in raw}


def distillation_loss(raw: Tensors, taught: Tensors) -> Tensor:
    """How far a student's raw outputs are from its teacher's, over every face, labelled or not."""
    gaps = [head.gap(raw[head.name].float(), taught[head.name].float())
            for head in HEADS if head.name in raw and head.name in taught]
    total: Tensor = sum(gaps[1:], gaps[0])
    return total
