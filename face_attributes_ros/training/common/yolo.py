# SPDX-License-Identifier: Apache-2.0
"""The text files of a YOLO-format detection set."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from face_attributes_ros.errors import DataError


def yolo_boxes(path: Path, dtype: DTypeLike = np.float64) -> np.ndarray:
    """(N, 4) corners as fractions of the picture; a missing file is a picture without
    faces. Raises `DataError` on lines that are not `class cx cy w h`."""
    text = path.read_text() if path.is_file() else ''
    try:
        rows = np.array([line.split()[1:5] for line in text.splitlines() if line.strip()],
                        dtype).reshape(-1, 4)
    except ValueError as error:
        raise DataError(f'{path} is not YOLO text (class cx cy w h a line): {error}') from error
    return np.hstack([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2])


def doubtful_names(manifest: Path) -> frozenset[str]:
    """Names of pictures that may hold faces without a label, of `manifest.csv` where there is
    one."""
    if not manifest.is_file():
        return frozenset()
    with manifest.open(newline='', encoding='utf-8') as file:
        return frozenset(row['name'] for row in csv.DictReader(file)
                         if row['maybe_unlabelled'] == '1')
