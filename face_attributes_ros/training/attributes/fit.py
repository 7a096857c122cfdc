# SPDX-License-Identifier: Apache-2.0
"""What `export attributes` fits on val: offsets and temperatures of logits, and thresholds."""

from __future__ import annotations

import numpy as np

from face_attributes_ros.training.attributes.calibration import (
    age_offset,
    balanced_offset,
    confidence_and_hit,
    fit_age_temperature,
    fit_temperature,
    selective_threshold,
    with_temperature,
)
from face_attributes_ros.training.attributes.heads import HEADS, TrainingHead
from face_attributes_ros.training.attributes.scores import Arrays, known


def fit_offsets(outputs: Arrays, labels: Arrays,
                sources: np.ndarray) -> dict[str, list[float]]:
    """{head: what is added to its logits} from uncalibrated outputs and labels of val."""
    offsets, aged, rows = {}, known(labels['age_low']), known(labels['expression'])
    if aged.any():
        offsets['age'] = age_offset(outputs['age'][aged], labels['age_low'][aged],
                                    labels['age_high'][aged], sources[aged])
    if rows.any():
        offsets['expression'] = balanced_offset(outputs['expression'][rows],
                                                labels['expression'][rows])
    return {head: [round(float(value), 4) for value in offset] for head, offset in offsets.items()}


def calibrate(outputs: Arrays, labels: Arrays,
              sources: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """({head: temperature}, {head: threshold}) from outputs and labels of val; thresholds are for
    calibrated outputs."""
    temperatures, thresholds = {}, {}
    aged = known(labels['age_low'])
    if aged.any():
        temperatures['age'] = fit_age_temperature(outputs['age'][aged], labels['age_low'][aged],
                                                  labels['age_high'][aged], sources[aged])
    for head in HEADS:
        rows = asked(head, labels) if head.honest else np.zeros(0, bool)
        if rows.any():
            probs, target = outputs[head.name][rows], labels[head.column][rows]
            temperatures[head.name] = fit_temperature(probs, winners(target))
            calm = with_temperature(probs, temperatures[head.name])
            thresholds[head.name] = selective_threshold(*confidence_and_hit(calm, target))
    return temperatures, thresholds


def asked(head: TrainingHead, labels: Arrays) -> np.ndarray:
    """(N,) bool: the faces that carry a head's label, and that of the column `asked`, too."""
    rows = known(labels[head.column])
    return rows & known(labels[head.asked]) if head.asked else rows


def winners(target: np.ndarray) -> np.ndarray:
    """One-hot rows of the majority of shares (N, K); a yes or no (N,) as it is."""
    if target.ndim == 1:
        return target
    chosen: np.ndarray = np.eye(target.shape[1])[target.argmax(1)]
    return chosen
