# SPDX-License-Identifier: Apache-2.0
"""What `evaluate attributes` says of a set of outputs: every figure by source, for networks that
give only some heads. `outputs` as in `scores.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from face_attributes_ros.training.attributes.calibration import (
    calibration_error,
    confidence_and_hit,
    with_temperature,
)
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.attributes.heads import HEADS, METRICS, TrainingHead, shown
from face_attributes_ros.training.attributes.scores import Arrays, known

Figures = dict[str, dict[str, Any]]


def rows_with(table: LabelTable, source: str, *columns: str) -> np.ndarray:
    """Row numbers of one source that carry all the labels named."""
    keep = table.sources == source
    for column in columns:
        keep = keep & known(table.labels[column])
    return np.flatnonzero(keep)


def head_figures(head: TrainingHead, outputs: Arrays, labels: Arrays,
                 rows: np.ndarray) -> dict[str, Any]:
    """The count, metrics and details of one head over some rows."""
    found: dict[str, Any] = {'count': len(rows)}
    for metric in head.metrics:
        values = metric.values(outputs, labels, rows) if metric.values else None
        if values is not None:
            found[metric.name] = values.mean()
    return found | (head.details(outputs, labels, rows) if head.details else {})


def report(outputs: Arrays, table: LabelTable) -> Figures:
    """{source: figures} for every head that is both given and labelled."""
    found: Figures = {}
    for source in dict.fromkeys(table.sources.tolist()):
        for head in HEADS:
            rows = rows_with(table, source, head.column) if head.metrics else np.zeros(0, int)
            if len(rows) and head.answered(outputs) and source not in head.derived:
                found.setdefault(source, {}).update(
                    head_figures(head, outputs, table.labels, rows))
    return found


def headlines(outputs: Arrays, table: LabelTable) -> Figures:
    """{source: {metric: value}} of the figures that are shown for some set."""
    return {source: headlines_of(figures) for source, figures in report(outputs, table).items()}


def headlines_of(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one source whose metric is shown for some set."""
    return {name: figures[name] for name, metric in METRICS.items()
            if metric.sets and name in figures}


def quick_scores(outputs: Arrays, table: LabelTable) -> dict[str, float]:
    """{log column: figure} for the look at val during a training."""
    figures = report(outputs, table)
    return {metric.sets[source]: float(figures[source][metric.name]) for source, metric in shown()
            if metric.sets[source] and metric.name in figures.get(source, {})}


def honest_rows(head: TrainingHead, table: LabelTable) -> np.ndarray:
    """Row numbers on which a head's confidence is judged."""
    if not head.honest:
        return np.zeros(0, int)
    return np.flatnonzero(known(table.labels[head.column]) & np.isin(table.sources, head.honest))


def calibration_report(outputs: Arrays, table: LabelTable,
                       temperatures: Mapping[str, float]) -> Figures:
    """ECE of each head with a confidence, its temperature, and what it was without it."""
    found: Figures = {}
    for head in HEADS:
        rows = honest_rows(head, table)
        if head.name not in outputs or not len(rows):
            continue
        probs, target = outputs[head.name][rows], table.labels[head.column][rows]
        temperature = temperatures.get(head.name, 1.0)
        before = with_temperature(probs, 1 / temperature)
        found[head.name] = {'count': len(rows), 'temperature': temperature,
                            'ece_before': calibration_error(*confidence_and_hit(before, target)),
                            'ece': calibration_error(*confidence_and_hit(probs, target))}
    return found


def selective_report(outputs: Arrays, table: LabelTable,
                     thresholds: Mapping[str, float]) -> Figures:
    """How many answers are given at the shipped thresholds, and how many of those are right."""
    found: Figures = {}
    for head in HEADS:
        rows = honest_rows(head, table)
        if head.name not in outputs or head.name not in thresholds or not len(rows):
            continue
        confidence, hit = confidence_and_hit(outputs[head.name][rows],
                                             table.labels[head.column][rows])
        given = confidence >= thresholds[head.name]
        found[head.name] = {'threshold': thresholds[head.name], 'answered': given.mean(),
                            'accuracy': hit[given].mean() if given.any() else None}
    return found
