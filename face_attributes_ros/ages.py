# SPDX-License-Identifier: Apache-2.0
"""Distributions over whole years to mean, spread and interval."""

from __future__ import annotations

import numpy as np

INTERVAL = .8
"""The share of a distribution that lies between `age_low` and `age_high`."""

_YEARS = np.arange(101.)
_MOMENTS = np.stack([_YEARS ** 0, _YEARS, _YEARS ** 2], axis=1)
_SHARES = np.array([[(1 - INTERVAL) / 2], [(1 + INTERVAL) / 2]])


def columns(probs: np.ndarray) -> list[list[float]]:
    """Mean, spread and both ends of the central 80 % of each row of (N, 101), years."""
    total, mean, square = (probs @ _MOMENTS).T
    variance = square - mean * mean * (2 - total)  # of rows that do not quite add up to one, too
    low, high = _quantiles(np.cumsum(probs, 1, dtype=np.float64) / total[:, None], _SHARES)
    return [years.tolist() for years in (mean, np.sqrt(np.maximum(variance, 0)),
                                         np.maximum(low, 0), high)]


def _quantiles(cumulative: np.ndarray, shares: np.ndarray) -> np.ndarray:
    # Each year's probability is spread evenly from half a year before to half a year after it: (S,
    # 1) shares, (S, N) years.
    year = (cumulative[:, :-1] <= shares[..., None]).sum(2)
    rows = np.arange(len(cumulative))
    before = np.where(year > 0, cumulative[rows, year - 1], 0.)
    years: np.ndarray = year - .5 + (shares - before) / (cumulative[rows, year] - before)
    return years
