# SPDX-License-Identifier: Apache-2.0
"""The same figures by group of people, by size of face and by yaw, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from face_attributes_ros.training.attributes.data.cache import resized
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.attributes.heads import METRICS
from face_attributes_ros.training.attributes.report import headlines, rows_with
from face_attributes_ros.training.attributes.scores import (
    AGE_BIN_STARTS,
    Arrays,
    ages_of,
    bin_of,
    exact_ages,
)

LEAST_COUNT = 30
"""Groups with fewer faces are shown but never named as the worst."""


def bootstrap_interval(values: np.ndarray, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """[low, high]: the 95 % bootstrap interval of the mean."""
    values = values.astype(float)
    picks = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    return np.percentile(values[picks].mean(1), [2.5, 97.5])


def age_label(number: int) -> str:
    """'20-29' for the nine age ranges; '70+' for the last."""
    starts = AGE_BIN_STARTS
    return f'{starts[number]}+' if number == len(
        starts) - 1 else f'{starts[number]}-{starts[number + 1] - 1}'


def group_rows(table: LabelTable, source: str) -> dict[tuple[str, str], np.ndarray]:
    """{(age range, gender): row numbers} of one source, in order of age; empty groups are left
    out."""
    rows = rows_with(table, source, 'age_low', 'p_female')
    ranges = bin_of(table.labels['age_low'][rows])
    female = table.labels['p_female'][rows] > 0.5
    groups = {
        (age_label(number), gender): rows[(ranges == number) & (female == (gender == 'female'))]
        for number in range(len(AGE_BIN_STARTS))
        for gender in ('female', 'male')
    }
    return {group: members for group, members in groups.items() if len(members)}


def group_figures(outputs: Arrays, table: LabelTable, rows: np.ndarray) -> dict[str, Any]:
    """The metrics that have an interval, each with it, and the bias of exact ages."""
    figures: dict[str, Any] = {'count': len(rows)}
    for metric in METRICS.values():
        values = (metric.values(outputs, table.labels, rows)
                  if metric.values and metric.interval else None)
        if values is not None:
            figures |= {metric.name: values.mean(), metric.interval: bootstrap_interval(values)}
    if exact_ages(table.labels)[rows].all():
        figures['age_bias_years'] = (ages_of(outputs)[rows] - table.labels['age_low'][rows]).mean()
    return figures


def group_report(outputs: Arrays, table: LabelTable,
                 sources: Sequence[str] = ('utkface', 'fairface')) -> dict[str, dict[str, Any]]:
    """{source: {'groups': rows of the age x gender table, 'worst': {figure: row}}}."""
    found: dict[str, dict[str, Any]] = {}
    for source in sources:
        rows = [{'age': age, 'gender': gender, **group_figures(outputs, table, members)}
                for (age, gender), members in group_rows(table, source).items()]
        if rows:
            found[source] = {'groups': rows, 'worst': worst_groups(rows)}
    return found


def worst_groups(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """{metric: [age, gender, value]} of the worst group with at least LEAST_COUNT faces."""
    large = [row for row in rows if row['count'] >= LEAST_COUNT] or rows
    worst = {}
    for name, metric in METRICS.items():
        if metric.interval and name in large[0]:
            pick = max if metric.is_error else min
            row = pick(large, key=lambda row: row[name])
            worst[name] = [row['age'], row['gender'], row[name]]
    return worst


def size_report(run: Callable[[list[np.ndarray]], Arrays], table: LabelTable,
                pictures: Sequence[np.ndarray], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """One row a face size: the headlines after every picture was shrunk to that many pixels, and
    the mean quality.
    """
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


def yaw_report(outputs: Arrays, table: LabelTable) -> list[dict[str, Any]]:
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
