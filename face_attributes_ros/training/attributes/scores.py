# SPDX-License-Identifier: Apache-2.0
"""Labels and answers of single faces: who is labelled, years, ranges, errors, hits.

`outputs` maps names to arrays of N rows: `age` (N, 101) distributions or only `age_years` (N,),
`gender`, `expression` (N, 7), `smile`, `pose` (N, 3), `landmarks` (N, 68, 2) crop fractions,
`face`, `quality`; `labels` as in `tables.WIDTHS`, NaN where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
Values = Callable[[Arrays, Arrays, np.ndarray], 'np.ndarray | None']
"""(outputs, labels, row numbers) -> one value a row, whose mean is a metric; None where these
rows' labels are of another kind."""

LEFT_EYE, RIGHT_EYE = 36, 45
"""Outer eye corners; their distance is the inter-ocular distance of the 68-point sets."""
AGE_BIN_STARTS = (0, 3, 10, 20, 30, 40, 50, 60, 70)
"""First years of the nine age ranges of FairFace."""


def known(column: np.ndarray) -> np.ndarray:
    """Which rows carry a label."""
    labelled: np.ndarray = ~np.isnan(column.reshape(len(column), -1)[:, 0])
    return labelled


def exact_ages(labels: Arrays) -> np.ndarray:
    """(N,) bool: the faces whose age is known to the year."""
    exact: np.ndarray = known(labels['age_low']) & (labels['age_low'] == labels['age_high'])
    return exact


def years(age_probs: np.ndarray) -> np.ndarray:
    """(N,) expected ages."""
    expected: np.ndarray = age_probs @ np.arange(age_probs.shape[1])
    return expected


def ages_of(outputs: Arrays) -> np.ndarray:
    """(N,) years, from the distribution where there is one."""
    return years(outputs['age']) if 'age' in outputs else outputs['age_years']


def bin_of(ages: np.ndarray) -> np.ndarray:
    """(N,) which of the nine age ranges holds an age."""
    return np.searchsorted(AGE_BIN_STARTS, ages, side='right') - 1


def age_errors(outputs: Arrays, labels: Arrays, rows: np.ndarray) -> np.ndarray | None:
    """Years missed, where every age is exact."""
    if not exact_ages(labels)[rows].all():
        return None
    return np.abs(ages_of(outputs)[rows] - labels['age_low'][rows])


def bin_hits(outputs: Arrays, labels: Arrays, rows: np.ndarray) -> np.ndarray | None:
    """Whether the labelled range is the one of the nine with the most mass, or for a network
    without a distribution the one that holds its age; where ages are ranges."""
    if exact_ages(labels)[rows].all():
        return None
    if 'age' in outputs:
        mass = np.add.reduceat(outputs['age'][rows], AGE_BIN_STARTS, axis=1)
        said = mass.argmax(1)
    else:
        said = bin_of(outputs['age_years'][rows])
    return said == bin_of(labels['age_low'][rows])


def yes_no_hits(head: str, column: str) -> Values:
    """Values that say whether the likelier of yes and no is the labelled one."""
    return lambda outputs, labels, rows: ((outputs[head][rows] > 0.5)
                                          == (labels[column][rows] > 0.5))


def class_hits(head: str, column: str) -> Values:
    """Values that say whether the likeliest class is the labelled one."""
    return lambda outputs, labels, rows: (outputs[head][rows].argmax(1)
                                          == labels[column][rows].argmax(1))


def pose_errors(outputs: Arrays, labels: Arrays, rows: np.ndarray) -> np.ndarray:
    """(n, 3) degrees by which yaw, pitch and roll are missed."""
    return np.degrees(np.abs(outputs['pose'][rows] - labels['pose'][rows]))


def mean_pose_errors(outputs: Arrays, labels: Arrays, rows: np.ndarray) -> np.ndarray:
    """Degrees missed, the mean over the three angles."""
    errors: np.ndarray = pose_errors(outputs, labels, rows).mean(1)
    return errors


def landmark_errors(outputs: Arrays, labels: Arrays, rows: np.ndarray) -> np.ndarray:
    """Mean point distance over the inter-ocular distance (outer eye corners)."""
    true = labels['landmarks'][rows]
    distance = np.linalg.norm(outputs['landmarks'][rows] - true, axis=2).mean(1)
    errors: np.ndarray = distance / np.linalg.norm(true[:, LEFT_EYE] - true[:, RIGHT_EYE], axis=1)
    return errors
