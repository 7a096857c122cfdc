# SPDX-License-Identifier: Apache-2.0
"""The same figures by group of people, by size of face and by yaw, with bootstrap intervals."""

from __future__ import annotations

import numpy as np

from face_attributes_ros.training.attributes.report import ages_of, report, rows_with
from face_attributes_ros.training.attributes.scores import AGE_BIN_STARTS, bin_hits

LEAST_COUNT = 30
"""Groups with fewer faces are shown but never named as the worst."""


def bootstrap_interval(values, draws=1000, seed=0):
    """[low, high]: the 95 % bootstrap interval of the mean."""
    values = np.asarray(values, float)
    picks = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    return np.percentile(values[picks].mean(1), [2.5, 97.5])


def age_label(number):
    """'20-29' for the nine age ranges; '70+' for the last."""
    starts = AGE_BIN_STARTS
    return f'{starts[number]}+' if number == len(
        starts) - 1 else f'{starts[number]}-{starts[number + 1] - 1}'


def group_rows(table, source):
    """{(age range, gender): row numbers} of one source, in order of age; empty groups are left
    out."""
    rows = rows_with(table, source, 'age_low', 'p_female')
    ranges = np.searchsorted(AGE_BIN_STARTS, table.labels['age_low'][rows], 'right') - 1
    female = table.labels['p_female'][rows] > 0.5
    groups = {
        (age_label(number), gender): rows[(ranges == number) & (female == (gender == 'female'))]
        for number in range(len(AGE_BIN_STARTS))
        for gender in ('female', 'male')
    }
    return {group: members for group, members in groups.items() if len(members)}


def group_figures(outputs, table, source, rows):
    """Gender accuracy, and mean age error and bias (exact ages) or age-range accuracy, each with
    its interval.
    """
    hits = (outputs['gender'][rows] > 0.5) == (table.labels['p_female'][rows] > 0.5)
    figures = {'count': len(rows), 'gender_accuracy': hits.mean(),
               'gender_interval': bootstrap_interval(hits)}
    low, high = table.labels['age_low'][rows], table.labels['age_high'][rows]
    if (low == high).all():
        errors = ages_of(outputs)[rows] - low
        return figures | {'age_mae_years': np.abs(errors).mean(),
                          'age_interval_years': bootstrap_interval(np.abs(errors)),
                          'age_bias_years': errors.mean()}
    hits = bin_hits(outputs['age'][rows], low)
    return figures | {
        'age_bin_accuracy': hits.mean(), 'age_bin_interval': bootstrap_interval(hits)
    }


def group_report(outputs, table, sources=('utkface', 'fairface')):
    """{source: {'groups': rows of the age x gender table, 'worst': {figure: row}}}."""
    found = {}
    for source in sources:
        rows = [{'age': age, 'gender': gender, **group_figures(outputs, table, source, members)}
                for (age, gender), members in group_rows(table, source).items()]
        if rows:
            found[source] = {'groups': rows, 'worst': worst_groups(rows)}
    return found


def worst_groups(rows):
    """{figure: [age, gender, value]} of the worst group with at least LEAST_COUNT faces."""
    large = [row for row in rows if row['count'] >= LEAST_COUNT] or rows
    worst = {}
    for figure, pick in (('gender_accuracy', min), ('age_mae_years', max), ('age_bin_accuracy',
                                                                            min)):
        if figure in large[0]:
            row = pick(large, key=lambda row: row[figure])
            worst[figure] = [row['age'], row['gender'], row[figure]]
    return worst


HEADLINE = ('age_mae_years', 'gender_accuracy', 'age_bin_accuracy', 'expression_accuracy',
            'expression_balanced',
            'smile_accuracy', 'pose_mae_deg', 'landmark_nme')


def headlines(outputs, table):
    """{source: {figure: value}} of the few figures that the robustness tables show."""
    return {source: {name: figures[name] for name in HEADLINE if name in figures}
            for source, figures in report(outputs, table).items()}


def size_report(run, table, pictures, sizes):
    """One row a face size: the headlines after every picture was shrunk to that many pixels, and
    the mean quality.
    """
    from face_attributes_ros.training.attributes.data.cache import resized
    found = []
    for size in sizes:
        small = [picture if min(picture.shape[:2]) <= size else resized(picture, size)
                 for picture in pictures]
        outputs = run(small)
        row = {'face_px': size, **headlines(outputs, table)}
        found.append(row | (
            {'mean_quality': outputs['quality'].mean()} if 'quality' in outputs else {}))
    return found


YAW_EDGES_DEG = (0, 10, 20, 90)


def yaw_report(outputs, table):
    """One row a range of |yaw|: labelled where the source has pose labels, else as predicted by
    the network itself.
    """
    labelled = ~np.isnan(table.labels['pose'][:, 0])
    yaw = np.degrees(np.abs(np.where(labelled, table.labels['pose'][:, 0], outputs['pose'][:, 0])))
    found = []
    for low, high in zip(YAW_EDGES_DEG, YAW_EDGES_DEG[1:], strict=False):
        rows = np.flatnonzero((yaw >= low) & (yaw < high))
        part = {name: column[rows] for name, column in outputs.items()}
        counts = {source: int((table.sources[rows] == source).sum())
                  for source in dict.fromkeys(table.sources.tolist())}
        found.append(
            {'yaw_deg': [low, high], 'count': counts, **headlines(part, table.subset(rows))})
    return found
