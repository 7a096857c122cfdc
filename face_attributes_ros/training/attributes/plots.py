# SPDX-License-Identifier: Apache-2.0
"""Pictures of an attribute network: accuracy over face size, and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.training.attributes.calibration import confidence_and_hit
from face_attributes_ros.training.common.plots import figure, save


def plot_sizes(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
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


def plot_reliability(path: Path, named: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
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
