# SPDX-License-Identifier: Apache-2.0
"""The detector's two pictures: precision over recall of several detectors, and a training run."""
from __future__ import annotations

import csv

from face_attributes_ros.training.detector.score import precision_recall


def _figure(width=6.4, height=4.4):
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    return pyplot.subplots(figsize=(width, height), dpi=110, layout='constrained')


def plot_precision_recall(path, judged_by_name, title):
    """Writes the curve of each name's `Judged` to a PNG."""
    figure, axes = _figure()
    for name, judged in judged_by_name.items():
        precision, recall = precision_recall(judged)
        axes.plot(recall, precision, label=name)
    axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02), title=title)
    axes.legend(loc='lower left')
    axes.grid(alpha=0.3)
    figure.savefig(path)


def plot_training(path, log):
    """Writes loss and validation AP over minutes, read from a run's log.csv, to a PNG."""
    with open(log, newline='') as file:
        rows = list(csv.DictReader(file))
    minutes = [float(row['elapsed_s']) / 60 for row in rows]
    figure, axes = _figure()
    for part in ('box', 'cls', 'dfl'):
        axes.plot(minutes, [float(row[part]) for row in rows], label=f'{part} loss', alpha=0.8)
    axes.set(xlabel='minutes', ylabel='loss', ylim=(0, None))
    axes.legend(loc='center right')
    measured = [(minute, float(row['val_ap50']))
                for minute, row in zip(minutes, rows)
                if row['val_ap50']]
    if measured:
        right = axes.twinx()
        right.plot(*zip(*measured), 'k.-', label='AP@.5 on val')
        right.set(ylabel='AP@.5 on val', ylim=(0, 1))
        right.legend(loc='lower right')
    figure.savefig(path)
