# SPDX-License-Identifier: Apache-2.0
"""A detector under each condition of `robustness.degradations`: faces turned, in little light,
blurred or half hidden; and under each of them by size and in crowds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.data import Sample
from face_attributes_ros.training.detector.measures import at_threshold
from face_attributes_ros.training.detector.predict import Detect, labels
from face_attributes_ros.training.detector.robustness import Change, degradations
from face_attributes_ros.training.detector.score import (
    Result,
    average_precision,
    face_free,
    judge,
)

CROWD_FACES = 6  # a picture with so many is a crowd
SIZES = ('ap50_small', 'ap50_medium', 'ap50_large')


def conditions(detect: Detect, samples: Sequence[Sample],
               threshold: float) -> dict[str, dict[str, Any]]:
    """{condition: figures} of a detector over labelled pictures; recall and false alarms a
    face-free picture are those at `threshold`."""
    table = {}
    for name, change in degradations().items():
        rng = np.random.default_rng(0)
        table[name] = figures([degraded(detect, sample, change, rng) for sample in samples],
                              threshold)
    return table


def figures(results: Sequence[Result], threshold: float) -> dict[str, Any]:
    """AP@.5 in all, by size and in crowds, and what is found at a threshold."""
    judged, by_size = judge(results), coco_metrics(results)
    crowds = judge([result for result in results if len(result.faces) >= CROWD_FACES])
    row: dict[str, Any] = {'ap50': round(average_precision(judged), 4)}
    row |= {size: by_size[size] for size in SIZES}
    row['ap50_crowd'] = round(average_precision(crowds), 4) if crowds.faces else None
    return row | at_threshold(judged, face_free(results), threshold)


def degraded(detect: Detect, sample: Sample, change: Change, rng: np.random.Generator) -> Result:
    """What is found in a sample's picture once it was changed, beside what is there."""
    image = sample.image()
    faces, ignore = labels(sample, image)
    image, boxes = change(image, np.concatenate([faces, ignore]), rng)
    return Result(*detect(image), boxes[: len(faces)], boxes[len(faces) :], max(image.shape[:2]))
