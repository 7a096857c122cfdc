# SPDX-License-Identifier: Apache-2.0
"""Pictures that several trainings draw: a run's curve and a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from face_attributes_ros.training.common.log import read_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure(width: float = 6.0, height: float = 4.2) -> tuple[Figure, Axes]:
    """A matplotlib figure and its axes, without a window."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    return pyplot.subplots(figsize=(width, height), dpi=110, layout='constrained')


def save(drawn: Figure, path: Path) -> None:
    """Writes a figure as PNG and forgets it."""
    from matplotlib import pyplot
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path)
    pyplot.close(drawn)


def plot_training(path: Path, log: Path, losses: Sequence[str], measured: str) -> None:
    """Writes losses over minutes, and a column `measured` on an axis of its own, to a PNG."""
    rows = read_log(log)
    drawn, axes = figure(7.0, 4.2)
    for name in losses:
        points = _points(rows, name)
        if points:
            axes.plot(*zip(*points, strict=True), label=name, alpha=0.8)
    axes.set(xlabel='minutes', ylabel='loss (log)', yscale='log')
    axes.legend(ncols=2, fontsize='small', loc='upper right')
    points = _points(rows, measured)
    if points:
        right = axes.twinx()
        right.plot(*zip(*points, strict=True), 'k.-')
        right.set(ylabel=measured)
    save(drawn, path)


def _points(rows: Sequence[dict[str, str]], column: str) -> list[tuple[float, float]]:
    return [(float(row['elapsed_s']) / 60, float(row[column])) for row in rows
            if row.get(column)]


def plot_confusion(path: Path, counts: np.ndarray, labels: Sequence[str], title: str) -> None:
    """Shares of what was said (columns) for each true label (rows), with the count of each."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    drawn, axes = figure(5.4, 4.8)
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(column, row, f'{100 * share:.0f}', ha='center', va='center',
                  color='white' if share > 0.5 else 'black')
    named = [f'{name} ({count})' for name, count in zip(labels, counts.sum(1), strict=True)]
    axes.set_xticks(range(len(labels)), labels, rotation=45)
    axes.set_yticks(range(len(labels)), named)
    axes.set(xlabel='said, %', ylabel='true (count)', title=title)
    save(drawn, path)
