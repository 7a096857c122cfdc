# SPDX-License-Identifier: Apache-2.0
"""Proposals that teach face from not-face, labelled by overlap as R-CNN and the paper do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from face_attributes_ros.boxes import iou
from face_attributes_ros.paper.training.losses import region_labels
from face_attributes_ros.training.attributes.data.tables import Sample
from face_attributes_ros.training.common.yolo import doubtful_names, yolo_boxes


def read_regions(folder: Path, per_picture: int = 3, crop_scale: float = 1.,
                 seed: int = 0) -> list[Sample]:
    """Samples of a YOLO-format detection set's training pictures: faces moved a little, and random
    squares.

    `face` is 1 where the square overlaps a face by 0.5, 0 below 0.35; those between are left out.
    Overlap is measured in fractions of the picture; the picture cut out is `crop_scale` times as
    wide, as at run time.
    """
    folder, generator = Path(folder), np.random.default_rng(seed)
    names = sorted({Path(line).stem for line in (folder / 'train.txt').read_text().split()}
                   - doubtful_names(folder / 'manifest.csv'))
    samples = []
    for name in names:
        faces = yolo_boxes(folder / 'labels' / f'{name}.txt')
        boxes = np.concatenate(
            [moved(faces, generator)[:per_picture],
             anywhere(per_picture, generator)])
        samples += _labelled(folder / 'images' / f'{name}.jpg', boxes, faces, crop_scale)
    return samples


def moved(faces: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Each box (N, 4) shifted by up to 0.3 of its sides and scaled by up to 1.4."""
    centre, size = (faces[:, :2] + faces[:, 2:]) / 2, faces[:, 2:] - faces[:, :2]
    centre = centre + size * generator.uniform(-.3, .3, centre.shape)
    size = size * np.exp(generator.uniform(-1, 1, (len(faces), 1)) * np.log(1.4))
    return np.concatenate([centre - size / 2, centre + size / 2], 1)


def anywhere(count: int, generator: np.random.Generator) -> np.ndarray:
    """Random boxes (count, 4), equal fractions of width and height."""
    side = generator.uniform(.1, .5, (count, 1))
    corner = generator.uniform(0, 1 - side, (count, 2))
    return np.concatenate([corner, corner + side], 1)


def _labelled(image: Path, boxes: np.ndarray, faces: np.ndarray,
              crop_scale: float) -> list[Sample]:
    overlap = iou(boxes, faces).max(1) if len(faces) else np.zeros(len(boxes))
    labels = region_labels(torch.from_numpy(overlap)).numpy()
    grow = (boxes[:, 2:] - boxes[:, :2]) * (crop_scale - 1) / 2
    wide = np.concatenate([boxes[:, :2] - grow, boxes[:, 2:] + grow], 1).clip(0, 1)
    return [
        Sample(str(image), 'region', face=float(label), box_fraction=tuple(box.tolist()))
        for box, label in zip(wide, labels)
        if not np.isnan(label) and (box[2:] - box[:2]).min() > .01
    ]
