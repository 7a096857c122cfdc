# SPDX-License-Identifier: Apache-2.0
"""A handful of figures from decoded outputs and labels, for the look at val during training."""

from __future__ import annotations

import numpy as np

LEFT_EYE, RIGHT_EYE = 36, 45
"""Outer eye corners; their distance is the inter-ocular distance of the 68-point sets."""


def known(column):
    """Which rows carry a label."""
    return ~np.isnan(column.reshape(len(column), -1)[:, 0])


def years(age_probs):
    """(N,) expected ages."""
    return age_probs @ np.arange(age_probs.shape[1])


def landmark_errors(predicted, true):
    """(N,) mean point distance over the inter-ocular distance (outer eye corners)."""
    distance = np.linalg.norm(predicted - true, axis=2).mean(1)
    return distance / np.linalg.norm(true[:, LEFT_EYE] - true[:, RIGHT_EYE], axis=1)


AGE_BIN_STARTS = (0, 3, 10, 20, 30, 40, 50, 60, 70)
"""First years of the nine age ranges of FairFace."""


def bin_hits(age_probs, low):
    """(N,) whether the labelled range, which starts at `low` years, is the one of the nine with
    the most mass.
    """
    mass = np.add.reduceat(age_probs, AGE_BIN_STARTS, axis=1)
    return mass.argmax(1) == np.searchsorted(AGE_BIN_STARTS, low, side='right') - 1


def quick_scores(outputs, table):
    """{name: figure} over whatever labels there are: years, shares of hits, degrees, inter-ocular
    fractions.
    """
    labels, scores = table.labels, {}
    exact = known(labels['age_low']) & (labels['age_low'] == labels['age_high'])
    ranged = known(labels['age_low']) & ~exact
    if exact.any():
        scores['age_mae'] = np.abs(years(outputs['age'][exact]) - labels['age_low'][exact]).mean()
    if ranged.any():
        scores['age_bin'] = bin_hits(outputs['age'][ranged], labels['age_low'][ranged]).mean()
    for source in sorted(set(table.sources[known(labels['p_female'])])):
        rows = table.rows_of(source)
        hits = (outputs['gender'][rows] > 0.5) == (labels['p_female'][rows] > 0.5)
        scores[f'gender_{source}'] = hits.mean()
    rows = known(labels['expression'])
    if rows.any():
        hits = outputs['expression'][rows].argmax(1) == labels['expression'][rows].argmax(1)
        truth = labels['expression'][rows].argmax(1)
        scores['expression'] = hits.mean()
        scores['expression_balanced'] = np.mean(
            [hits[truth == label].mean() for label in np.unique(truth)])
    rows = known(labels['smile']) & known(labels['pose'])
    if rows.any():
        scores['smile'] = ((outputs['smile'][rows] > 0.5) == (labels['smile'][rows] > 0.5)).mean()
        scores['pose_deg'] = np.degrees(np.abs(outputs['pose'][rows] -
                                               labels['pose'][rows])).mean()
    rows = known(labels['landmarks'])
    if rows.any():
        scores['nme'] = landmark_errors(outputs['landmarks'][rows],
                                        labels['landmarks'][rows]).mean()
    return {name: float(value) for name, value in scores.items()}
