# SPDX-License-Identifier: Apache-2.0
"""Pictures of an attribute network: confusion of expressions, accuracy over face size,
calibration, a training run.
"""

from __future__ import annotations

import csv

import numpy as np

from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.training.attributes.calibration import confidence_and_hit


def figure(width=6.0, height=4.2):
    """A matplotlib figure and its axes, without a window."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    return pyplot.subplots(figsize=(width, height), dpi=110, layout='constrained')


def save(drawn, path):
    """Writes a figure as PNG and forgets it."""
    from matplotlib import pyplot
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path)
    pyplot.close(drawn)


def plot_confusion(path, confusion, title):
    """Shares of what was said for each true expression, with the count of each."""
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    drawn, axes = figure(5.4, 4.8)
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        axes.text(column, row, f'{100 * share:.0f}', ha='center', va='center',
                  color='white' if share > 0.5 else 'black')
    counts = [
        f'{name} ({count})' for name, count in zip(EXPRESSIONS, confusion.sum(1), strict=True)
    ]
    axes.set_xticks(range(len(EXPRESSIONS)), EXPRESSIONS, rotation=45)
    axes.set_yticks(range(len(EXPRESSIONS)), counts)
    axes.set(xlabel='said, %', ylabel='true (count)', title=title)
    save(drawn, path)


def plot_sizes(path, rows):
    """Accuracies over the face's size in pixels."""
    drawn, axes = figure()
    lines = (('utkface', 'gender_accuracy', 'gender, UTKFace'),
             ('fairface', 'gender_accuracy', 'gender, FairFace'),
             ('ferplus', 'expression_accuracy', 'expression, FER+'),
             ('genki4k', 'smile_accuracy', 'smile, GENKI-4K'))
    for source, name, label in lines:
        points = [(row['face_px'], 100 * row[source][name]) for row in rows if source in row]
        if points:
            axes.plot(*zip(*points, strict=True), 'o-', label=label)
    axes.set(xlabel='face size, pixels', ylabel='accuracy, %',
             title='Accuracy on faces shrunk to a size')
    axes.grid(alpha=0.3)
    axes.legend()
    save(drawn, path)


def plot_reliability(path, named):
    """Accuracy over confidence in ten bins, for {name: (probs, target)}."""
    drawn, axes = figure(4.8, 4.4)
    axes.plot([0, 1], [0, 1], color='grey', linewidth=1)
    for name, (probs, target) in named.items():
        confidence, hit = confidence_and_hit(probs, target)
        which = np.minimum((confidence * 10).astype(int), 9)
        bins = [number for number in np.unique(which) if (which == number).sum() >= 10]
        axes.plot([confidence[which == number].mean() for number in bins],
                  [hit[which == number].mean() for number in bins],
                  'o-', label=name)
    axes.set(xlabel='confidence', ylabel='accuracy', xlim=(0, 1), ylim=(0, 1),
             title='Confidence after calibration')
    axes.legend()
    save(drawn, path)


def plot_training(path, log, heads):
    """Losses of a run over minutes, read from its log.csv, and what val said on the way."""
    with open(log, newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    drawn, axes = figure(7.0, 4.2)
    for head in heads:
        points = [(float(row['elapsed_s']) / 60, float(row[head])) for row in rows if row[head]]
        if points:
            axes.plot(*zip(*points, strict=True), label=head, alpha=0.8)
    axes.set(xlabel='minutes', ylabel='loss (log)', yscale='log', title='Training losses by head')
    axes.legend(ncols=2, fontsize='small')
    save(drawn, path)
