# SPDX-License-Identifier: Apache-2.0
"""What `evaluate attributes` says of a set of outputs: every figure by source, for networks that
give only some heads.

`outputs` maps names to arrays of N rows: `age` (N, 101) distributions or only `age_years` (N,),
`gender`, `expression` (N, 7), `smile`, `pose` (N, 3), `landmarks` (N, 68, 2) crop fractions,
`face`, `quality`.
"""

from __future__ import annotations

import numpy as np

from face_attributes_ros.faces import AGE_GROUPS_YEARS, EXPRESSIONS
from face_attributes_ros.training.attributes.calibration import (
    calibration_error,
    confidence_and_hit,
    coverage,
    with_temperature,
)
from face_attributes_ros.training.attributes.scores import (
    AGE_BIN_STARTS,
    bin_hits,
    known,
    landmark_errors,
    years,
)


def rows_with(table, source, *columns):
    """Row numbers of one source that carry all the labels named."""
    keep = table.sources == source
    for column in columns:
        keep = keep & known(table.labels[column])
    return np.flatnonzero(keep)


def ages_of(outputs):
    """(N,) years, from the distribution where there is one."""
    return years(outputs['age']) if 'age' in outputs else outputs['age_years']


def group_of(ages):
    """(N,) index of the paper's age group, -1 between groups."""
    found = np.full(len(ages), -1)
    for number, (low, high) in enumerate(AGE_GROUPS_YEARS):
        found[(ages >= low) & (ages <= high)] = number
    return found


def group_answers(outputs, rows):
    """(n,) group with the most mass; for a network without a distribution the group nearest to its
    age."""
    if 'age' in outputs:
        mass = np.stack(
            [outputs['age'][rows, low:high + 1].sum(1) for low, high in AGE_GROUPS_YEARS], 1)
        return mass.argmax(1)
    limits = np.array(AGE_GROUPS_YEARS, float)
    ages = outputs['age_years'][rows, None]
    return (np.maximum(limits[:, 0] - ages, 0) + np.maximum(ages - limits[:, 1], 0)).argmin(1)


def age_figures(outputs, table, source):
    """Exact ages: mean absolute error and bias in years, the eight groups exactly and within one,
    interval coverage.
    """
    rows = rows_with(table, source, 'age_low')
    truth = table.labels['age_low'][rows]
    errors = ages_of(outputs)[rows] - truth
    groups = group_of(truth)
    inside = groups >= 0
    apart = np.abs(group_answers(outputs, rows[inside]) - groups[inside])
    figures = {
        'count': len(rows), 'age_mae_years': np.abs(errors).mean(),
        'age_bias_years': errors.mean(), 'groups_count': int(inside.sum()),
        'groups_exact': (apart == 0).mean(), 'groups_one_off': (apart <= 1).mean()
    }
    if 'age' in outputs:
        figures['interval_coverage'] = coverage(outputs['age'][rows], truth)
    return figures


def range_figures(outputs, table, source):
    """Age ranges: how often the answer is the labelled one of the nine."""
    rows = rows_with(table, source, 'age_low')
    low = table.labels['age_low'][rows]
    if 'age' in outputs:
        hits = bin_hits(outputs['age'][rows], low)
    else:
        starts = np.array(AGE_BIN_STARTS)
        said = np.searchsorted(starts, outputs['age_years'][rows], 'right')
        hits = said == np.searchsorted(starts, low, 'right')
    return {'count': len(rows), 'age_bin_accuracy': hits.mean()}


def expression_figures(outputs, table, source):
    """Accuracy, balanced accuracy (the mean of the recalls), recall and count by class, confusion
    counts [true][said].
    """
    rows = rows_with(table, source, 'expression')
    truth, said = table.labels['expression'][rows].argmax(1), outputs['expression'][rows].argmax(1)
    confusion = np.zeros((len(EXPRESSIONS), len(EXPRESSIONS)), int)
    np.add.at(confusion, (truth, said), 1)
    present = confusion.sum(1) > 0
    recall = confusion.diagonal()[present] / confusion.sum(1)[present]
    names = [name for name, there in zip(EXPRESSIONS, present, strict=True) if there]
    return {'count': len(rows), 'expression_accuracy': (truth == said).mean(),
            'expression_balanced': recall.mean(),
            'recall': dict(zip(names, recall, strict=True)), 'confusion': confusion}


