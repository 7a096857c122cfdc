# SPDX-License-Identifier: Apache-2.0
"""Honest confidence: temperatures fitted on val, the age interval's width, and thresholds below which we say
`unknown`.
"""

from __future__ import annotations

import numpy as np

from ..faces import EXPRESSIONS
from .attribute_scores import known

TEMPERATURES = np.exp(np.linspace(-1.5, 1.5, 151))
INTERVAL = 0.8
SELECTIVE_ACCURACY = 0.95


def with_temperature(probs, temperature):
    """Probabilities after dividing their logits by a temperature: (N, K) distributions or (N,) of a yes."""
    if probs.ndim == 1:
        both = with_temperature(np.stack([1 - probs, probs], 1), temperature)
        return both[:, 1]
    logits = np.log(np.clip(probs, 1e-12, 1)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def log_loss(probs, target):
    """Mean negative log-likelihood of shares (N, K) or of yes/no (N,) under probabilities of the same
    shape.
    """
    if probs.ndim == 1:
        return log_loss(np.stack([1 - probs, probs], 1), np.stack([1 - target, target], 1))
    return float(-(target * np.log(np.clip(probs, 1e-12, 1))).sum(1).mean())


def fit_temperature(probs, target):
    """The temperature, of a fixed list, with the least log loss."""
    return float(min(TEMPERATURES, key=lambda t: log_loss(with_temperature(probs, t), target)))


def interval(age_probs, mass=INTERVAL):
    """(N, 2) years that bound the central `mass` of distributions over whole years, each year half a year
    wide to both sides; the same rule as the estimator's."""
    cumulative = np.concatenate([np.zeros((len(age_probs), 1)), np.cumsum(age_probs, 1)], 1)
    edges = np.arange(age_probs.shape[1] + 1) - 0.5
    bounds = [np.interp([(1 - mass) / 2, (1 + mass) / 2], row / row[-1], edges) for row in cumulative]
    return np.maximum(np.array(bounds).reshape(-1, 2), 0)


def coverage(age_probs, ages):
    """The share of ages inside of the interval."""
    low, high = interval(age_probs).T
    return float(((ages >= low) & (ages <= high)).mean())


def fit_age_temperature(age_probs, ages):
    """The temperature, of a fixed list, whose 80 % interval covers nearest to 80 % of the ages."""
    def missed(temperature):
        return abs(coverage(with_temperature(age_probs, temperature), ages) - INTERVAL)

    return float(min(TEMPERATURES[::3], key=missed))


def calibration_error(confidence, hit, bins=15):
    """ECE: the mean gap between confidence and accuracy over equal-width bins, weighted by their counts."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[which == number].mean() - hit[which == number].mean()) * (which == number).mean()
            for number in np.unique(which)]
    return float(sum(gaps))


def confidence_and_hit(probs, target):
    """(confidence (N,), hit (N,)) of the likeliest answer; target as shares (N, K) or as yes/no (N,)."""
    if probs.ndim == 1:
        return np.maximum(probs, 1 - probs), (probs > 0.5) == (target > 0.5)
    return probs.max(1), probs.argmax(1) == target.argmax(1)


def selective_threshold(confidence, hit, accuracy=SELECTIVE_ACCURACY):
    """The lowest confidence such that answers at or above it are right in `accuracy` of cases; 1 where none
    is.
    """
    order = np.argsort(-confidence)
    right = np.cumsum(hit[order]) / np.arange(1, len(hit) + 1)
    enough = np.flatnonzero(right >= accuracy)
    return float(confidence[order[enough[-1]]]) if len(enough) else 1.0


def shifted(probs, offset):
    """Distributions (N, K) after adding an offset (K,) to their logits."""
    return with_temperature(np.clip(probs, 1e-12, 1) * np.exp(offset), 1.0)


def balanced_offset(probs, target, allowed=0.005):
    """(K,) offset of the logits that favours rare classes: minus a multiple of the log of their frequency.

    The multiple is the one of a fixed list with the best balanced accuracy among those that cost at most
    `allowed` of the accuracy (logit adjustment, Menon et al., 2021, with the strength chosen by accuracy
    instead of theory).
    """
    truth = target.argmax(1)
    frequency = np.bincount(truth, minlength=probs.shape[1]).clip(1) / len(truth)
    found = []
    for strength in np.linspace(0, 1, 21):
        offset = -strength * np.log(frequency)
        hits = shifted(probs, offset).argmax(1) == truth
        found.append((np.mean([hits[truth == label].mean() for label in np.unique(truth)]), hits.mean(),
                      offset))
    best = max(accuracy for _, accuracy, _ in found)
    offset = max((row for row in found if row[1] >= best - allowed), key=lambda row: row[0])[2]
    return offset - offset.mean()


def calibrate(outputs, labels):
    """({head: temperature}, {name: threshold}) from outputs and labels of val; thresholds are for calibrated
    outputs.
    """
    temperatures, thresholds = {}, {}
    exact = known(labels['age_low']) & (labels['age_low'] == labels['age_high'])
    if exact.any():
        temperatures['age'] = fit_age_temperature(outputs['age'][exact], labels['age_low'][exact])
    for head, column in (('gender', 'p_female'), ('expression', 'expression'), ('smile', 'smile')):
        rows = known(labels[column])
        if head == 'smile':
            rows &= known(labels['pose'])  # GENKI: those who were asked; other smiles are derived
        if rows.any():
            probs, target = outputs[head][rows], labels[column][rows]
            temperatures[head] = fit_temperature(probs, target if head != 'expression' else winners(target))
            calm = with_temperature(probs, temperatures[head])
            thresholds[head] = selective_threshold(*confidence_and_hit(calm, target))
    return temperatures, thresholds


def winners(expression_shares):
    """One-hot rows of the majority."""
    return np.eye(len(EXPRESSIONS))[expression_shares.argmax(1)]
