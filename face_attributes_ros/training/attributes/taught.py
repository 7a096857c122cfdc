# SPDX-License-Identifier: Apache-2.0
"""Losses of what teachers said beside the labels: extra expression heads, ages and genders."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from face_attributes_ros.networks.compact import EXPRESSION_HEADS
from face_attributes_ros.training.attributes.losses import binary_loss, expression_loss

EXTRA_HEADS = EXPRESSION_HEADS[1:]
TAUGHT_WEIGHTS = {**dict.fromkeys(EXTRA_HEADS, 0.6), 'age_taught': 0.7, 'gender_taught': 0.7}


def taught_losses(raw: Mapping[str, Tensor], labels: Mapping[str, Tensor],
                  class_weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{name: scalar loss} of the extra heads that the network has, and of `age_taught` (B, 101)
    and `gender_taught` (B,) where the labels hold a teacher's answers."""
    losses = {name: expression_loss(raw[name].float(), labels[name], class_weights[name])
              for name in EXTRA_HEADS if name in raw and name in labels}
    if 'age_taught' in labels:
        ages = labels['age_taught']
        losses['age_taught'] = expression_loss(raw['age'].float(), ages,
                                               ages.new_ones(ages.shape[1]))
        losses['gender_taught'] = binary_loss(raw['gender'].float(), labels['gender_taught'])
    return losses