def gender_figures(outputs, table, source):
    """How often the likelier gender is the labelled one."""
    rows = rows_with(table, source, 'p_female')
    hits = (outputs['gender'][rows] > 0.5) == (table.labels['p_female'][rows] > 0.5)
    return {'count': len(rows), 'gender_accuracy': hits.mean()}


def smile_figures(outputs, table, source):
    """How often smile or no smile is right."""
    rows = rows_with(table, source, 'smile')
    return {
        'smile_accuracy': ((outputs['smile'][rows] > 0.5) == (table.labels['smile'][rows]
                                                              > 0.5)).mean()
    }


def pose_figures(outputs, table, source):
    """Mean absolute error in degrees of each angle, and their mean."""
    rows = rows_with(table, source, 'pose')
    errors = np.degrees(np.abs(outputs['pose'][rows] - table.labels['pose'][rows])).mean(0)
    return {'count': len(rows), 'pose_mae_deg': errors.mean(),
            'pose_deg': dict(zip(('yaw', 'pitch', 'roll'), errors, strict=True))}


def landmark_figures(outputs, table, source):
    """Mean landmark error over the inter-ocular distance."""
    rows = rows_with(table, source, 'landmarks')
    errors = landmark_errors(outputs['landmarks'][rows], table.labels['landmarks'][rows])
    return {'count': len(rows), 'landmark_nme': errors.mean()}


FIGURES = (('age', 'age_low', age_figures), ('gender', 'p_female', gender_figures),
           ('expression', 'expression', expression_figures), ('smile', 'smile', smile_figures),
           ('pose', 'pose', pose_figures), ('landmarks', 'landmarks', landmark_figures))
DERIVED_SMILES = ('ferplus', 'jaffe')
"""Sources whose smile labels are read off the expression: not to be judged by."""


def report(outputs, table):
    """{source: figures} for every head that is both given and labelled."""
    found = {}
    for source in dict.fromkeys(table.sources.tolist()):
        figures = {}
        for head, column, measure in FIGURES:
            missing = head not in outputs and not (head == 'age' and 'age_years' in outputs)
            derived = head == 'smile' and source in DERIVED_SMILES
            rows = rows_with(table, source, column)
            if missing or derived or not len(rows):
                continue
            if head == 'age' and (table.labels['age_low'] < table.labels['age_high'])[rows].any():
                measure = range_figures
            figures |= measure(outputs, table, source)
        if figures:
            found[source] = figures
    return found


def calibration_report(outputs, table, temperatures):
    """ECE of gender, expression and smile with the temperature, and what it was without it."""
    found = {}
    for head, column, sources in (('gender', 'p_female', ('utkface', 'fairface')),
                                  ('expression', 'expression', ('ferplus',)),
                                  ('smile', 'smile', ('genki4k',))):
        rows = np.flatnonzero(known(table.labels[column]) & np.isin(table.sources, sources))
        if head not in outputs or not len(rows):
            continue
        temperature, target = temperatures.get(head, 1.0), table.labels[column][rows]
        before = with_temperature(outputs[head][rows], 1 / temperature)
        found[head] = {'count': len(rows), 'temperature': temperature,
                       'ece_before': calibration_error(*confidence_and_hit(before, target)),
                       'ece': calibration_error(*confidence_and_hit(outputs[head][rows], target))}
    return found


def selective_report(outputs, table, thresholds):
    """How many answers are given at the shipped thresholds, and how many of those are right."""
    found = {}
    for head, column, sources in (('gender', 'p_female', ('utkface', 'fairface')),
                                  ('expression', 'expression', ('ferplus',))):
        rows = np.flatnonzero(known(table.labels[column]) & np.isin(table.sources, sources))
        if head in outputs and head in thresholds and len(rows):
            confidence, hit = confidence_and_hit(outputs[head][rows], table.labels[column][rows])
            given = confidence >= thresholds[head]
            found[head] = {'threshold': thresholds[head], 'answered': given.mean(),
                           'accuracy': hit[given].mean() if given.any() else None}
    return found
