# SPDX-License-Identifier: Apache-2.0
"""The support vector machine of Algorithm 2 and the three ways to judge it.

`ten_fold` and `leave_one_out` are the paper's: pictures of the same woman are on both sides.
`leave_one_subject_out` asks about somebody new. Scaling and the choice of C see the training part
of each fold only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, LeaveOneOut, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.paper.pool5 import SvmHead

PROTOCOLS = ('ten_fold', 'leave_one_out', 'leave_one_subject_out')
KERNELS = ('linear', 'rbf')
C_GRID = tuple(2. ** power for power in range(-5, 6))
_INNER_FOLDS = 3


def folds(protocol: str, labels: np.ndarray, persons: np.ndarray,
          seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """[(training rows, test rows)] of a protocol."""
    if protocol == 'leave_one_subject_out':
        return list(LeaveOneGroupOut().split(labels, labels, persons))
    splitter = LeaveOneOut() if protocol == 'leave_one_out' else StratifiedKFold(
        10, shuffle=True, random_state=seed)
    return list(splitter.split(labels, labels))


def kernel_matrix(features: np.ndarray, train: np.ndarray, kernel: str) -> np.ndarray:
    """(N, N) kernel of all rows, features standardised by the training rows; its diagonal is about
    1.

    linear: z . z' / F; rbf: exp(-|z - z'|^2 / F), with F the number of features.
    """
    return kernel_of(products_of(features, train), kernel)


def products_of(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """(N, N) float64 z . z' / F of features standardised by the training rows; computed as they
    come, float32 or float64."""
    known = features[train]
    spread = known.std(0)
    z = (features - known.mean(0)) / np.where(spread == 0, 1, spread)
    return (z @ z.T / z.shape[1]).astype(np.float64)


def kernel_of(products: np.ndarray, kernel: str) -> np.ndarray:
    """(N, N) kernel of a square of `products_of`."""
    if kernel == 'linear':
        return products
    squares = np.diag(products)
    return np.exp(-(squares[:, None] + squares[None] - 2 * products))


def machine(c: float, kernel: str = 'precomputed') -> SVC:
    """A one-against-one support vector machine that scores every class."""
    return SVC(C=c, kernel=kernel, decision_function_shape='ovr')


def choose_c(matrix: np.ndarray, labels: np.ndarray, persons: np.ndarray,
             by_person: bool) -> float:
    """The C of C_GRID with the best accuracy over inner folds of the training rows; the smaller
    one on a tie."""
    if by_person:
        inner = list(GroupKFold(_INNER_FOLDS).split(labels, labels, persons))
    else:
        inner = list(
            StratifiedKFold(_INNER_FOLDS, shuffle=True, random_state=0).split(labels, labels))
    hits = [
        sum((machine(c).fit(matrix[np.ix_(a, a)], labels[a]).predict(matrix[np.ix_(b, a)]) ==
             labels[b]).sum() for a, b in inner) for c in C_GRID
    ]
    return C_GRID[int(np.argmax(hits))]


def held_out_scores(features: np.ndarray, labels: np.ndarray, persons: np.ndarray, protocol: str,
                    kernel: str = 'linear', seed: int = 0) -> np.ndarray:
    """(N, 7) scores of each face by the machine of the fold that did not see it."""
    return scores_by_kernel(features, labels, persons, protocol, (kernel,), seed)[kernel]


def scores_by_kernel(features: np.ndarray, labels: np.ndarray, persons: np.ndarray, protocol: str,
                     kernels: Sequence[str], seed: int = 0) -> dict[str, np.ndarray]:
    """`held_out_scores` of several kernels; what they share is computed once."""
    found = {kernel: np.zeros((len(labels), len(EXPRESSIONS))) for kernel in kernels}
    by_person = protocol == 'leave_one_subject_out'
    for train, test in folds(protocol, labels, persons, seed):
        products = products_of(features, train)
        for kernel, scores in found.items():
            matrix = kernel_of(products, kernel)
            inside = matrix[np.ix_(train, train)]
            c = choose_c(inside, labels[train], persons[train], by_person)
            fitted = machine(c).fit(inside, labels[train])
            decided = fitted.decision_function(matrix[np.ix_(test, train)])
            scores[np.ix_(test, fitted.classes_)] = decided
    return found


def summary(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Accuracy with its 95 % Wilson interval, top-5 and balanced accuracy, recall by expression,
    the confusion matrix."""
    predicted, five = scores.argmax(1), np.argsort(-scores, 1)[:, :5]
    counts = np.zeros((len(EXPRESSIONS),) * 2, int)
    np.add.at(counts, (labels, predicted), 1)
    hits, n = int(counts.trace()), len(labels)
    recall = np.diag(counts) / counts.sum(1).clip(1)
    present = counts.sum(1) > 0
    return {
        'faces': n, 'accuracy': round(hits / n,
                                      4), 'interval_95': [round(v, 4) for v in wilson(hits, n)],
        'balanced': round(float(recall[present].mean()),
                          4), 'top5': round(float((five == labels[:, None]).any(1).mean()), 4),
        'recall': {name: round(float(value), 4)
                   for name, value in zip(EXPRESSIONS, recall)}, 'confusion': counts.tolist()
    }


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share (Wilson 1927) at 95 %; pictures of one person are not independent:
    it is too narrow then."""
    centre, spread = hits + z * z / 2, z * np.sqrt(hits * (n - hits) / n + z * z / 4)
    return float((centre - spread) / (n + z * z)), float((centre + spread) / (n + z * z))


def temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which softmax of held-out scores has the least log loss."""
    grid = np.geomspace(.05, 5, 200)
    scaled = scores[None] / grid[:, None, None]
    log_probs = scaled - np.logaddexp.reduce(scaled, 2, keepdims=True)
    return float(grid[np.argmax(log_probs[:, np.arange(len(labels)), labels].mean(1))])


def probabilities(scores: np.ndarray, heat: float) -> np.ndarray:
    """(N, 7) softmax of scores over a temperature."""
    scaled = np.exp((scores - scores.max(1, keepdims=True)) / heat)
    return scaled / scaled.sum(1, keepdims=True)


def fit_head(features: np.ndarray, labels: np.ndarray, persons: np.ndarray) -> SvmHead:
    """A `SvmHead` fitted on everything; its C and temperature are those that suit people it did
    not see."""
    everything = np.arange(len(labels))
    c = choose_c(kernel_matrix(features, everything, 'linear'), labels, persons, by_person=True)
    scaler = StandardScaler().fit(features)
    scale = scaler.scale_ * np.sqrt(features.shape[1])
    fitted = machine(c, 'linear').fit((features - scaler.mean_) / scale, labels)
    heat = temperature(held_out_scores(features, labels, persons, 'leave_one_subject_out'), labels)
    head = SvmHead(features.shape[1])
    values = {
        'mean': scaler.mean_, 'scale': scale, 'coefficients': fitted.coef_,
        'intercepts': fitted.intercept_, 'temperature': heat
    }
    head.load_state_dict({
        name: torch.tensor(np.array(value), dtype=torch.float32) for name, value in values.items()
    })
    return head
