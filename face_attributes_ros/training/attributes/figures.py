# SPDX-License-Identifier: Apache-2.0
"""What a report tells of a head besides its metrics: age groups, coverage, recalls, confusion."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, recall_score

from face_attributes_ros.faces import AGE_GROUPS_YEARS, EXPRESSIONS
from face_attributes_ros.training.attributes.calibration import coverage
from face_attributes_ros.training.attributes.scores import (
    Arrays,
    ages_of,
    exact_ages,
    pose_errors,
)


def group_of(ages: np.ndarray) -> np.ndarray:
    """(N,) index of the paper's age group, -1 between groups."""
    found = np.full(len(ages), -1)
    for number, (low, high) in enumerate(AGE_GROUPS_YEARS):
        found[(ages >= low) & (ages <= high)] = number
    return found


def group_answers(outputs: Arrays, rows: np.ndarray) -> np.ndarray:
    """(n,) group with the most mass; for a network without a distribution the group nearest to its
    age."""
    if 'age' in outputs:
        mass = np.stack(
            [outputs['age'][rows, low:high + 1].sum(1) for low, high in AGE_GROUPS_YEARS], 1)
        answers: np.ndarray = mass.argmax(1)
        return answers
    limits = np.array(AGE_GROUPS_YEARS, float)
    ages = outputs['age_years'][rows, None]
    return (np.maximum(limits[:, 0] - ages, 0) + np.maximum(ages - limits[:, 1], 0)).argmin(1)


def age_details(outputs: Arrays, labels: Arrays, rows: np.ndarray) -> dict[str, Any]:
    """Exact ages: bias in years, the eight groups exactly and within one, interval coverage."""
    if not exact_ages(labels)[rows].all():
        return {}
    truth = labels['age_low'][rows]
    groups = group_of(truth)
    inside = groups >= 0
    apart = np.abs(group_answers(outputs, rows[inside]) - groups[inside])
    found = {
        'age_bias_years': (ages_of(outputs)[rows] - truth).mean(),
        'groups_count': int(inside.sum()), 'groups_exact': (apart == 0).mean(),
        'groups_one_off': (apart <= 1).mean()
    }
    if 'age' in outputs:
        found['interval_coverage'] = coverage(outputs['age'][rows], truth)
    return found


def expression_details(outputs: Arrays, labels: Arrays, rows: np.ndarray) -> dict[str, Any]:
    """Balanced accuracy (the mean of the recalls), recall by class, confusion counts
    [true][said]."""
    truth, said = labels['expression'][rows].argmax(1), outputs['expression'][rows].argmax(1)
    present = np.unique(truth)
    recalls = recall_score(truth, said, labels=present, average=None)
    names = [EXPRESSIONS[label] for label in present]
    return {'expression_balanced': recalls.mean(),
            'recall': dict(zip(names, recalls, strict=True)),
            'confusion': confusion_matrix(truth, said, labels=range(len(EXPRESSIONS)))}


def pose_details(outputs: Arrays, labels: Arrays, rows: np.ndarray) -> dict[str, Any]:
    """Mean absolute error in degrees of each angle."""
    errors = pose_errors(outputs, labels, rows).mean(0)
    return {'pose_deg': dict(zip(('yaw', 'pitch', 'roll'), errors, strict=True))}
