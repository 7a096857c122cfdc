# SPDX-License-Identifier: Apache-2.0
"""What int8 costs and gains: every figure of a network by name, the drop that is allowed in each,
and its speed.

Detectors: AP at IoU .5 and .5:.95 of every part of the data, each at most 0.5 points. Attributes:
every share (accuracies, exact groups, coverage, answered) at most 0.5 % absolute; errors have
units of their own, so their bars are a half per cent of what they are read against: 0.05 years,
0.1 degrees, 0.0005 of the eye distance.

Calibration errors (ECE) are reported and have no bar: over a few hundred faces in 15 bins they
move by a point either way when nothing of note changes (on val they doubled when the first layer
of int8 was made float again). The Brier scores, whose paired differences are not of that kind,
have one instead.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from face_attributes_ros.engines.models import Model
from face_attributes_ros.engines.seam import Network, OpenNetwork
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.attributes.heads import HEADS, METRICS
from face_attributes_ros.training.attributes.predict import predict as predict_attributes
from face_attributes_ros.training.attributes.report import (
    calibration_report,
    report,
    selective_report,
)
from face_attributes_ros.training.attributes.scores import Arrays, known
from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.data import Sample
from face_attributes_ros.training.detector.evaluate import parts_of
from face_attributes_ros.training.detector.predict import make_detect
from face_attributes_ros.training.detector.predict import predict as predict_faces

SHARE_BAR = .005
BARS = {'ap50': .005, 'ap50_95': .005, 'brier': -.005,
        **{name: metric.bar for name, metric in METRICS.items()}}
"""Largest allowed drop by kind; negative for errors, which may rise by so much."""
SHARE_ON_VAL = .5
"""How much of a bar a candidate may use up on val: test scatters about it."""
REPEATS = 31


def detector_figures(network: Network, samples: Sequence[Sample],
                     input_px: int) -> dict[str, float]:
    """{part_figure: value} of a detector `Network` over labelled pictures."""
    results = predict_faces(make_detect(network, input_px), samples)
    figures: dict[str, float] = {}
    for part, chosen in parts_of(samples).items():
        found = coco_metrics([results[index] for index in chosen])
        figures |= {f'{part}_{kind}': value for kind, value in found.items()
                    if kind in ('ap50', 'ap50_95') and value is not None}
    return figures


def attribute_figures(network: OpenNetwork, pictures: Sequence[np.ndarray], table: LabelTable,
                      model: Model) -> dict[str, float]:
    """{source_figure: value} of an attribute `Network` over labelled faces."""
    outputs = predict_attributes(network, pictures, model.input_px)
    figures: dict[str, float | None] = {}
    for source, values in report(outputs, table).items():
        figures |= {
            f'{source}_{name}': value
            for name, value in values.items()
            if name in METRICS
        }
    for head, values in selective_report(outputs, table, model.thresholds).items():
        figures |= {
            f'selective_{head}_accuracy': values['accuracy'],
            f'selective_{head}_answered': values['answered']
        }
    for head, values in calibration_report(outputs, table, {}).items():
        figures[f'{head}_ece'] = values['ece']
    figures |= brier_figures(outputs, table)
    return {name: float(value) for name, value in figures.items() if value is not None}


def brier_figures(outputs: Arrays, table: LabelTable) -> dict[str, float]:
    """{head_brier: mean squared difference of probabilities from labels} over all faces that are
    labelled, of the heads with a confidence."""
    found = {}
    for head in HEADS:
        rows = known(table.labels[head.column]) if head.honest else np.zeros(len(table), bool)
        if rows.any():
            found[f'{head.name}_brier'] = ((outputs[head.name][rows] -
                                            table.labels[head.column][rows]) ** 2).mean()
    return found


def bar_of(name: str) -> float:
    """The bar of a figure by the end of its name."""
    return next((bar for kind, bar in BARS.items() if name.endswith(kind)), SHARE_BAR)


def failures(floats: Mapping[str, float], int8s: Mapping[str, float],
             share: float = 1.) -> list[str]:
    """Names of the figures whose drop reaches `share` of their bar; an interval's coverage may
    move to neither side."""
    found = []
    for name, value in floats.items():
        if name.endswith('_ece'):
            continue
        bar, drop = share * bar_of(name), value - int8s[name]
        drop = abs(drop) if name.endswith('interval_coverage') else drop * np.sign(bar)
        if not drop < abs(bar):
            found.append(name)
    return found


def cpu_ms(networks: Mapping[str, Network], shape: Sequence[int],
           repeats: int = REPEATS) -> dict[str, float]:
    """{name: median CPU milliseconds of one call} over a random batch, the networks taking
    turns."""
    batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    spent: dict[str, list[float]] = {name: [] for name in networks}
    for number in range(repeats + 3):
        for name, network in networks.items():
            start = time.process_time()
            network(batch)
            if number >= 3:     # the first calls make buffers
                spent[name].append(time.process_time() - start)
    return {name: round(1e3 * float(np.median(values)), 3) for name, values in spent.items()}
