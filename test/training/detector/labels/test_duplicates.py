# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from face_attributes_ros.training.detector.labels.duplicates import (
    NEAR,
    first_of_each,
    hashes,
    nearest,
)


def scene(seed):
    rng = np.random.default_rng(seed)
    return cv2.resize(
        rng.integers(0, 256, (12, 16, 3), dtype=np.uint8),
        (320, 240),
        interpolation=cv2.INTER_CUBIC,
    )


def table(*images):
    return np.stack([hashes(image) for image in images])


@pytest.mark.parametrize(
    'change',
    [
        lambda image: image,
        lambda image: image[:, ::-1],
        lambda image: cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA),
        lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=10),
        lambda image: cv2.imdecode(
            cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1
        ),
    ],
)
def test_a_copy_is_near(change):
    first, second = table(scene(0), np.ascontiguousarray(change(scene(0))))
    assert min(nearest(second, first[:1])) <= NEAR


def test_another_picture_is_far():
    first, second = table(scene(0), scene(1))
    assert min(nearest(second, first[:1])) > 3 * NEAR


def test_nothing_to_compare_with_is_far():
    assert nearest(table(scene(0))[:, 0], np.zeros((0, 32), np.uint8)).tolist() == [256]
    assert nearest(np.zeros((0, 32), np.uint8), table(scene(0))[:, 0]).shape == (0,)


def test_the_first_of_each_stays():
    kept = first_of_each(table(scene(0), scene(1), scene(0)[:, ::-1].copy(), scene(1)))
    assert kept.tolist() == [True, True, False, False]
    assert first_of_each(np.zeros((0, 2, 32), np.uint8)).shape == (0,)
