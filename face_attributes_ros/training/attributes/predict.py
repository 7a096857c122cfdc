# SPDX-License-Identifier: Apache-2.0
"""Runs a shipped attribute network over face pictures exactly as the estimator crops them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from face_attributes_ros import alignment
from face_attributes_ros.engines.seam import OpenNetwork
from face_attributes_ros.estimator import AttributeEstimator


def whole_crops(pictures: Sequence[np.ndarray], size: int) -> np.ndarray:
    """(N, size, size, 3) uint8: each picture as one square crop, resized as the estimator does
    it."""
    crops = np.empty((len(pictures), size, size, 3), np.uint8)
    for picture, out in zip(pictures, crops, strict=True):
        box = np.array([[0, 0, picture.shape[1], picture.shape[0]]], np.float32)
        alignment.crop(picture, alignment.square_transforms(box, 1.0, size)[0], out)
    return crops


def predict(network: OpenNetwork, pictures: Sequence[np.ndarray], size: int,
            batch: int = 32) -> dict[str, np.ndarray]:
    """{output: (N, ...)} of a `Network` that knows its `outputs`, over pictures of one face
    each."""
    parts = [[
        np.array(array) for array in network(whole_crops(pictures[start:start + batch], size))
    ] for start in range(0, len(pictures), batch)]
    columns = zip(*parts, strict=True)
    return {
        name: np.concatenate(column) for name, column in zip(network.outputs, columns, strict=True)
    }


def predict_aligned(network: OpenNetwork, pictures: Sequence[np.ndarray],
                    size: int) -> tuple[dict[str, np.ndarray], float]:
    """({output: (N, ...)}, seconds) of the two-stage test: the crop, then its upright copy and
    that one's mirror image.
    """
    estimator = AttributeEstimator(network, network.outputs, size_px=size, crop_scale=1.0,
                                   batch_max=32, aligned=True)
    started = time.process_time()
    answers = estimator.crops(pictures)
    seconds = time.process_time() - started
    extent = np.array([picture.shape[1::-1] for picture in pictures], np.float32)
    columns = {'age_years': 'age_years', 'gender': 'p_female', 'expression': 'expression_probs',
               'smile': 'smile',
               'landmarks': 'landmarks_xy'}
    outputs = {name: np.array([getattr(answer, field) for answer in answers])
               for name, field in columns.items()}
    outputs['landmarks'] = outputs['landmarks'] / extent[:, None]
    outputs['pose'] = np.array([[answer.yaw_rad, answer.pitch_rad, answer.roll_rad]
                                for answer in answers])
    return outputs, seconds
