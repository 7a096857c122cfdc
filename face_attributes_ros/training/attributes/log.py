# SPDX-License-Identifier: Apache-2.0
"""The CSV log of a training run; its columns are fixed, so that a resumed run goes on in the same
file."""

from __future__ import annotations

import csv

from face_attributes_ros.training.attributes.losses import WEIGHTS

LOG_COLUMNS = ('step', 'progress', 'elapsed_s', 'size', *WEIGHTS,
               *(f'val_{name}'
                 for name in ('age_mae', 'age_bin', 'gender_utkface', 'gender_fairface',
                              'expression', 'expression_balanced', 'smile', 'pose_deg', 'nme')))


def write_row(path, row):
    """Appends a row to a CSV whose header is fixed by `LOG_COLUMNS`."""
    new = not path.is_file()
    with open(path, 'a', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, LOG_COLUMNS, restval='', extrasaction='ignore')
        if new:
            writer.writeheader()
        writer.writerow(row)
