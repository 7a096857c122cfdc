# SPDX-License-Identifier: Apache-2.0
"""The columns of an attribute training's log, behind those that every run has."""

from __future__ import annotations

from face_attributes_ros.training.attributes.heads import HEADS, METRICS
from face_attributes_ros.training.attributes.taught import TAUGHT_WEIGHTS

SCORES = tuple(column for metric in METRICS.values() for column in metric.sets.values() if column)
LOG_COLUMNS = ('size', *(head.name for head in HEADS), *TAUGHT_WEIGHTS, 'distillation',
               *(f'val_{column}' for column in SCORES))
