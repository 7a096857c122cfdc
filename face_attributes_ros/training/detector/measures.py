# SPDX-License-Identifier: Apache-2.0
"""The figures of one detector on judged pictures, and tables of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.score import (
    Judged,
    Result,
    average_precision,
    best_f1,
    face_free,
    judge,
)

ALARMS = 'false_positives_per_face_free_image'
COLUMNS = ('ap50', 'ap50_95', 'ap50_small', 'ap50_medium', 'ap50_large', 'best_f1')
THRESHOLDS = ('at_val_threshold', 'at_quiet_threshold', 'at_0.5')
HEADLINES = ('ap50', 'ap50_95', 'ap50_small', 'best_f1')


def measure(results: Sequence[Result], threshold: float, quiet: float) -> dict[str, Any]:
    """One row: AP (all, by size, strict), best F1; precision, recall and false alarms at three
    thresholds.
    """
    judged = judge(results)
    row: dict[str, Any] = coco_metrics(results)
    row['ap50_all_points'] = round(average_precision(judged), 4)
    row['best_f1'] = round(best_f1(judged)[0], 4)
    free = face_free(results)
    row |= {'images': len(results), 'faces': judged.faces, 'face_free_images': len(free)}
    row['at_val_threshold'] = at_threshold(judged, free, threshold)
    row['at_quiet_threshold'] = at_threshold(judged, free, quiet)
    row['at_0.5'] = at_threshold(judged, free, 0.5)
    return row


def at_threshold(judged: Judged, free: Sequence[np.ndarray],
                 threshold: float) -> dict[str, float | None]:
    """Precision, recall and false alarms a face-free picture (their scores in `free`)."""
    found = judged.scores >= threshold
    right = int((judged.correct & found).sum())
    alarms = sum(int((scores >= threshold).sum()) for scores in free)
    return {
        'precision': _ratio(right, int(found.sum())),
        'recall': _ratio(right, judged.faces),
        ALARMS: _ratio(alarms, len(free)),
    }


def shipped_threshold(report: Mapping[str, Any], name: str) -> tuple[float, str]:
    """(threshold, its key in a row) that goes into the manifest: the larger of F1's and quiet."""
    own = report['detectors'][name]
    f1, quiet = own['threshold_val'], own['quiet_threshold_val']
    return max((f1, 'at_val_threshold'), (quiet, 'at_quiet_threshold'))


def headline_metrics(report: Mapping[str, Any], name: str) -> dict[str, float]:
    """The manifest's figures of one detector: `split_part_figure`."""
    own = report['detectors'][name]
    figures: dict[str, float] = {f'val_{key}': own[f'{key}_val']
                                 for key in ('threshold', 'quiet_threshold')}
    figures['val_quiet_bound'] = own['quiet_on']['bound']
    split = report['data']['split']
    for part, rows in report['parts'].items():
        found = {key: rows[name][key] for key in HEADLINES}
        found[ALARMS] = rows[name][shipped_threshold(report, name)[1]][ALARMS]
        known = {key: value for key, value in found.items() if value is not None}
        figures |= {f'{split}_{part}_{key}': value for key, value in known.items()}
    return figures


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def tables(report: Mapping[str, Any]) -> str:
    """The report as Markdown: one table a part, one for robustness."""
    lines = []
    for part, rows in report['parts'].items():
        head = ['detector', *COLUMNS, 'FP/free image (val F1)', '(quiet)', '(0.5)']
        lines += [f'\n{part}', '', _line(head), '|---' * len(head) + '|']
        for name, row in rows.items():
            alarms = [row[at][ALARMS] for at in THRESHOLDS]
            lines.append(_line([name, *map(_cell, [*(row[c] for c in COLUMNS), *alarms])]))
    for name, row in report['robustness'].items():
        lines += [f'\nrobustness of {name} (AP@.5)', '', _line(row), '|---' * len(row) + '|']
        lines.append(_line(map(_cell, row.values())))
    return '\n'.join(lines)


def _line(cells: Iterable[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
