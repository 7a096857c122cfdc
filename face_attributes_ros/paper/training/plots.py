# SPDX-License-Identifier: Apache-2.0
"""Pictures of the paper's systems: a training run, and a confusion matrix."""

from __future__ import annotations

import csv


def _figure(width, height):
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    return pyplot, *pyplot.subplots(figsize=(width, height), dpi=110, layout='constrained')


def plot_training(path, log):
    """Writes training and held-out loss over steps, and the learning rate, from a run's log.csv to
    a PNG."""
    with open(log, newline='') as file:
        rows = list(csv.DictReader(file))
    pyplot, figure, axes = _figure(6.4, 4.)
    steps = [int(row['step']) for row in rows]
    for name, label in (('train_loss', 'training loss'), ('val_loss', 'held-out loss')):
        shown = [(step, float(row[name])) for step, row in zip(steps, rows) if row[name]]
        axes.plot(*zip(*shown), '.-', label=label)
    axes.set(xlabel='step', ylabel='weighted loss', yscale='log')
    rate = axes.twinx()
    rate.step(steps, [float(row['learning_rate']) for row in rows], 'k:', where='post',
              label='learning rate')
    rate.set(ylabel='learning rate', yscale='log')
    axes.legend(loc='upper right')
    rate.legend(loc='lower left')
    figure.savefig(path)
    pyplot.close(figure)


def plot_confusion(path, counts, labels, title):
    """Writes a confusion matrix (true rows, predicted columns) with its counts to a PNG."""
    pyplot, figure, axes = _figure(4.6, 4.2)
    axes.imshow(counts / counts.sum(1, keepdims=True).clip(1), cmap='Blues', vmin=0, vmax=1)
    for (row, column), count in ((at, counts[at]) for at in zip(*counts.nonzero())):
        share = count / counts[row].sum()
        axes.text(column, row, int(count), ha='center', va='center',
                  color='white' if share > .5 else 'black')
    axes.set_xticks(range(len(labels)), labels, rotation=45)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel='predicted', ylabel='true', title=title)
    figure.savefig(path)
    pyplot.close(figure)
