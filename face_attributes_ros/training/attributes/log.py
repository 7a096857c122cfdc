# SPDX-License-Identifier: Apache-2.0
"""The columns of an attribute training's log, behind those that every run has."""

from __future__ import annotations

from face_attributes_ros.training.attributes.losses import WEIGHTS

LOG_COLUMNS = ('size', *WEIGHTS, 'distillation',
               *(f'val_{name}'
                 for name in ('age_mae', 'age_bin', 'gender_utkface', 'gender_fairface',
                              'expression', 'expression_balanced', 'smile', 'pose_deg', 'nme')))
