# SPDX-License-Identifier: Apache-2.0
"""The detector's picture: precision over recall of several detectors."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from face_attributes_ros.training.common.plots import figure, save
from face_attributes_ros.training.detector.score import Judged, precision_recall


def plot_precision_recall(path: Path, judged_by_name: Mapping[str, Judged], title: str) -> None:
    """Writes the curve of each name's `Judged` to a PNG."""
    drawn, axes = figure(6.4, 4.4)
    for name, judged in judged_by_name.items():
        precision, recall = precision_recall(judged)
        axes.plot(recall, precision, label=name)
    axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02), title=title)
    axes.legend(loc='lower left')
    axes.grid(alpha=0.3)
    save(drawn, path)
