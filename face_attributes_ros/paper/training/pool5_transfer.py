# SPDX-License-Identifier: Apache-2.0
"""Algorithm 2 the other way round, taught on one set and judged on another, and what its figures
on one small set of people are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.paper.training.jaffe import Portrait
from face_attributes_ros.paper.training.pool5_svm import choose_c, machine
from face_attributes_ros.training.attributes.data.packs import (
    LISTED_PACKS,
    read_listed_pack,
    read_pack,
)

Labelled = tuple[np.ndarray, np.ndarray]
"""(features (N, F) float32, expressions (N,) indices of EXPRESSIONS)."""


def read_faces(folder: Path, source: str, split: str, most: int, seed: int = 0) -> list[Portrait]:
    """At most `most` faces of each expression, drawn at random from a pack's split; a face's
    expression is what most annotators said, its person the pack's group. DataError where an
    expression has no face."""
    samples = read_listed_pack(folder, source, split) if source in LISTED_PACKS else read_pack(
        folder, (split,), (source,))
    known = [(sample, EXPRESSIONS[int(np.argmax(sample.expression))]) for sample in samples
             if sample.expression is not None]
    generator, found = np.random.default_rng(seed), []
    for expression in EXPRESSIONS:
        some = [Portrait(sample.image, sample.group or sample.image, name)
                for sample, name in known if name == expression]
        if not some:
            raise DataError(f'{folder} has no {split} face of {source} that shows {expression}')
        found += [some[row] for row in np.sort(generator.permutation(len(some))[:most])]
    return found


def transferred(taught: Labelled, groups: np.ndarray, tests: Sequence[np.ndarray],
                kernel: str) -> tuple[float, list[np.ndarray]]:
    """(C, [scores (M, 7) of each of `tests`, features (M, F)]) of a machine that learned from
    other faces only: scaling and C (over folds of whole groups, `groups` (N,)) are theirs too."""
    features, labels = taught
    mean, spread = features.mean(0), features.std(0)
    spread[spread == 0] = 1
    z = (features - mean) / spread
    inside = kernel_between(z, z, kernel)
    c = choose_c(inside, labels, groups, by_person=True)
    fitted, scores = machine(c).fit(inside, labels), []
    for test in tests:
        found = np.zeros((len(test), len(EXPRESSIONS)))
        across = kernel_between((test - mean) / spread, z, kernel)
        found[:, fitted.classes_] = fitted.decision_function(across)
        scores.append(found)
    return c, scores


def kernel_between(one: np.ndarray, other: np.ndarray, kernel: str) -> np.ndarray:
    """(N, M) kernel of standardised features, as `pool5_svm.kernel_matrix` has it."""
    products = (one @ other.T / one.shape[1]).astype(np.float64)
    if kernel == 'linear':
        return products
    squares = [np.square(z, dtype=np.float64).mean(1) for z in (one, other)]
    return np.exp(-(squares[0][:, None] + squares[1][None] - 2 * products))


def neighbours(features: np.ndarray, labels: np.ndarray, persons: np.ndarray) -> dict[str, Any]:
    """Of each picture's nearest other one, in standardised features: the shares that show the same
    person, the same expression, and both. What a random fold leaves to remember."""
    spread = features.std(0)
    z = (features - features.mean(0)) / np.where(spread == 0, 1, spread)
    products = z @ z.T
    squares = np.diag(products)
    distance = squares[:, None] + squares[None] - 2 * products
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argmin(1)
    person, expression = persons[nearest] == persons, labels[nearest] == labels
    return {'same_person': round(float(person.mean()), 4),
            'same_expression': round(float(expression.mean()), 4),
            'same_person_and_expression': round(float((person & expression).mean()), 4)}
