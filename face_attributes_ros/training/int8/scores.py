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

import numpy as np

from face_attributes_ros.training.attributes.predict import predict as predict_attributes
from face_attributes_ros.training.attributes.report import (
    calibration_report,
    report,
    selective_report,
)
from face_attributes_ros.training.attributes.scores import known
from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.evaluate import parts_of
from face_attributes_ros.training.detector.predict import make_detect
from face_attributes_ros.training.detector.predict import predict as predict_faces

BARS = {
    'ap50': .005, 'ap50_95': .005, 'share': .005, 'age_mae_years': -.05, 'pose_mae_deg': -.1,
    'landmark_nme': -.0005, 'brier': -.005
}
"""Largest allowed drop by kind; negative for errors, which may rise by so much."""
SHARE_ON_VAL = .5
"""How much of a bar a candidate may use up on val: test scatters about it."""
_SHARES = ('groups_exact', 'groups_one_off', 'interval_coverage', 'gender_accuracy',
           'age_bin_accuracy', 'expression_accuracy', 'expression_balanced', 'smile_accuracy')
REPEATS = 31


def detector_figures(network, samples, input_px):
    """{part_figure: value} of a detector `Network` over labelled pictures."""
    results, figures = predict_faces(make_detect(network, input_px), samples), {}
    for part, chosen in parts_of(samples).items():
        found = coco_metrics([results[index] for index in chosen])
        figures |= {
            f'{part}_{kind}': found[kind]
            for kind in ('ap50', 'ap50_95')
            if found[kind] is not None
        }
    return figures


def attribute_figures(network, pictures, table, model):
    """{source_figure: value} of an attribute `Network` over labelled faces."""
    outputs, figures = predict_attributes(network, pictures, model.input_px), {}
    for source, values in report(outputs, table).items():
        figures |= {
            f'{source}_{name}': value
            for name, value in values.items()
            if name in BARS or name in _SHARES
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


def brier_figures(outputs, table):
    """{head_brier: mean squared difference of probabilities from labels} over all faces that are
    labelled."""
    found = {}
    for head, column in (('gender', 'p_female'), ('expression', 'expression'), ('smile', 'smile')):
        rows = known(table.labels[column])
        if rows.any():
            found[f'{head}_brier'] = ((outputs[head][rows] -
                                       table.labels[column][rows]) ** 2).mean()
    return found


def bar_of(name):
    """The bar of a figure by the end of its name."""
    return next((bar for kind, bar in BARS.items() if name.endswith(kind)), BARS['share'])


def failures(floats, int8s, share=1.):
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


def cpu_ms(networks, shape, repeats=REPEATS):
    """{name: median CPU milliseconds of one call} over a random batch, the networks taking
    turns."""
    batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    spent = {name: [] for name in networks}
    for number in range(repeats + 3):
        for name, network in networks.items():
            start = time.process_time()
            network(batch)
            if number >= 3:     # the first calls make buffers
                spent[name].append(time.process_time() - start)
    return {name: round(1e3 * float(np.median(values)), 3) for name, values in spent.items()}
