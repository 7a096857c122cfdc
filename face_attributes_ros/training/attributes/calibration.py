# SPDX-License-Identifier: Apache-2.0
"""Honest confidence: temperatures, the age interval's width, offsets of logits, and thresholds
below which we say `unknown`."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import recall_score

TEMPERATURES = np.exp(np.linspace(-1.5, 1.5, 151))
AGE_TILTS = np.linspace(-0.04, 0.06, 41)
AGE_SLACK_YEARS = 0.05
"""A lean that brings less than this on val is not worth what it may cost elsewhere."""
INTERVAL = 0.8
SELECTIVE_ACCURACY = 0.95


def with_temperature(probs: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities after dividing their logits by a temperature: (N, K) distributions or (N,) of
    a yes."""
    if probs.ndim == 1:
        both = with_temperature(np.stack([1 - probs, probs], 1), temperature)
        return both[:, 1]
    logits = np.log(np.clip(probs, 1e-12, 1)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    calm: np.ndarray = powers / powers.sum(1, keepdims=True)
    return calm


def log_loss(probs: np.ndarray, target: np.ndarray) -> float:
    """Mean negative log-likelihood of shares (N, K) or of yes/no (N,) under probabilities of the
    same shape.
    """
    if probs.ndim == 1:
        return log_loss(np.stack([1 - probs, probs], 1), np.stack([1 - target, target], 1))
    return float(-(target * np.log(np.clip(probs, 1e-12, 1))).sum(1).mean())


def fit_temperature(probs: np.ndarray, target: np.ndarray) -> float:
    """The temperature, of a fixed list, with the least log loss."""
    return float(min(TEMPERATURES, key=lambda t: log_loss(with_temperature(probs, t), target)))


def interval(age_probs: np.ndarray, mass: float = INTERVAL) -> np.ndarray:
    """(N, 2) years that bound the central `mass` of distributions over whole years, each year half
    a year wide to both sides; the same rule as the estimator's."""
    cumulative = np.concatenate([np.zeros((len(age_probs), 1)), np.cumsum(age_probs, 1)], 1)
    edges = np.arange(age_probs.shape[1] + 1) - 0.5
    bounds = [
        np.interp([(1 - mass) / 2, (1 + mass) / 2], row / row[-1], edges) for row in cumulative
    ]
    return np.maximum(np.array(bounds).reshape(-1, 2), 0)


def coverage(age_probs: np.ndarray, low: np.ndarray, high: np.ndarray | None = None) -> float:
    """The share of ages inside of the interval; of a range `low`..`high` the part of it inside."""
    high = low if high is None else high
    first, last = interval(age_probs).T
    inside = np.minimum(last, high + 0.5) - np.maximum(first, low - 0.5)
    part = np.clip(inside / (high - low + 1), 0, 1)
    return float(np.where(low == high, (low >= first) & (low <= last), part).mean())


def mean_over_sources(values: np.ndarray, sources: np.ndarray) -> float:
    """The mean of the sources' means of `values` (N,): a large source counts as a small one."""
    return float(np.mean([values[sources == source].mean() for source in np.unique(sources)]))


def fit_age_temperature(age_probs: np.ndarray, low: np.ndarray, high: np.ndarray | None = None,
                        sources: np.ndarray | None = None) -> float:
    """The temperature, of a fixed list, whose 80 % interval covers nearest to 80 % of the ages, in
    the mean over sources."""
    high = low if high is None else high
    sources = np.zeros(len(low)) if sources is None else sources
    parts = [sources == source for source in np.unique(sources)]

    def missed(temperature: float) -> float:
        calm = with_temperature(age_probs, temperature)
        covered = [coverage(calm[part], low[part], high[part]) for part in parts]
        return abs(float(np.mean(covered)) - INTERVAL)

    return float(min(TEMPERATURES[::3], key=missed))


def calibration_error(confidence: np.ndarray, hit: np.ndarray, bins: int = 15) -> float:
    """ECE: the mean gap between confidence and accuracy over equal-width bins, weighted by their
    counts."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(confidence[which == number].mean() - hit[which == number].mean()) *
        (which == number).mean() for number in np.unique(which)
    ]
    return float(sum(gaps))


def confidence_and_hit(probs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(confidence (N,), hit (N,)) of the likeliest answer; target as shares (N, K) or as yes/no
    (N,)."""
    if probs.ndim == 1:
        return np.maximum(probs, 1 - probs), (probs > 0.5) == (target > 0.5)
    return probs.max(1), probs.argmax(1) == target.argmax(1)


def selective_threshold(confidence: np.ndarray, hit: np.ndarray,
                        accuracy: float = SELECTIVE_ACCURACY) -> float:
    """The lowest confidence such that answers at or above it are right in `accuracy` of cases; 1
    where none is.
    """
    order = np.argsort(-confidence)
    right = np.cumsum(hit[order]) / np.arange(1, len(hit) + 1)
    enough = np.flatnonzero(right >= accuracy)
    return float(confidence[order[enough[-1]]]) if len(enough) else 1.0


def shifted(probs: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Distributions (N, K) after adding an offset (K,) to their logits."""
    return with_temperature(np.clip(probs, 1e-12, 1) * np.exp(offset), 1.0)


def balanced_offset(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(K,) offset of the logits that favours rare classes: minus a multiple of the log of their
    frequency.

    The multiple is the one of a fixed list with the largest sum of accuracy and balanced accuracy
    (logit adjustment, Menon et al., 2021, with the strength chosen by what is wanted instead of by
    theory).
    """
    truth = target.argmax(1)
    present = np.unique(truth)
    frequency = np.bincount(truth, minlength=probs.shape[1]).clip(1) / len(truth)

    def gain(strength: float) -> float:
        said = shifted(probs, -strength * np.log(frequency)).argmax(1)
        hits = said == truth
        return float(hits.mean() + recall_score(truth, said, labels=present, average='macro'))

    offset = -max(np.linspace(0, 1, 21), key=gain) * np.log(frequency)
    return offset - offset.mean()


def missed_years(years: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(N,) by how much an age lies above (positive) or below a range of years, 0 inside."""
    return years - np.clip(years, low, high)


def age_offset(age_probs: np.ndarray, low: np.ndarray, high: np.ndarray | None = None,
               sources: np.ndarray | None = None) -> np.ndarray:
    """(101,) offset of the age logits, a multiple of the years: of a fixed list the smallest whose
    expectations miss ages or ranges by at most `AGE_SLACK_YEARS` more than the best's, in the mean
    over sources.

    A network that is unsure answers with an age between the likely ones, so the old come out too
    young; so do all where the training pictures are mostly of the young. One source alone leads
    astray: what helped UTKFace made young people elsewhere six years too old.
    """
    high = low if high is None else high
    sources = np.zeros(len(low)) if sources is None else sources
    years = np.arange(age_probs.shape[1])

    def missed(offset: np.ndarray) -> float:
        expected = shifted(age_probs, offset) @ years
        return mean_over_sources(np.abs(missed_years(expected, low, high)), sources)

    errors = np.array([missed(tilt * years) for tilt in AGE_TILTS])
    enough = AGE_TILTS[errors <= errors.min() + AGE_SLACK_YEARS]
    offset: np.ndarray = min(enough, key=abs) * years
    return offset
